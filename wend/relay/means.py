"""What the relay's parts work with."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from temporalio.client import Client

from wend.entries.timetable import Timetable
from wend.runs.starting import Starter
from wend.storage.database import Database

T = TypeVar("T")


@dataclass(frozen=True)
class Means:
    """What the relay's parts work with.

    Attributes:
        database: Where the outbox is.
        client: Temporal.
        starter: Claims runs for starting.
        timetable: Says what a journey's schedule holds.
        executor: Threads for database work.
        task_queue: Where workflows are started.
    """

    database: Database
    client: Client
    starter: Starter
    timetable: Timetable
    executor: Executor
    task_queue: str

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, called in a thread: no SQL runs on the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, call)
