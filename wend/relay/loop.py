"""The relay's loop: takes what is due from the outbox, has it told, marks it; and sweeps beside that."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from temporalio.client import Client

from wend import outbox
from wend.entries.timetable import Timetable
from wend.errors import WendError
from wend.outbox import Parcel
from wend.relay.means import Means
from wend.relay.sweeping import Sweeper
from wend.relay.telling import CutShort, Teller
from wend.runs.starting import Starter
from wend.storage.database import Database
from wend.telemetry import Telemetry

BATCH = 100
"""Parcels taken at once."""

IDLE = timedelta(milliseconds=100)
"""How long the relay sleeps when nothing is due."""

SWEEP_EVERY = timedelta(seconds=10)
"""How often it looks for what nobody has told it of: runs that were claimed and not started, occurrences that took
nobody in."""

DRAIN = timedelta(seconds=10)
"""How long a relay that is to stop goes on telling what it has taken; the rest it gives back."""

log = structlog.get_logger()


class Relay:
    """Delivers parcels.

    Args:
        database: Where the outbox is.
        client: Temporal.
        starter: Claims runs for starting.
        timetable: Says what a journey's schedule holds.
        executor: Threads for database work.
        clock: The host's clock.
        task_queue: Where workflows are started.
        telemetry: Is told what was delivered.
    """

    def __init__(
        self,
        database: Database,
        client: Client,
        starter: Starter,
        timetable: Timetable,
        executor: Executor,
        clock: Callable[[], datetime],
        task_queue: str,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._means = Means(database, client, starter, timetable, executor, task_queue)
        self._clock = clock
        self._telemetry = telemetry or Telemetry()
        self._teller = Teller(self._means, clock)
        self._sweeper = Sweeper(self._means, self._teller)

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until told to stop; what has been taken by then is told first, for ``DRAIN`` at most.

        Afterwards nothing is leased, and no run is claimed that was not started, unless the database is away.
        """
        # Side by side: a sweep may wait for a journey that is taking in a million, and a click may not.
        delivering = asyncio.create_task(self._deliver_until(stopping))
        sweeping = asyncio.create_task(self._sweep_until(stopping))
        asked = asyncio.create_task(stopping.wait())
        parts = (delivering, sweeping)
        try:
            await asyncio.wait((*parts, asked), return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set() and (await asyncio.wait(parts, timeout=DRAIN.total_seconds()))[1]:
                log.warning("relay stops before everything was told", after_seconds=DRAIN.total_seconds())
                self._teller.cut_short()
                sweeping.cancel()
                await asyncio.wait(parts)
        finally:
            for task in (*parts, asked):
                task.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):  # a defect: nothing else ends them early
                raise result

    async def deliver(self) -> int:
        """Deliver what is due, at most one batch; return how many parcels were tried.

        Raises:
            Unavailable: The database does not answer.
        """
        parcels = await self._means.in_thread(self._take)
        results = await self._teller.tell_all(parcels)
        if parcels:
            await self._means.in_thread(lambda: self._mark(list(zip(parcels, results, strict=True))))
        for parcel, error in zip(parcels, results, strict=True):
            if error is None:
                self._telemetry.delivered(parcel.kind, parcel.created_at)
            else:
                self._telemetry.not_delivered(parcel.kind)
        return len(parcels)

    async def deliver_all(self) -> None:
        """Deliver until nothing is due any more; for tests."""
        while await self.deliver():
            continue

    async def sweep(self) -> None:
        """Look once for what nobody has told of: see ``Sweeper.sweep``."""
        await self._sweeper.sweep(self._clock())

    async def watch(self, now: datetime) -> bool:
        """Look after occurrences that took nobody in: see ``Sweeper.watch``."""
        return await self._sweeper.watch(now)

    async def _deliver_until(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                if await self.deliver() == 0:
                    await _rest(IDLE, stopping)
            except WendError as error:
                log.warning("relay waits", error=str(error))
                await _rest(timedelta(seconds=1), stopping)

    async def _sweep_until(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.sweep()
            except WendError as error:
                log.warning("sweep waits", error=str(error))
            except Exception:  # a defect here must not hold up the deliveries
                log.exception("sweep failed")
            await _rest(SWEEP_EVERY, stopping)

    def _take(self) -> list[Parcel]:
        with self._means.database.read() as connection:
            if not outbox.anything_due(connection, self._clock()):
                return []  # an idle relay must not queue for SQLite's one writer
        with self._means.database.write() as connection:
            return outbox.take(connection, self._clock(), BATCH)

    def _mark(self, results: list[tuple[Parcel, Exception | None]]) -> None:
        now = self._clock()
        with self._means.database.write() as connection:
            outbox.mark_done(connection, [parcel.id for parcel, error in results if error is None], now)
            cut_short = [parcel.id for parcel, error in results if isinstance(error, CutShort)]
            outbox.give_back(connection, cut_short, now)
            for parcel, error in results:
                if error is not None and not isinstance(error, CutShort):
                    outbox.mark_failed(connection, parcel, f"{type(error).__name__}: {error}", now)


async def run_until(relay: Relay, stopping: asyncio.Event) -> None:
    """Run the relay until ``stopping`` is set, and what it has begun is told or given back."""
    await relay.run(stopping)


async def _rest(pause: timedelta, stopping: asyncio.Event) -> None:
    """Wait, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), pause.total_seconds())
