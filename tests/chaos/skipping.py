"""Pieces of lines that need years or hours: a real Temporal server whose workflows skip time, in the driver itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.chaos.site import Site
from wend.devserver import PROMPT_TIMERS, SEARCH_ATTRIBUTES, find_executable
from wend.storage.database import Database

T = TypeVar("T")


@asynccontextmanager
async def skipping(**config: str) -> AsyncIterator[WorkflowEnvironment]:
    """Yield a server that skips time.

    Args:
        config: Dynamic configuration, with ``__`` for each full stop.
    """
    known = {name.replace("__", "."): value for name, value in config.items()}
    known |= {**PROMPT_TIMERS, "frontend.WorkflowTimeSkippingEnabled": "true"}
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(find_executable()),
        dev_server_extra_args=[f"--dynamic-config-value={key}={value}" for key, value in known.items()],
        search_attributes=[
            SearchAttributeKey.for_keyword(name) if type_ == "Keyword" else SearchAttributeKey.for_int(name)
            for name, type_ in SEARCH_ATTRIBUTES.items()
        ],
    )
    async with environment:
        yield environment


def on_a_skipping_server(site: Site, work: Callable[[Database, WorkflowEnvironment], Awaitable[T]]) -> T:
    """Return what the work returns, on an empty database of the installation's kind."""

    async def worked(database: Database) -> T:
        async with skipping() as environment:
            return await work(database, environment)

    with beside(site) as database:
        return asyncio.run(worked(database))


@contextmanager
def beside(site: Site) -> Iterator[Database]:
    """Yield an empty, migrated database beside the installation's."""
    database = Database(site.another_database())
    try:
        yield database
    finally:
        database.close()


def told(settings: Mapping[str, object]) -> str:
    """Return figures in words, for a verdict."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
