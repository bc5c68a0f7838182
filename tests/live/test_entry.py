"""A segment enters: by each form of start, through the real schedule, and whatever dies on the way."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from temporalio.client import Client, ScheduleOverlapPolicy, WorkflowHandle
from temporalio.service import RPCError

from tests.support.eventually import assert_eventually
from tests.support.relaying import trigger
from tests.support.world import DAY, Serving, World, host_clock, serving
from wend import wire
from wend.devserver import DevServer
from wend.journeys.occurrences import Occurrence
from wend.segments import store as segment_store
from wend.storage.database import Database
from wend.storage.tables import entries, exclusions, runs
from wend.temporal import run_workflow_id, schedule_id

ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=120)
MEMBER = {"attribute": "member", "op": "exists"}
A_YEAR = {"id": "year", "type": "wait", "for": "P365D"}


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    async with serving(sqlite_database, temporal_client, f"entry-{uuid4()}") as served:
        served.world.rule("everybody", MEMBER)
        yield served


def key() -> str:
    """Schedules share one server: each test has a journey of its own."""
    return f"trip-{uuid4().hex[:12]}"


async def fired(trip: Serving, journey: str, count: int = 1) -> list[wire.EntryFigures]:
    """Wait until so many segment entries of a journey have ended; return what they said, the first one first."""
    query = f"WendJourney = '{journey}' AND WorkflowType = 'SegmentEntry'"

    async def ended() -> list[Any]:
        found = [each async for each in trip.client.list_workflows(query)]
        assert len(found) >= count
        assert all(each.close_time for each in found)
        return sorted(found, key=lambda each: each.start_time)

    found = await assert_eventually(ended)
    assert len(found) == count
    handles: list[WorkflowHandle[Any, wire.EntryFigures]] = [
        trip.client.get_workflow_handle(each.id, run_id=each.run_id, result_type=wire.EntryFigures) for each in found
    ]
    return [await handle.result() for handle in handles]


async def in_step(trip: Serving, journey: str) -> None:
    """Every run has its workflow, and nobody else."""
    expected = {
        run_workflow_id(row.journey_key, row.profile_id, row.entry_number)
        for row in trip.world.rows(runs, runs.c.journey_key == journey)
    }

    async def agree() -> None:
        query = f"WendJourney = '{journey}' AND WorkflowType = 'JourneyRun'"
        assert {each.id async for each in trip.client.list_workflows(query)} == expected

    await assert_eventually(agree)


# -- the three forms of start -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["after publish", "at a date-time"])
async def test_a_start_goes_from_publish_by_way_of_the_schedule_to_runs(trip: Serving, form: str) -> None:
    journey = key()
    ada, ben = trip.world.people(["ada", "ben"], member=True)
    at = (host_clock() + timedelta(seconds=2)).replace(microsecond=0)
    start = {"after_publish": "PT1S"} if form == "after publish" else {"at": f"{at:%Y-%m-%dT%H:%M:%S}"}
    trip.world.journey(A_YEAR, key=journey, entry={"segment": "everybody", "schedule": {"start": start}})
    await trip.relay.deliver_all()
    assert trip.world.rows(entries) == []
    async with trip.working():
        (said,) = await fired(trip, journey)
        trip.world.people(["late"], member=True)
        await in_step(trip, journey)

    assert (said.members, said.entered, said.excluded) == (2, 2, 0)
    assert {row.profile_id for row in trip.world.rows(runs)} == {ada, ben}
    (entry,) = trip.world.rows(entries)
    assert entry.state == "done"
    if form == "at a date-time":
        assert entry.occurrence == f"{at:%Y-%m-%dT%H:%M:%S}".removesuffix(":00")
        assert entry.due_at == at
    assert trip.world.figures(journey).state == "live"
    description = await trip.client.get_schedule_handle(schedule_id(journey)).describe()
    assert description.info.next_action_times == []


async def test_a_start_that_was_missed_while_temporal_was_away_is_made_when_the_relay_comes_back(trip: Serving) -> None:
    journey = key()
    trip.world.people(["ada"], member=True)
    entry = {"segment": "everybody", "schedule": {"start": {"at": "2026-01-01T09:00"}}}
    async with trip.working():
        trip.world.journey(A_YEAR, key=journey, entry=entry)
        await trip.relay.deliver_all()
        (said,) = await fired(trip, journey)
    assert (said.occurrence, said.entered) == ("2026-01-01T09:00", 1)


async def test_a_start_that_comes_due_while_the_schedule_is_written_is_not_lost(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schedule fires nothing of before it was made; a start delay of nothing is due before anybody can make it."""
    journey = key()
    trip.world.people(["ada"], member=True)
    schedule = {"start": {"after_publish": "PT0S"}}
    async with trip.working():
        trip.world.journey(A_YEAR, key=journey, entry={"segment": "everybody", "schedule": schedule})
        due_at = (host_clock() + timedelta(seconds=1)).replace(microsecond=0)
        ahead, just_before = trip.core.timetable.ahead, iter([due_at - timedelta(milliseconds=1)])
        monkeypatch.setattr(trip.core.timetable, "ahead", lambda key, now: ahead(key, next(just_before, now)))
        await trip.until(lambda: host_clock() > due_at)
        await trip.relay.deliver_all()
        (said,) = await fired(trip, journey)
    assert said.entered == 1


async def test_a_repeating_schedule_holds_dated_instants_and_a_firing_by_hand_finds_its_occurrence(
    trip: Serving,
) -> None:
    journey = key()
    trip.world.people(["ada", "ben"], member=True)
    begun = (host_clock() - timedelta(minutes=150)).replace(microsecond=0)
    repeating = {"start": {"at": f"{begun:%Y-%m-%dT%H:%M:%SZ}"}, "every": {"hours": 1}}
    entry = {"segment": "everybody", "frequency": "repeating", "schedule": repeating}
    async with trip.working():
        trip.world.journey(A_YEAR, key=journey, entry=entry)
        await trip.relay.deliver_all()
        handle = trip.client.get_schedule_handle(schedule_id(journey))
        schedule = (await handle.describe()).schedule
        calendars = schedule.spec.calendars
        assert len(calendars) == 200
        dated = [
            datetime(
                c.year[0].start,
                c.month[0].start,
                c.day_of_month[0].start,
                c.hour[0].start,
                c.minute[0].start,
                c.second[0].start,
                tzinfo=UTC,
            )
            for c in calendars
        ]
        assert sorted(dated) == [begun + timedelta(hours=3 + number) for number in range(200)]
        assert schedule.policy.catchup_window == timedelta(hours=1)
        assert schedule.policy.overlap == ScheduleOverlapPolicy.ALLOW_ALL
        assert "200 held as dates in UTC" in (schedule.state.note or "")

        await trigger(trip, handle)
        (by_hand,) = await fired(trip, journey)
        await trigger(trip, handle)
        _, again = await fired(trip, journey, 2)
        await in_step(trip, journey)

    latest = begun + timedelta(hours=2)
    assert by_hand.occurrence == f"{latest:%Y-%m-%dT%H:%M:%SZ}"
    assert (by_hand.members, by_hand.entered) == (2, 2)
    assert (again.entry_id, again.entered) == (None, 0)
    assert "no occurrence is due" in again.note
    assert len(trip.world.rows(entries)) == 1


async def test_closing_a_journey_removes_its_schedule(trip: Serving) -> None:
    journey = key()
    trip.world.journey(DAY, key=journey, entry={"segment": "everybody"})
    await trip.relay.deliver_all()
    handle = trip.client.get_schedule_handle(schedule_id(journey))
    assert len((await handle.describe()).info.next_action_times) == 1

    trip.world.close(journey)
    await trip.relay.deliver_all()

    with pytest.raises(RPCError):
        await handle.describe()


# -- killed on the way --------------------------------------------------------------------------------------------

ENTER = 120
"""Members of whom nothing speaks against."""

EACH = 10
"""Members of whom something does, for each reason."""

KILLED_AT = (20, 50, 80)
"""Members who have their workflow."""


@contextmanager
def worker_processes(*arguments: str) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Yield what runs a worker, a process of its own, for the length of a block, and kills it."""
    command = [sys.executable, "-m", "tests.support.entering", *arguments]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        asked, told = starter.stdin, starter.stdout
        assert asked is not None
        assert told is not None

        @contextmanager
        def worker() -> Iterator[None]:
            asked.write("\n")
            asked.flush()
            pid = int(told.readline())
            try:
                yield
            finally:
                os.kill(pid, signal.SIGKILL)

        yield worker


def with_every_reason(world: World, journey: str) -> dict[str, int]:
    """Fill the segment, with somebody for every reason not to enter; return how many there are for each."""
    world.people([f"p{number}" for number in range(ENTER)], member=True)
    early = world.people([f"early{number}" for number in range(EACH)], early=True, member=True)
    inside = world.people([f"inside{number}" for number in range(EACH)], member=True)
    world.listed("employees", world.people([f"employee{number}" for number in range(EACH)], member=True))
    world.people([f"outsider{number}" for number in range(EACH)])
    for number in range(EACH):
        world.person(f"no-email{number}", email=None, attributes={"member": True})
    world.rule("everybody", MEMBER)
    world.rule("early", {"attribute": "early", "op": "exists"})
    at = host_clock() - timedelta(hours=1)
    first = {"segment": "early", "schedule": {"start": {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}}}
    world.journey(A_YEAR, key=journey, entry=first)
    opened = world.desk.open(journey, Occurrence("the first", at), at)
    assert opened is not None
    assert opened.entered == len(early)
    for person in inside:
        world.request(person, journey)
    everybody = {"segment": "everybody", "exclude": ["employees"], "namespace": "email", "rate": "100000/s"}
    world.journey(A_YEAR, key=journey, entry=everybody | {"schedule": first["schedule"]})
    return dict.fromkeys(("already_entered", "still_inside", "excluded_segment", "no_identity"), EACH)


async def test_an_entry_adds_up_though_its_worker_is_killed_three_times(
    postgres_database: Database, migrated_postgres_url: str, temporal_client: Client, temporal_server: DevServer
) -> None:
    """Members, counted from the segment itself, are runs and exclusions; each run has one workflow, and nobody else."""
    journey, task_queue = key(), f"entry-{uuid4()}"
    async with serving(postgres_database, temporal_client, task_queue) as trip, AsyncExitStack() as stack:
        reasons = await asyncio.to_thread(with_every_reason, trip.world, journey)
        entry = await temporal_client.start_workflow(
            wire.SEGMENT_ENTRY,
            wire.EntryInput(journey),
            id=f"entry/{journey}/by-hand",
            task_queue=task_queue,
            result_type=wire.EntryFigures,
        )

        def started() -> int:
            query = sa.select(sa.func.count()).where(runs.c.journey_key == journey, runs.c.started_at.is_not(None))
            with postgres_database.read() as connection:
                return connection.scalar(query) or 0

        worker = stack.enter_context(worker_processes(migrated_postgres_url, temporal_server.address, task_queue))
        for count in KILLED_AT:
            with worker():
                await trip.until(lambda count=count: started() >= count, PATIENCE)  # type: ignore[misc]
        with worker():
            said = await asyncio.wait_for(entry.result(), PATIENCE.total_seconds())

            with postgres_database.read() as connection:
                members = segment_store.count(connection, "everybody", host_clock())
            its_exclusions = trip.world.rows(exclusions, exclusions.c.entry_id == said.entry_id)
            counted = {reason: sum(row.reason == reason for row in its_exclusions) for reason in reasons}
            assert counted == reasons
            assert (
                (said.members, said.entered, said.excluded)
                == (members, ENTER, len(its_exclusions))
                == (ENTER + 4 * EACH, ENTER, 4 * EACH)
            )
            its_runs = trip.world.rows(runs, runs.c.entry_id == said.entry_id)
            assert len({row.profile_id for row in its_runs}) == len(its_runs) == ENTER
            await one_workflow_each(trip, said, [(row.profile_id, row.entry_number) for row in its_runs], journey)

            # The same occurrence fired again changes nothing.
            again = await temporal_client.execute_workflow(
                wire.SEGMENT_ENTRY,
                wire.EntryInput(journey),
                id=f"entry/{journey}/again",
                task_queue=task_queue,
                result_type=wire.EntryFigures,
            )
        assert again.entry_id is None
        assert trip.world.rows(runs, runs.c.entry_id == said.entry_id) == its_runs
        assert len(trip.world.rows(entries, entries.c.kind == "segment")) == 2


async def one_workflow_each(
    trip: Serving, entry: wire.EntryFigures, its_runs: list[tuple[Any, int]], journey: str
) -> None:
    expected = {run_workflow_id(journey, profile_id, number) for profile_id, number in its_runs}

    async def agree() -> None:
        found = [each.id async for each in trip.client.list_workflows(f"WendEntry = '{entry.entry_id}'")]
        assert len(found) == len(set(found)) == len(expected)
        assert set(found) == expected

    await assert_eventually(agree, timeout=PATIENCE)
    assert not trip.world.rows(runs, runs.c.entry_id == entry.entry_id, runs.c.started_at.is_(None))
