"""The bell and the timer in every order, on a real server: the stamp alone decides which way a run goes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from tools.record_histories import click_then_timer, clicked, timed_out, timer_then_click
from tools.rig import Rig, load
from wend.runs.reading import page_runs, read_run
from wend.storage.database import Database

Play = Callable[[Rig], Awaitable[WorkflowHandle[Any, Any]]]


@pytest.mark.parametrize(
    ("play", "journey", "why", "late"),
    [
        pytest.param(clicked, "clicked", "clicked", [False], id="bell-before-the-timer"),
        pytest.param(timed_out, "timed-out", "timed_out", [], id="no-bell"),
        pytest.param(click_then_timer, "click-then-timer", "clicked", [False], id="click-in-time-woken-with-the-timer"),
        pytest.param(
            timer_then_click, "timer-then-click", "timed_out", [True], id="click-too-late-woken-with-the-timer"
        ),
    ],
)
async def test_the_stamp_decides_whoever_woke_the_run(
    play: Play, journey: str, why: str, late: list[bool], sqlite_database: Database, temporal_client: Any
) -> None:
    load(sqlite_database)
    rig = Rig(sqlite_database, temporal_client, f"queue-{journey}")

    await asyncio.wait_for(play(rig), timeout=60)

    with sqlite_database.read() as connection:
        (run,) = page_runs(connection, journey=journey)
        path = read_run(connection, run.id)
    assert run.state == "completed"
    assert [move.why_kind for move in path.moves if move.from_step == "interested"] == [why]
    assert [click.late_by is not None for click in path.clicks] == late
