"""Temporal servers for the tests: the real one, and the real one with a virtual clock for each workflow."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from wend.devserver import PROMPT_TIMERS, SEARCH_ATTRIBUTES, DevServer, find_executable

_TIME_SKIPPING = {**PROMPT_TIMERS, "frontend.WorkflowTimeSkippingEnabled": "true"}


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[DevServer]:
    """A Temporal server in memory whose timers are prompt; ``address`` and ``namespace`` say where."""
    with DevServer(port=0, ui_port=None, dynamic_config=PROMPT_TIMERS) as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def temporal_client(temporal_server: DevServer) -> Client:
    """A client of ``temporal_server`` that speaks pydantic."""
    return await Client.connect(
        temporal_server.address,
        namespace=temporal_server.namespace,
        data_converter=pydantic_data_converter,
    )


@pytest_asyncio.fixture(scope="session")
async def time_skipping_env() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server whose workflows skip time, each on a clock of its own.

    The clock of activities is the host's. A signal from outside races with the skipping: start the workflow
    inside ``with_time_skipping_disabled()``, fast-forward to the instant, signal, go on.
    """
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(find_executable()),
        dev_server_extra_args=[f"--dynamic-config-value={key}={json}" for key, json in _TIME_SKIPPING.items()],
        search_attributes=[
            SearchAttributeKey.for_keyword(name) if type_ == "Keyword" else SearchAttributeKey.for_int(name)
            for name, type_ in SEARCH_ATTRIBUTES.items()
        ],
    )
    async with environment:
        yield environment
