"""The bell and the timer in every order, on a real server: the stamp alone decides which way a run goes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType as Kind
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from tests.support.eventually import assert_eventually
from tests.support.world import host_clock
from tools.record_histories import clicked, mail_and_wait, timed_out
from tools.rig import Rig, load
from wend.events.recording import EventLog
from wend.runs.reading import page_runs, read_run
from wend.storage.database import Database

AN_HOUR = timedelta(hours=1)

Play = Callable[[Rig], Awaitable[object]]


def went(database: Database, journey: str) -> tuple[list[str], list[bool]]:
    """Return why the journey's only run, which has completed, left its wait, and of each click whether it was late."""
    with database.read() as connection:
        (run,) = page_runs(connection, journey=journey)
        path = read_run(connection, run.id)
    assert run.state == "completed"
    why = [move.why_kind for move in path.moves if move.from_step == "interested"]
    return why, [click.late_by is not None for click in path.clicks]


@pytest.mark.parametrize(
    ("play", "journey", "expected"),
    [
        pytest.param(clicked, "clicked", (["clicked"], [False]), id="bell-before-the-timer"),
        pytest.param(timed_out, "timed-out", (["timed_out"], []), id="no-bell"),
    ],
)
async def test_whichever_comes_alone_decides(
    play: Play, journey: str, expected: object, sqlite_database: Database, temporal_client: Client
) -> None:
    load(sqlite_database)
    rig = Rig(sqlite_database, temporal_client, f"queue-{journey}")
    await asyncio.wait_for(play(rig), timeout=120)
    assert went(sqlite_database, journey) == expected


async def test_a_click_in_time_counts_though_the_timer_wakes_the_run_too(
    sqlite_database: Database, temporal_client: Client
) -> None:
    """No worker is up when both come in, so one workflow task has them."""
    load(sqlite_database)
    rig = Rig(sqlite_database, temporal_client, "queue-click-then-timer")
    for seconds in (2, 10, 50):  # a machine may be too slow to take the worker down and to click in so short a time
        journey = f"click-then-timer-{seconds}"
        rig.publish(journey, mail_and_wait(f"PT{seconds}S"))
        async with rig.worker():
            run_id, handle = await rig.start(journey)
            await has(handle, Kind.EVENT_TYPE_TIMER_STARTED)
        await rig.click(run_id)
        if Kind.EVENT_TYPE_TIMER_FIRED not in await kinds(handle):
            break
    await has(handle, Kind.EVENT_TYPE_TIMER_FIRED)
    async with rig.worker():
        await asyncio.wait_for(handle.result(), timeout=120)
    assert went(sqlite_database, journey) == (["clicked"], [False])


async def test_a_click_too_late_does_not_count_though_it_comes_before_the_run_has_decided(
    sqlite_database: Database, time_skipping_env: WorkflowEnvironment
) -> None:
    """Again one workflow task has both; the hour passes on the workflow's own clock."""
    load(sqlite_database)
    rig = Rig(sqlite_database, time_skipping_env.client, "queue-timer-then-click")
    rig.publish("timer-then-click", mail_and_wait("PT1H"))
    async with rig.worker():
        with time_skipping_env.with_time_skipping_disabled():
            run_id, handle = await rig.start("timer-then-click")
        await has(handle, Kind.EVENT_TYPE_TIMER_STARTED)
    await time_skipping_env.fast_forward(handle, AN_HOUR + timedelta(seconds=1))
    await has(handle, Kind.EVENT_TYPE_TIMER_FIRED)
    rig.events = EventLog(sqlite_database, lambda: host_clock() + AN_HOUR)
    await rig.click(run_id)
    async with rig.worker():
        await asyncio.wait_for(handle.result(), timeout=120)
    assert went(sqlite_database, "timer-then-click") == (["timed_out"], [True])


async def kinds(handle: WorkflowHandle[Any, Any]) -> list["Kind.ValueType"]:
    return [event.event_type for event in (await handle.fetch_history()).events]


async def has(handle: WorkflowHandle[Any, Any], kind: "Kind.ValueType") -> None:
    """Return when a workflow's history has an event of a kind."""

    async def check() -> None:
        assert kind in await kinds(handle)

    await assert_eventually(check)
