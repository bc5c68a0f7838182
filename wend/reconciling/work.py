"""One reconciliation at work: what its comparisons work with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from wend.lifecycle import audit
from wend.lifecycle.versions import Versions
from wend.reconciling.asking import Options
from wend.reconciling.findings import Kind, Report
from wend.reconciling.port import Found, Passage, Workflows
from wend.storage.database import Database

T = TypeVar("T")
K = TypeVar("K")

YOUNG: Final = timedelta(minutes=1)
"""What is younger than this is left alone: it may still be on its way."""

IN_FLIGHT: Final = 16
"""Questions to Temporal, or starts, at once."""

QUIET: Final = timedelta(seconds=30)
"""How long one comparison may last without a word: a fraction of the heartbeat that its activity is given."""

AT_ONCE: Final = 100
"""Rows that are changed in one transaction: clicks get their turn in between."""


@dataclass(frozen=True)
class Work:
    """What the comparisons of one journey work with.

    Attributes:
        database: Where rows are.
        workflows: What Temporal has.
        versions: Published versions.
        executor: Threads for database work.
        clock: The host's clock.
        journey: Its key.
        options: What is to be done.
        by: Who asked.
        beat: Called now and then with what is being compared.
        id: The reconciliation's.
        gate: Lets so many of all reconciliations' calls into the threads, which sends and wakes need too.
        pulse: Called while a comparison has nothing to say, so that it is known to live.
        report: What was found.
    """

    database: Database
    workflows: Workflows
    versions: Versions
    executor: Executor
    clock: Callable[[], datetime]
    journey: str
    options: Options
    by: str
    beat: Callable[[str], Awaitable[None]]
    id: UUID
    gate: asyncio.Semaphore
    pulse: Callable[[], None]
    report: Report = field(default_factory=Report)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, called in a thread: no SQL runs on the event loop."""
        answer = asyncio.create_task(self._take_turn(call))
        try:
            while not (await asyncio.wait([answer], timeout=QUIET.total_seconds()))[0]:
                self.pulse()
            return answer.result()
        finally:
            answer.cancel()  # what has not begun when this one is broken off is not begun any more

    async def _take_turn(self, call: Callable[[], T]) -> T:
        async with self.gate:
            return await asyncio.get_running_loop().run_in_executor(self.executor, call)

    def note(self, connection: Connection, kind: Kind, count: int, now: datetime) -> None:
        """Write down what was repaired, in the transaction that does it: another attempt counts it by that."""
        detail = {"kind": kind, "repaired": count, "reconciliation": str(self.id)}
        audit.note(connection, self.by, "reconcile", now, journey=self.journey, detail=detail)

    async def look_at(self, passages: Sequence[Passage], what: str) -> list[Found]:
        """Return how the workflows of these runs stand, in their order."""
        return await self.each(passages, lambda passage: self.workflows.look(self.journey, passage), what)

    async def each(self, those: Sequence[K], call: Callable[[K], Awaitable[T]], what: str) -> list[T]:
        """Return what ``call`` answers for each, some at a time, in their order; the first error ends it."""
        answers: list[T] = []
        for start in range(0, len(those), AT_ONCE):
            gate = asyncio.Semaphore(IN_FLIGHT)

            async def one(each: K, gate: asyncio.Semaphore = gate) -> T:
                async with gate:
                    return await call(each)

            answers += await asyncio.gather(*map(one, those[start : start + AT_ONCE]))
            await self.beat(what)
        return answers
