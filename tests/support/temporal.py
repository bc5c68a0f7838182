"""Temporal servers for the tests: the real one, and the real one with a virtual clock for each workflow."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkipper, WorkflowEnvironment

from wend.devserver import PROMPT_TIMERS, DevServer


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[DevServer]:
    """A Temporal server in memory whose timers are prompt; ``address`` and ``namespace`` say where."""
    with DevServer(port=0, ui_port=None, dynamic_config=PROMPT_TIMERS) as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def temporal_client(temporal_server: DevServer) -> Client:
    """A client of ``temporal_server`` that speaks pydantic."""
    return await _client(temporal_server)


@pytest_asyncio.fixture(scope="session")
async def time_skipping_env() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server whose workflows skip time, each on a clock of its own.

    The clock of activities is the host's. A signal from outside races with the skipping: start the workflow
    inside ``with_time_skipping_disabled()``, fast-forward to the instant, signal, go on.
    """
    async with time_skipping() as environment:
        yield environment


@asynccontextmanager
async def time_skipping(dynamic_config: Mapping[str, str] | None = None) -> AsyncIterator[WorkflowEnvironment]:
    """Start a server whose workflows skip time, each on a clock of its own, for the length of the block.

    The SDK starts one too, but gives it up after five seconds, or where its port became another's.
    """
    config = {**PROMPT_TIMERS, "frontend.WorkflowTimeSkippingEnabled": "true", **(dynamic_config or {})}
    with DevServer(port=0, ui_port=None, dynamic_config=config) as server:
        yield _Skipping(await _client(server))


class _Skipping(WorkflowEnvironment):
    def __init__(self, client: Client) -> None:
        self._skipper = TimeSkipper(client)
        super().__init__(self._skipper.client)

    async def fast_forward(
        self, handle: WorkflowHandle[Any, Any], duration: timedelta | float | None = None, /
    ) -> bool:
        return await self._skipper.fast_forward(handle, duration)

    @contextmanager
    def with_time_skipping_disabled(self) -> Iterator[None]:
        with self._skipper.with_time_skipping_disabled():
            yield


async def _client(server: DevServer) -> Client:
    return await Client.connect(server.address, namespace=server.namespace, data_converter=pydantic_data_converter)
