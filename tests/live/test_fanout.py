"""A fan-out that waits for its ceiling, on real workflows."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities import fanout
from tests.support.eventually import assert_eventually
from tests.support.world import DAY, Serving, host_clock, serving
from wend import wire
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.storage.database import Database
from wend.storage.tables import entries, runs
from wend.temporal import connect
from workflows.segment_entry import SegmentEntry

AN_HOUR = timedelta(hours=1)
TIMER = EventType.EVENT_TYPE_TIMER_STARTED


async def entered(trip: Serving, members: int, **ceiling: object) -> WorkflowHandle[SegmentEntry, wire.EntryFigures]:
    """Have everybody enter a journey, by hand; return the entry's workflow."""
    journey = f"trip-{uuid4().hex[:12]}"
    trip.world.people([f"p{number}" for number in range(members)], member=True)
    trip.world.rule("everybody", {"attribute": "member", "op": "exists"})
    begun = host_clock() - timedelta(minutes=1)
    schedule = {"start": {"at": f"{begun:%Y-%m-%dT%H:%M:%SZ}"}}
    trip.world.journey(DAY, key=journey, entry={"segment": "everybody", "schedule": schedule, "ceiling": ceiling})
    return await trip.client.start_workflow(
        wire.SEGMENT_ENTRY,
        wire.EntryInput(journey),
        id=f"entry/{journey}/by-hand",
        task_queue=trip.core.task_queue,
        result_type=wire.EntryFigures,
    )


async def test_thirty_members_at_ten_an_hour_start_in_three_hours_by_the_clock(
    time_skipping_env: WorkflowEnvironment, sqlite_database: Database
) -> None:
    async with serving(sqlite_database, time_skipping_env.client, f"fanout-{uuid4()}") as trip, trip.working():
        said = await (await entered(trip, 30, per_hour=10)).result()

    assert (said.members, said.entered) == (30, 30)
    let_in = sorted(row.claimed_at for row in trip.world.rows(runs))
    hours = [at.replace(minute=0, second=0, microsecond=0) for at in let_in]
    assert hours == [hours[0] + number // 10 * AN_HOUR for number in range(30)]


async def test_a_fan_out_that_waits_shows_it_and_ends_when_its_journey_is_stopped(
    time_skipping_env: WorkflowEnvironment, sqlite_database: Database
) -> None:
    async with serving(sqlite_database, time_skipping_env.client, f"fanout-{uuid4()}") as trip, trip.working():
        with time_skipping_env.with_time_skipping_disabled():
            entry = await entered(trip, 3, per_day=1)

        async def waits() -> str:
            timers = [event async for event in entry.fetch_history_events() if event.event_type == TIMER]
            assert timers
            return timers[0].user_metadata.summary.data.decode()

        summary = await assert_eventually(waits)
        metadata: WorkflowMetadata = await entry.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        trip.world.stop(entry.id.split("/")[1])
        await time_skipping_env.fast_forward(entry)
        said = await entry.result()

    assert re.match(r'"ceiling of 1 a day reached: goes on .* 00:00 UTC"', summary)
    assert f"- not started yet: 2 ({summary[1:-1]})" in metadata.current_details
    assert said.entered == 3
    assert len(trip.world.rows(runs, runs.c.started_at.is_not(None))) == 1
    assert [row.state for row in trip.world.rows(entries)] == ["done"]


async def test_a_fan_out_of_many_rounds_continues_as_new_and_nobody_is_lost(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "PATIENCE", timedelta(0))
    monkeypatch.setattr(fanout, "_Clock", Ticking().attempt)
    suggests = {**PROMPT_TIMERS, "limit.historyCount.suggestContinueAsNew": "30"}
    with DevServer(port=0, ui_port=None, dynamic_config=suggests) as server:
        client = await connect(server.address)
        async with serving(sqlite_database, client, f"fanout-{uuid4()}") as trip, trip.working():
            entry = await entered(trip, 10, per_hour=36_000, spread=True)
            said = await entry.result()
            links = [await closing(client, entry.id, entry.first_execution_run_id)]
            while links[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                next_run = links[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
                links.append(await closing(client, entry.id, next_run))

    assert (said.members, said.entered) == (10, 10)
    assert len(links) > 1
    assert links[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
    assert len({row.profile_id for row in trip.world.rows(runs, runs.c.started_at.is_not(None))}) == 10


class Ticking:
    """Clocks that stand still in an attempt, and are a tenth of a second on in the next: one start in each round."""

    def __init__(self) -> None:
        self._attempts: list[datetime] = []

    def attempt(self) -> "Still":
        self._attempts.append(activity.info().started_time)
        return Still(self._attempts[0] + (len(self._attempts) - 1) * timedelta(seconds=0.1))


@dataclass(frozen=True)
class Still:
    """A clock that does not go."""

    at: datetime

    def now(self) -> datetime:
        return self.at


async def closing(client: Client, workflow_id: str, run_id: str | None) -> HistoryEvent:
    """The event that ended one execution."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    return [event async for event in handle.fetch_history_events()][-1]
