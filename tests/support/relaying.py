"""A relay that delivers in the background, and segments that enter at once: for tests under load."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import ScheduleHandle, WorkflowHandle

from tests.support.world import Serving, host_clock
from wend import wire
from wend.relay import run_until

Entering = WorkflowHandle[Any, wire.EntryFigures]


@asynccontextmanager
async def relaying(trip: Serving) -> AsyncIterator[None]:
    """Run the relay for the length of the block."""
    stopping = asyncio.Event()
    task = asyncio.create_task(run_until(trip.relay, stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


def at_once(segment: str) -> dict[str, Any]:
    """Return the entry of a journey whose segment was to enter a minute ago."""
    begun = host_clock() - timedelta(minutes=1)
    return {"segment": segment, "schedule": {"start": {"at": f"{begun:%Y-%m-%dT%H:%M:%SZ}"}}}


async def enter(trip: Serving, key: str, way: str = "by-hand") -> Entering:
    """Fire a journey's segment entry by hand, and return its workflow."""
    return await trip.client.start_workflow(
        wire.SEGMENT_ENTRY,
        wire.EntryInput(key),
        id=f"entry/{key}/{way}",
        task_queue=trip.core.task_queue,
        result_type=wire.EntryFigures,
    )


async def trigger(trip: Serving, schedule: ScheduleHandle) -> None:
    """Fire a schedule by hand, in another second than before: Temporal makes one workflow of two firings in one."""
    fired = (await schedule.describe()).info.recent_actions
    await trip.until(lambda: all(host_clock() - each.started_at > timedelta(seconds=1) for each in fired))
    await schedule.trigger()
