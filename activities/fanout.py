"""A fan-out: the pending runs of an entry get their workflows, as fast as the journey lets profiles in."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from activities.threads import Threads
from wend import wire
from wend.launching import launch
from wend.runs.queues import SendQueues
from wend.runs.starting import Starter, StartOrder

IN_FLIGHT = 16
"""Starts under way at once; more make the server slower, not faster."""

PATIENCE = timedelta(seconds=10)
"""How long an attempt waits for more to be let in; a longer wait is a timer on the server, which needs no worker."""

SHORTEST_PAUSE = timedelta(milliseconds=10)
"""Somebody else may have taken what was there a moment ago: look again, but do not spin."""

log = structlog.get_logger()


class FanOutActivities:
    """Starts what an entry has to start.

    Args:
        client: Starts workflows.
        starter: Claims pending runs, as fast as they may start.
        threads: Where database work runs.
        queues: Where first messages wait.
    """

    def __init__(self, client: Client, starter: Starter, threads: Threads, queues: SendQueues) -> None:
        self._client = client
        self._starter = starter
        self._threads = threads
        self._queues = queues

    @activity.defn(name=wire.START_RUNS)
    async def start_runs(self, start: wire.StartInput) -> wire.FanOut:
        """Start the workflows of an entry's pending runs, until all have theirs or nobody may start for a while.

        It may be killed anywhere, and run any number of times at once: in the end each run has one workflow.

        Raises:
            RPCError: Temporal did not take some; they are claimed again by the next attempt.
            ApplicationError: The worker stops: a fan-out may last for days, and nobody waits for it with Ctrl-C.
        """
        clock = _Clock()
        done = 0
        claiming = self._claim(start.entry_id, clock)
        try:
            while True:
                if orders := await asyncio.shield(claiming):
                    claiming = self._claim(start.entry_id, clock)
                    done += await self._launch_all(orders, clock)
                else:
                    hold = await self._threads.run(self._starter.held, start.entry_id, clock.now())
                    if hold is None:
                        return wire.FanOut(done)
                    if hold.until - clock.now() > PATIENCE:
                        left = await self._threads.run(self._starter.left, start.entry_id)
                        return wire.FanOut(done, left, hold.until, hold.why)
                    await _wait(hold.until - clock.now())
                    claiming = self._claim(start.entry_id, clock)
                activity.heartbeat(done)
                if activity.is_worker_shutdown():
                    await self._launch_all(await claiming, clock)
                    raise ApplicationError(
                        "This worker stops; the next attempt goes on.",
                        type="WorkerStops",
                        category=ApplicationErrorCategory.BENIGN,
                    )
        except BaseException:
            await self._let_go(claiming, clock)
            raise

    def _claim(self, entry_id: UUID, clock: "_Clock") -> "asyncio.Task[list[StartOrder]]":
        """Claim a batch while the one before is being started."""
        return asyncio.create_task(self._threads.run(self._starter.claim, entry_id, clock.now()))

    async def _launch_all(self, orders: Sequence[StartOrder], clock: "_Clock") -> int:
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(order: StartOrder) -> None:
            async with gate:
                await launch(self._client, order, self._queues.task_queue, self._queues)
            started.append(order.run_id)

        started: list[UUID] = []
        try:
            results = await asyncio.gather(*map(one, orders), return_exceptions=True)
        finally:
            if started:
                await self._threads.run(self._starter.mark_started, started, clock.now())
            if left := list({order.run_id for order in orders} - set(started)):
                await self._threads.run(self._starter.let_go, left, clock.now())
        for each in results:
            if isinstance(each, RPCError):
                log.warning("starts failed", failed=len(orders) - len(started), error=each.message)
            if isinstance(each, BaseException):
                raise each
        return len(started)

    async def _let_go(self, claiming: "asyncio.Task[list[StartOrder]]", clock: "_Clock") -> None:
        """Let the next attempt have at once what this one has claimed ahead."""
        (claimed,) = await asyncio.gather(claiming, return_exceptions=True)
        if isinstance(claimed, list) and claimed:  # a claim that failed claimed nobody
            await self._threads.run(self._starter.let_go, [order.run_id for order in claimed], clock.now())


class _Clock:
    """The attempt's start by the server's clock, and what has passed since: decisions have the server's time."""

    def __init__(self) -> None:
        self._started_at = activity.info().started_time
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self._started_at + timedelta(seconds=time.monotonic() - self._began)


async def _wait(pause: timedelta) -> None:
    """Wait, or until this worker is to stop; heartbeats meanwhile."""
    left = max(pause, SHORTEST_PAUSE).total_seconds()
    while left > 0 and not activity.is_worker_shutdown():
        activity.heartbeat()
        with suppress(TimeoutError):
            await asyncio.wait_for(activity.wait_for_worker_shutdown(), min(left, 1))
        left -= 1
