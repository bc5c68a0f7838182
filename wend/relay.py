"""The relay: carries the outbox to Temporal. It may die anywhere; what it tells may be told twice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from wend import idempotency, outbox
from wend.entries.exhausting import finish_exhausted
from wend.entries.failing import give_up
from wend.entries.timetable import Timetable
from wend.entries.watching import Unaccounted, Watcher
from wend.errors import WendError
from wend.journeys.occurrences import Occurrence
from wend.launching import launch
from wend.lifecycle.ending import close_due, finish_emptied
from wend.lifecycle.pausing import resume_due
from wend.outbox import Parcel
from wend.runs.starting import Starter
from wend.scheduling import describe, ensure_schedule, enter, fire, remove_schedule
from wend.storage.database import Database
from wend.storage.tables import runs
from wend.temporal import run_workflow_id
from wend.wire import RECORD_EVENT, WAKE, EventNotice, WakeNotice

T = TypeVar("T")

BATCH = 100
IN_FLIGHT = 16
IDLE = timedelta(milliseconds=100)
"""How long the relay sleeps when nothing is due."""

SWEEP_EVERY = timedelta(seconds=10)
"""How often it looks for what nobody has told it of: runs that were claimed and not started, occurrences that took
nobody in."""

INSPECT_EVERY = timedelta(minutes=10)
"""How often a journey's Temporal Schedule is looked at, whether it holds what it should."""

INSPECTED_AT_ONCE = 20
"""Schedules looked at in one sweep."""

RUNS_LOW = 50
"""The next occurrences that a Temporal Schedule should hold at least."""

KEEP_DELIVERED = timedelta(days=1)

KEEP_ANSWERS = timedelta(days=7)
"""How long a caller's idempotency key is good for."""

CLOCKS_APART = timedelta(milliseconds=500)
"""How far ahead of ours Temporal's clock may be."""

AWAY = frozenset({RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.RESOURCE_EXHAUSTED})
"""What Temporal, or nobody, answers to everybody when it cannot work; anything else is about the one call."""

log = structlog.get_logger()


class StartStillComing(WendError):
    """The run's workflow does not exist yet, and its row has not ended: the start is on its way."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Run {run_id!r} has no workflow yet; it is told again.")


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
    ) -> None:
        self._database = database
        self._client = client
        self._starter = starter
        self._timetable = timetable
        self._executor = executor
        self._clock = clock
        self._task_queue = task_queue
        self._watcher = Watcher(database, timetable.versions)
        self._inspected: dict[str, datetime] = {}

    async def run(self) -> None:
        """Deliver until cancelled."""
        # Beside the deliveries: a sweep may wait for a journey that is taking in a million, and a click may not.
        sweeping = asyncio.create_task(self._sweep_for_ever())
        try:
            while True:
                if sweeping.done():
                    sweeping.result()
                await self._deliver_some()
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    async def _deliver_some(self) -> None:
        delivered = 0
        try:
            delivered = await self.deliver()
        except WendError as error:
            log.warning("relay waits", error=str(error))
            await asyncio.sleep(1)
        if delivered == 0:
            await asyncio.sleep(IDLE.total_seconds())

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except WendError as error:
                log.warning("sweep waits", error=str(error))
            except Exception:  # a defect here must not hold up the deliveries
                log.exception("sweep failed")
            await asyncio.sleep(SWEEP_EVERY.total_seconds())

    async def deliver(self) -> int:
        """Deliver what is due, at most one batch; return how many parcels were tried.

        Raises:
            Unavailable: The database does not answer.
        """
        parcels = await self._in_thread(self._take)
        results = await self._try_all(parcels)
        if parcels:
            await self._in_thread(lambda: self._mark(list(zip(parcels, results, strict=True))))
        return len(parcels)

    async def deliver_all(self) -> None:
        """Deliver until nothing is due any more; for tests, and for a last round before stopping."""
        while await self.deliver():
            continue

    async def sweep(self) -> None:
        """Start runs that somebody claimed and died with, and look after occurrences that took nobody in.

        Then close journeys whose window has ended, finish closed ones that are empty, forget deliveries.
        """
        now = self._clock()
        stranded = await self._in_thread(lambda: self._starter.stranded(now))
        await self._try_all([Parcel(0, "start_run", str(run_id), {}, 1) for run_id in stranded])
        accounted = await self.watch(now)
        await self._in_thread(lambda: self._tidy(now, closing=accounted))
        await self._inspect(now)

    async def watch(self, now: datetime) -> bool:
        """Take in late what came due and was not fired, or have it written down.

        Where Temporal does not answer nothing is written: nobody can say then why an occurrence was not fired.

        Returns:
            Whether journeys whose window has ended may be closed: all their occurrences are accounted for.
        """
        found = await self._in_thread(lambda: self._watcher.look_around(now))
        abandoned = await self._in_thread(lambda: self._watcher.abandoned(now))
        accounted = True
        try:
            for each in found:
                accounted = await self._look_after(each, now) and accounted
            for journey, occurrence in abandoned:
                await self._enter_late(journey, occurrence)
        except RPCError as error:
            log.warning("occurrences wait to be looked after", error=str(error))
            return False
        return accounted

    async def _look_after(self, found: Unaccounted, now: datetime) -> bool:
        held = await describe(self._client, found.journey) if found.due else None
        try:
            entering = await self._in_thread(lambda: self._watcher.settle(found, held, now))
        except WendError as error:  # it is just taking in very many, and the other journeys need not wait for that
            log.warning("journey waits to be looked after", journey=found.journey, error=str(error))
            return not found.closing
        for occurrence in entering:
            await self._enter_late(found.journey, occurrence)
        return not (entering and found.closing)

    async def _enter_late(self, journey: str, occurrence: Occurrence) -> None:
        if await enter(self._client, journey, occurrence, self._task_queue):
            log.info("occurrence is taken in late", journey=journey, occurrence=occurrence.key)

    async def _inspect(self, now: datetime) -> None:
        """Write Temporal Schedules anew that run low, or are gone: of some journeys, of all of them before long."""
        journeys = await self._in_thread(self._timetable.journeys)
        self._inspected = {key: at for key, at in self._inspected.items() if key in journeys}
        due = [key for key in journeys if key not in self._inspected or now - self._inspected[key] >= INSPECT_EVERY]
        for journey in due[:INSPECTED_AT_ONCE]:
            try:
                if await self._runs_low(journey, now):
                    log.info("schedule is filled up", journey=journey)
                    await self._schedule(journey)
            except RPCError as error:
                log.warning("schedules wait to be inspected", error=str(error))
                return
            except (WendError, ValueError):  # a definition that cannot be read must not hold up the other journeys
                log.exception("schedule cannot be inspected", journey=journey)
            self._inspected[journey] = now

    async def _runs_low(self, journey: str, now: datetime) -> bool:
        ahead = await self._in_thread(lambda: self._timetable.ahead(journey, now))
        if ahead is None or not (ahead.coming or ahead.looks):
            return False
        held = await describe(self._client, journey)
        if held is None:
            return True
        lacks_looks = ahead.looks is not None and not held.looks
        return lacks_looks or any(coming.at not in held.dates for coming in ahead.coming[:RUNS_LOW])

    async def _try_all(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(parcel: Parcel) -> Exception | None:
            async with gate:
                return await self._try(parcel)

        return await asyncio.gather(*map(one, parcels))

    async def _try(self, parcel: Parcel) -> Exception | None:
        try:
            await self._tell(parcel)
        except (RPCError, WendError) as error:
            if parcel.attempts > 3:
                log.warning("parcel waits", kind=parcel.kind, attempts=parcel.attempts, error=str(error))
            return error
        except Exception as defect:  # one parcel that cannot be told must not hold up the others
            log.exception("parcel waits", kind=parcel.kind, attempts=parcel.attempts)
            return defect
        return None

    async def _tell(self, parcel: Parcel) -> None:
        match parcel.kind:
            case "start_run":
                await self._start(UUID(parcel.subject))
            case "wake_run":
                await self._wake(parcel)
            case "wake_ended_runs":
                await self._wake_ended(parcel)
            case "wake_held_runs":
                await self._wake_held(parcel)
            case "ensure_schedule":
                await self._schedule(parcel.subject)
            case "remove_schedule":
                await remove_schedule(self._client, parcel.subject)
            case "enter":
                due_at = datetime.fromisoformat(parcel.payload["due_at"])
                occurrence = Occurrence(parcel.payload["occurrence"], due_at)
                anew = bool(parcel.payload.get("anew"))
                await enter(self._client, parcel.subject, occurrence, self._task_queue, asked=True, anew=anew)

    async def _start(self, run_id: UUID) -> None:
        now = self._clock()
        order = await self._in_thread(lambda: self._starter.claim_one(run_id, now))
        if order is not None:
            await launch(self._client, order, self._task_queue)
            await self._in_thread(lambda: self._starter.mark_started([run_id], self._clock()))

    async def _wake(self, parcel: Parcel) -> None:
        """Ring the run's bell.

        Raises:
            StartStillComing: The workflow is not there yet.
        """
        row = await self._in_thread(lambda: self._find_run(UUID(parcel.subject)))
        if row is None:
            return  # erased
        notice: EventNotice | WakeNotice
        if "event_id" in parcel.payload:
            signal, notice = RECORD_EVENT, EventNotice(parcel.payload["event_id"], parcel.payload["name"])
        else:
            signal, notice = WAKE, WakeNotice(str(parcel.payload.get("reason", "")))
        handle = self._client.get_workflow_handle(run_workflow_id(row.journey_key, row.profile_id, row.entry_number))
        try:
            await handle.signal(signal, notice)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            if row.ended_at is None or (row.claimed_at is not None and row.started_at is None):
                raise StartStillComing(parcel.subject) from error

    async def _wake_ended(self, parcel: Parcel) -> None:
        """Wake the runs of a journey that were ended in the database, some at a time, so that clicks get their turn."""
        since, after = datetime.fromisoformat(parcel.payload["since"]), parcel.payload.get("after")
        ids = await self._in_thread(lambda: self._ended_since(parcel.subject, since, UUID(after) if after else None))
        results = await self._try_all([Parcel(0, "wake_run", str(run_id), {"reason": "ended"}, 1) for run_id in ids])
        untold = [(str(run_id), {"reason": "ended"}) for run_id, error in zip(ids, results, strict=True) if error]
        await self._in_thread(lambda: self._put_rest(parcel, untold, ids[-1] if len(ids) == BATCH else None))

    async def _wake_held(self, parcel: Parcel) -> None:
        """Wake the runs that a pause held, or that were moved: so many per second, in the order of their ids.

        Raises:
            RPCError: Temporal is away. They are told at their rate when it is back, and not all at once.
        """
        rate, after = int(parcel.payload["rate"]), parcel.payload.get("after")
        limit = min(BATCH, rate)
        ids = await self._in_thread(lambda: self._held(parcel.subject, UUID(after) if after else None, limit))
        told = {"reason": "the journey goes on"}
        results = await self._try_all([Parcel(0, "wake_run", str(run_id), told, 1) for run_id in ids])
        away = [error for error in results if isinstance(error, RPCError) and error.status in AWAY]
        if away and len(away) == len(ids):
            raise away[0]
        untold = [(str(run_id), told) for run_id, error in zip(ids, results, strict=True) if error]

        def put_rest() -> None:
            now = self._clock()
            with self._database.write() as connection:
                outbox.put_all(connection, "wake_run", untold, now)
                if len(ids) == limit:
                    rest = {"rate": rate, "after": str(ids[-1])}
                    due_at = now + timedelta(seconds=limit / rate)
                    outbox.put_later(connection, "wake_held_runs", parcel.subject, due_at, now, rest)

        await self._in_thread(put_rest)

    def _put_rest(self, parcel: Parcel, untold: Sequence[tuple[str, dict[str, str]]], last: UUID | None) -> None:
        with self._database.write() as connection:
            outbox.put_all(connection, "wake_run", untold, self._clock())
            if last is not None:
                rest = {**parcel.payload, "after": str(last)}
                outbox.put(connection, "wake_ended_runs", parcel.subject, self._clock(), rest)

    async def _schedule(self, journey: str) -> None:
        ahead = await self._in_thread(lambda: self._timetable.ahead(journey, self._clock()))
        may_fire = await ensure_schedule(self._client, journey, ahead, self._task_queue)
        if ahead is None or ahead.overdue or not may_fire:
            return
        # A schedule fires nothing of before it was written: what came due meanwhile is fired by hand.
        written = await self._in_thread(lambda: self._timetable.ahead(journey, self._clock() + CLOCKS_APART))
        if written is not None and written.overdue:
            # A firing is for what was due at its own instant, which Temporal takes from the request: not before that.
            await asyncio.sleep(CLOCKS_APART.total_seconds())
            await fire(self._client, journey)

    def _take(self) -> list[Parcel]:
        with self._database.read() as connection:
            if not outbox.anything_due(connection, self._clock()):
                return []  # an idle relay must not queue for SQLite's one writer
        with self._database.write() as connection:
            return outbox.take(connection, self._clock(), BATCH)

    def _mark(self, results: list[tuple[Parcel, Exception | None]]) -> None:
        now = self._clock()
        with self._database.write() as connection:
            outbox.mark_done(connection, [parcel.id for parcel, error in results if error is None], now)
            for parcel, error in results:
                if error is not None:
                    outbox.mark_failed(connection, parcel, f"{type(error).__name__}: {error}", now)

    def _tidy(self, now: datetime, *, closing: bool) -> None:
        with self._database.write() as connection:
            # A journey is closed only once its last occurrences have been accounted for.
            for journey in close_due(connection, now) if closing else []:
                log.info("journey closed by the end of its window", journey=journey)
            outbox.prune(connection, now - KEEP_DELIVERED)
            idempotency.forget(connection, now - KEEP_ANSWERS)
            give_up(connection, now)
        # Each takes its journeys in their order: two of them in one transaction would not.
        with self._database.write() as connection:
            for journey in resume_due(connection, now):
                log.info("journey goes on", journey=journey)
            for journey in finish_emptied(connection, now):
                log.info("journey finished", journey=journey)
        for journey in finish_exhausted(self._timetable, now):
            log.info("journey finished, for nobody can enter any more", journey=journey)

    def _find_run(
        self, run_id: UUID
    ) -> sa.Row[str, UUID, int, datetime | None, datetime | None, datetime | None] | None:
        with self._database.read() as connection:
            return connection.execute(
                sa.select(
                    runs.c.journey_key,
                    runs.c.profile_id,
                    runs.c.entry_number,
                    runs.c.claimed_at,
                    runs.c.started_at,
                    runs.c.ended_at,
                ).where(runs.c.id == run_id)
            ).one_or_none()

    def _held(self, journey: str, after: UUID | None, limit: int) -> list[UUID]:
        query = sa.select(runs.c.id).where(
            runs.c.journey_key == journey, runs.c.held_at.is_not(None), runs.c.ended_at.is_(None)
        )
        if after is not None:
            query = query.where(runs.c.id > after)
        with self._database.read() as connection:
            return list(connection.scalars(query.order_by(runs.c.id).limit(limit)))

    def _ended_since(self, journey: str, since: datetime, after: UUID | None) -> list[UUID]:
        query = sa.select(runs.c.id).where(
            runs.c.journey_key == journey, runs.c.ended_at == since, runs.c.claimed_at.is_not(None)
        )
        if after is not None:
            query = query.where(runs.c.id > after)
        with self._database.read() as connection:
            return list(connection.scalars(query.order_by(runs.c.id).limit(BATCH)))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)


async def run_until(relay: Relay, stopping: asyncio.Event) -> None:
    """Run the relay until ``stopping`` is set; parcels under way are told again by the next one."""
    task = asyncio.create_task(relay.run())
    waiter: Awaitable[bool] = stopping.wait()
    await asyncio.wait({task, asyncio.ensure_future(waiter)}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
