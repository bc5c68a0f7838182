"""A journey's Temporal Schedule on a real server: paused, lost, with looks for joiners, and what becomes of each."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, ScheduleHandle, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from tests.support.eventually import assert_eventually
from tests.support.relaying import trigger
from tests.support.world import Serving, host_clock, serving
from tools.lost_tasks import without_lost_tasks
from wend import wire
from wend.entries.watching import GRACE, take_in
from wend.scheduling import describe
from wend.storage.database import Database
from wend.storage.tables import entries, runs, segments
from wend.temporal import schedule_id

MEMBER = {"attribute": "member", "op": "exists"}
A_YEAR = {"id": "year", "type": "wait", "for": "P365D"}
A_SECOND = timedelta(seconds=1)


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    async with serving(sqlite_database, temporal_client, f"schedules-{uuid4()}") as served:
        served.world.rule("everybody", MEMBER)
        yield served


async def published(trip: Serving, start: datetime, **more: Any) -> tuple[str, ScheduleHandle]:
    """Publish a journey that starts at an instant, and have its schedule made."""
    journey, window = f"trip-{uuid4().hex[:12]}", more.pop("window", None)
    schedule = {"start": {"at": f"{start:%Y-%m-%dT%H:%M:%SZ}"}, **more.pop("schedule", {})}
    windowed = {"window": window} if window else {}
    trip.world.journey(A_YEAR, key=journey, entry={"segment": "everybody", "schedule": schedule, **more}, **windowed)
    await trip.relay.deliver_all()
    return journey, trip.client.get_schedule_handle(schedule_id(journey))


async def ended(trip: Serving, journey: str, count: int = 1) -> list[WorkflowHandle[Any, wire.EntryFigures]]:
    """Wait until so many segment entries of a journey have ended; return them, the first one first."""
    query = f"WendJourney = '{journey}' AND WorkflowType = 'SegmentEntry'"

    async def check() -> list[Any]:
        found = [each async for each in trip.client.list_workflows(query)]
        assert len(found) == count
        assert all(each.close_time for each in found)
        return sorted(found, key=lambda each: each.start_time)

    return [
        trip.client.get_workflow_handle(each.id, run_id=each.run_id, result_type=wire.EntryFigures)
        for each in await assert_eventually(check)
    ]


def became(trip: Serving) -> list[tuple[str, str | None]]:
    return [(row.state, row.reason) for row in sorted(trip.world.rows(entries), key=lambda row: row.due_at)]


def soon(by: timedelta = A_SECOND) -> datetime:
    return (host_clock() + by + A_SECOND).replace(microsecond=0)


async def matching(trip: Serving, journey: str, first: datetime, last: datetime) -> list[datetime]:
    """Return what the Temporal Schedule itself says it will do."""
    since, until = Timestamp(), Timestamp()
    since.FromDatetime(first)
    until.FromDatetime(last)
    answer = await trip.client.workflow_service.list_schedule_matching_times(
        ListScheduleMatchingTimesRequest(
            namespace=trip.client.namespace, schedule_id=schedule_id(journey), start_time=since, end_time=until
        )
    )
    return [at.ToDatetime(tzinfo=UTC) for at in answer.start_time]


async def test_a_paused_schedule_does_not_enter_and_resuming_does_not_back_fill_unless_asked(trip: Serving) -> None:
    """Also a pause that is over when somebody looks; and a new version meanwhile does not fire it."""
    trip.world.people(["ada", "ben"], member=True)
    journey, schedule = await published(trip, host_clock() + timedelta(hours=1))
    async with trip.working():
        await schedule.pause(note="the shop is closed")
        at = soon(timedelta(0))
        start = {"start": {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}}
        trip.world.journey(A_YEAR, key=journey, entry={"segment": "everybody", "schedule": start})
        await trip.relay.deliver_all()
        await trip.until(lambda: host_clock() > at + A_SECOND / 5)
        trip.world.journey(A_YEAR | {"for": "P9D"}, key=journey, entry={"segment": "everybody", "schedule": start})
        await trip.relay.deliver_all()
        paused = (await schedule.describe()).schedule.state
        assert (paused.paused, paused.note) == (True, "the shop is closed")
        await schedule.unpause()

        assert await trip.relay.watch(host_clock() + GRACE)
        assert became(trip) == [("skipped", "schedule_paused")]
        await trip.relay.watch(host_clock() + 2 * GRACE)
        await trip.relay.deliver_all()
        await ended(trip, journey, 0)

        (skipped,) = trip.world.rows(entries)
        with trip.world.database.write() as connection:
            take_in(connection, journey, skipped.occurrence, host_clock())
        await trip.relay.deliver_all()
        (entry,) = await ended(trip, journey)
        said = await entry.result()

    assert (said.occurrence, said.members, said.entered) == (skipped.occurrence, 2, 2)
    assert became(trip) == [("done", None)]


@pytest.mark.parametrize("was_there", [False, True], ids=["made", "changed"])
async def test_a_start_that_passes_before_temporal_has_its_schedule_is_fired(
    trip: Serving, was_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporal takes its time, and the relay does not see it: its clock says that the start is still to come."""
    trip.world.people(["ada"], member=True)
    journey = f"trip-{uuid4().hex[:12]}"
    if was_there:
        later = {"start": {"at": f"{host_clock() + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}}
        trip.world.journey(A_YEAR, key=journey, entry={"segment": "everybody", "schedule": later})
        await trip.relay.deliver_all()
    at = soon()
    start = {"start": {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}}
    trip.world.journey(A_YEAR | {"for": "P9D"}, key=journey, entry={"segment": "everybody", "schedule": start})
    create, update = Client.create_schedule, ScheduleHandle.update

    async def create_late(client: Client, *what: Any, **more: Any) -> ScheduleHandle:
        await trip.until(lambda: host_clock() > at)
        return await create(client, *what, **more)

    async def update_late(handle: ScheduleHandle, *what: Any, **more: Any) -> None:
        await trip.until(lambda: host_clock() > at)
        await update(handle, *what, **more)

    monkeypatch.setattr(Client, "create_schedule", create_late)
    monkeypatch.setattr(ScheduleHandle, "update", update_late)
    monkeypatch.setattr(trip.relay._teller, "_clock", lambda: at - A_SECOND)
    await trip.relay.deliver_all()
    async with trip.working():
        (entry,) = await ended(trip, journey)
        said = await entry.result()
    assert (said.members, said.entered) == (1, 1)
    assert became(trip) == [("done", None)]


async def test_a_schedule_that_was_lost_is_made_anew_and_what_it_did_not_fire_is_taken_in(trip: Serving) -> None:
    trip.world.people(["ada"], member=True)
    start = (host_clock() + timedelta(hours=1)).replace(microsecond=0)
    journey, schedule = await published(trip, start, schedule={"every": {"hours": 1}}, frequency="repeating")
    await schedule.delete()
    async with trip.working():
        assert await trip.relay.watch(start + GRACE)
        (late,) = await ended(trip, journey)
        assert (await late.result()).entered == 1
        assert await trip.relay.watch(start + GRACE)
        await ended(trip, journey, 1)
    # The firing itself has filled the schedule up; take it away once more, and low on dates after that.
    await schedule.delete()
    await trip.relay.sweep()
    held = await describe(trip.client, journey)
    assert held is not None
    assert len(held.dates) == 200


async def test_where_temporal_does_not_answer_nothing_is_written_down(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    await published(trip, host_clock() - timedelta(hours=3), schedule={"every": {"hours": 1}}, frequency="repeating")

    async def away(*_: object, **__: object) -> None:
        raise RPCError("no connection", RPCStatusCode.UNAVAILABLE, b"")

    monkeypatch.setattr("wend.relay.sweeping.describe", away)
    assert not await trip.relay.watch(host_clock() + timedelta(days=1))
    assert became(trip) == []
    monkeypatch.undo()
    assert await trip.relay.watch(host_clock() + timedelta(days=1))
    assert set(became(trip)) == {("missed", "outage")}


async def test_a_window_that_has_ended_closes_its_journey_once_its_occurrences_are_accounted_for(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = host_clock() + timedelta(hours=1)
    window = {"closes": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}
    journey, schedule = await published(trip, start, window=window)
    monkeypatch.setattr(trip.relay, "_clock", lambda: start + timedelta(hours=2))

    async def away(*_: object, **__: object) -> None:
        raise RPCError("no connection", RPCStatusCode.UNAVAILABLE, b"")

    with monkeypatch.context() as patched:
        patched.setattr("wend.relay.sweeping.describe", away)
        await trip.relay.sweep()
    assert trip.world.figures(journey).state == "scheduled"

    await trip.relay.sweep()

    assert became(trip) == [("missed", "outage")]
    assert trip.world.figures(journey).state == "finished"
    await trip.relay.deliver_all()
    with pytest.raises(RPCError):
        await schedule.describe()


async def test_a_schedule_that_runs_low_is_filled_up(trip: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("wend.entries.timetable.MOST_AHEAD", 40)
        journey, _ = await published(trip, host_clock(), schedule={"every": {"hours": 1}}, frequency="repeating")
    for held_before, held_after in ((40, 200), (200, 200)):
        held = await describe(trip.client, journey)
        assert held is not None
        assert len(held.dates) == held_before
        await trip.relay.sweep()
        held = await describe(trip.client, journey)
        assert held is not None
        assert len(held.dates) == held_after


async def test_a_first_occurrence_in_the_past_is_not_made_up_for_where_the_schedule_repeats(trip: Serving) -> None:
    begun = (host_clock() - timedelta(minutes=150)).replace(microsecond=0)
    journey, schedule = await published(trip, begun, schedule={"every": {"hours": 1}}, frequency="repeating")
    assert (await schedule.describe()).info.next_action_times[0] == begun + timedelta(hours=3)
    await trip.relay.watch(host_clock() + GRACE)
    await ended(trip, journey, 0)
    assert became(trip) == []


async def test_what_the_schedule_says_of_its_looks(trip: Serving) -> None:
    start = (host_clock() + timedelta(days=3)).replace(minute=7, second=13, microsecond=0)
    closes = start + timedelta(minutes=30)
    journey, schedule = await published(
        trip,
        start,
        frequency="once_and_joiners",
        refresh="PT10M",
        window={"closes": f"{closes:%Y-%m-%dT%H:%M:%SZ}"},
    )
    a_day = timedelta(days=1)
    times = await matching(trip, journey, start - a_day, start + a_day)
    assert times == [start + timedelta(minutes=minutes) for minutes in (0, 10, 20, 30)]
    found = await schedule.describe()
    assert found.schedule.policy.catchup_window == timedelta(days=3650)
    assert "looks for joiners every PT10M" in (found.schedule.state.note or "")


async def test_joiners_are_found_by_a_look_and_a_look_that_finds_nobody_is_short(trip: Serving) -> None:
    trip.world.people(["ada"], member=True)
    start = (host_clock() - timedelta(minutes=5)).replace(microsecond=0)
    async with trip.working():
        journey, schedule = await published(trip, start, frequency="once_and_joiners", refresh="PT1H")
        await ended(trip, journey)
        assert (await schedule.describe()).schedule.policy.catchup_window == timedelta(hours=1)
        await trigger(trip, schedule)
        await ended(trip, journey, 2)
        (ben,) = trip.world.people(["ben"], member=True)
        await trigger(trip, schedule)
        _, nobody, joined = await ended(trip, journey, 3)

        assert (await nobody.result()).note == "nobody has joined since the last look"
        events = without_lost_tasks((await nobody.fetch_history()).events)
        assert len(events) <= 11  # begun, one activity, ended: three tasks in all
        said = await joined.result()
    assert (said.members, said.entered) == (1, 1)
    (entry,) = trip.world.rows(entries, entries.c.kind == "joiners")
    assert {row.profile_id for row in trip.world.rows(runs, runs.c.entry_id == entry.id)} == {ben}


async def test_a_segment_that_is_gone_is_written_down_and_tried_again(trip: Serving) -> None:
    trip.world.people(["ada"], member=True)
    start = (host_clock() - timedelta(minutes=5)).replace(microsecond=0)
    _, schedule = await published(trip, start)
    with trip.world.database.write() as connection:
        connection.execute(sa.delete(segments))
    async with trip.working():
        await trip.until(lambda: became(trip) == [("failing", None)])
        (failing,) = trip.world.rows(entries)
        assert failing.error.startswith("NotFound: There is no segment 'everybody'.")
        trip.world.rule("everybody", MEMBER)
        await trigger(trip, schedule)
        await trip.until(lambda: became(trip) == [("done", None)])
    (done,) = trip.world.rows(entries)
    assert (done.id, done.members, done.error) == (failing.id, 1, None)
    assert done.attempts >= 1
