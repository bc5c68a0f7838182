"""What a segment entry's workflow has done: open the entry, start its runs, count, fill the schedule up."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from activities.threads import Threads
from wend import wire
from wend.entries.opening import EntryDesk, OpenedEntry
from wend.entries.timetable import Timetable
from wend.launching import launch
from wend.runs.starting import BATCH, Starter, StartOrder
from wend.scheduling import ensure_schedule

IN_FLIGHT = 16
"""Starts under way at once; more make the server slower, not faster."""

log = structlog.get_logger()


class EntryActivities:
    """Activities of SegmentEntry.

    Args:
        client: Starts workflows.
        desk: Opens entries.
        timetable: Says what is due.
        starter: Claims pending runs.
        threads: Where database work runs.
    """

    def __init__(
        self, client: Client, desk: EntryDesk, timetable: Timetable, starter: Starter, threads: Threads
    ) -> None:
        self._client = client
        self._desk = desk
        self._timetable = timetable
        self._starter = starter
        self._threads = threads

    @activity.defn(name=wire.OPEN_ENTRY)
    async def open_entry(self, opening: wire.OpenInput) -> wire.EntryFigures:
        """Open the entry of the occurrence that is due, or return the one that was opened for it before."""
        occurrence = await self._threads.run(self._timetable.due, opening.journey, opening.fired_at)
        if occurrence is None:
            return wire.EntryFigures(None, None, note="no occurrence is due, or the journey takes nobody in any more")
        now = max(activity.info().started_time, occurrence.at)
        opened = await self._threads.run(self._desk.open, opening.journey, occurrence, now)
        if opened is None:
            return wire.EntryFigures(None, occurrence.key, note="the journey takes nobody in any more")
        return _figures(opened)

    @activity.defn(name=wire.START_RUNS)
    async def start_runs(self, start: wire.StartInput) -> int:
        """Start the workflow of every pending run of an entry, within the journey's rate; return how many.

        It may be killed anywhere, and run any number of times at once: in the end each run has one workflow.

        Raises:
            RPCError: Temporal did not take some; they are claimed again by the next attempt.
            ApplicationError: The worker stops: a fan-out may last for days, and nobody waits for it with Ctrl-C.
        """
        clock = _Clock()
        rate = await self._threads.run(self._desk.rate, start.entry_id)
        pace = _Pace(rate)
        done = 0
        claiming = self._claim(start.entry_id, clock, min(BATCH, rate))
        while True:
            orders = await claiming
            claiming = self._claim(start.entry_id, clock, min(BATCH, rate))
            if orders:
                await pace.wait(len(orders))
                done += await self._launch_all(orders, clock)
            elif await self._threads.run(self._starter.left, start.entry_id) == 0:
                await claiming
                return done
            else:  # somebody else has claimed the rest, or died with it
                await asyncio.sleep(1)
            activity.heartbeat(done)
            if activity.is_worker_shutdown():
                await self._launch_all(await claiming, clock)
                raise ApplicationError(
                    "This worker stops; the next attempt goes on.",
                    type="WorkerStops",
                    category=ApplicationErrorCategory.BENIGN,
                )

    def _claim(self, entry_id: UUID, clock: "_Clock", limit: int) -> "asyncio.Task[list[StartOrder]]":
        """Claim a batch while the one before is being started."""
        return asyncio.create_task(self._threads.run(self._starter.claim, entry_id, clock.now(), limit))

    async def _launch_all(self, orders: Sequence[StartOrder], clock: "_Clock") -> int:
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(order: StartOrder) -> UUID:
            async with gate:
                await launch(self._client, order, activity.info().task_queue)
            return order.run_id

        results = await asyncio.gather(*map(one, orders), return_exceptions=True)
        started = [each for each in results if isinstance(each, UUID)]
        if started:
            await self._threads.run(self._starter.mark_started, started, clock.now())
        for each in results:
            if isinstance(each, RPCError):
                log.warning("starts failed", failed=len(orders) - len(started), error=each.message)
            if isinstance(each, BaseException):
                raise each
        return len(started)

    @activity.defn(name=wire.FINISH_ENTRY)
    async def finish_entry(self, finish: wire.FinishInput) -> wire.EntryFigures:
        """Close an entry whose runs all have their workflow, and count once more."""
        return _figures(await self._threads.run(self._desk.finish, finish.entry_id, activity.info().started_time))

    @activity.defn(name=wire.REFILL_SCHEDULE)
    async def refill_schedule(self, entry: wire.EntryInput) -> int:
        """Fill the journey's Temporal Schedule up, or remove it; return how many occurrences it holds."""
        ahead = await self._threads.run(self._timetable.ahead, entry.journey, activity.info().started_time)
        wanted = replace(ahead, overdue=False) if ahead else None  # whoever asks was fired just now
        await ensure_schedule(self._client, entry.journey, wanted, activity.info().task_queue)
        return len(ahead.coming) if ahead else 0


def _figures(entry: OpenedEntry) -> wire.EntryFigures:
    return wire.EntryFigures(entry.id, entry.occurrence, entry.members, entry.entered, entry.excluded)


class _Clock:
    """The attempt's start by the server's clock, and what has passed since: decisions have the server's time."""

    def __init__(self) -> None:
        self._started_at = activity.info().started_time
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self._started_at + timedelta(seconds=time.monotonic() - self._began)


class _Pace:
    """Holds starts to a rate, counted from the first."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._began = time.monotonic()
        self._let_through = 0

    async def wait(self, count: int) -> None:
        """Wait until ``count`` more may start."""
        ahead = self._let_through / self._per_second - (time.monotonic() - self._began)
        while ahead > 0:
            await asyncio.sleep(min(ahead, 5))
            activity.heartbeat()
            ahead = self._let_through / self._per_second - (time.monotonic() - self._began)
        self._let_through += count
