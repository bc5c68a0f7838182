"""What a pause keeps waiting, on a real server: runs that are held, and entries that are queued."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RetryConfig
from temporalio.testing import WorkflowEnvironment

from tests.support.eventually import assert_eventually
from tests.support.ports import lasting_port
from tests.support.relaying import at_once, enter, relaying
from tests.support.world import MAIL, TEXT, Serving, host_clock, serving
from tools.lost_tasks import without_lost_tasks
from wend import outbox as parcels
from wend.devserver import DevServer
from wend.storage.database import Database
from wend.storage.tables import entries, outbox, runs
from wend.temporal import connect
from worker import Core, build_relay

SKIPS = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
)
"""What a clock that is taken forward writes."""

A_YEAR = timedelta(days=365)


async def timers(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Return what the timers of a workflow's history are for."""
    return [
        event.user_metadata.summary.data.decode().strip('"')
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]


async def at_rest(handle: WorkflowHandle[Any, Any], timers_set: int) -> int:
    """Wait until a workflow has set so many timers and has nothing to do; return how many events it has made."""

    async def rests() -> int:
        description = await handle.describe()
        assert not description.raw_description.HasField("pending_workflow_task")
        assert len(await timers(handle)) == timers_set
        events = without_lost_tasks([each async for each in handle.fetch_history_events()])
        return len([each for each in events if each.event_type not in SKIPS])

    return await assert_eventually(rests)


async def wake(trip: Serving, run_id: UUID) -> None:
    """Ring a run's bell, as a resumption, a move or an exit would."""
    with trip.world.database.write() as connection:
        parcels.put(connection, "wake_run", run_id, trip.world.time(), {"reason": "somebody looks"})
    await trip.relay.deliver_all()


async def test_a_held_runs_history_grows_neither_by_time_nor_by_what_happens_meanwhile(
    time_skipping_env: WorkflowEnvironment, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clicks and events that it does not wait for ring no bell; a bell costs as much as it always does."""
    async with serving(sqlite_database, time_skipping_env.client, f"held-{uuid4()}") as trip, trip.working():
        trip.world.journey(MAIL, {"id": "rest", "type": "wait", "for": "P1D"}, TEXT)
        ada = trip.world.person("ada")
        with time_skipping_env.with_time_skipping_disabled():
            run_id = await trip.start(ada)
        handle = trip.handle(run_id)
        await at_rest(handle, 1)
        trip.world.pause()
        await time_skipping_env.fast_forward(handle, timedelta(days=2))
        held = await at_rest(handle, 2)
        assert trip.world.row(run_id).held_at is not None

        monkeypatch.setattr(trip.world, "_clock", lambda: host_clock() + timedelta(days=3))
        for number in range(20):
            trip.world.click(run_id)
            trip.world.happen(ada, "bought", f"event/{number}")
        await trip.relay.deliver_all()
        await time_skipping_env.fast_forward(handle, A_YEAR)
        assert await at_rest(handle, 2) == held

        costs = []
        for number in range(1, 5):
            before = await at_rest(handle, 1 + number)
            await wake(trip, run_id)
            costs.append(await at_rest(handle, 2 + number) - before)
        # A signal, a task of three events, the local activity's marker, the old timer cancelled and a new one set.
        assert costs == [7] * 4

        trip.world.resume()
        await trip.relay.deliver_all()
        path = await trip.ended(run_id)

    assert [move.to_step for move in path.moves] == ["mail", "rest", "text", "exit"]
    assert (len(trip.email.begun), len(trip.sms.begun)) == (1, 1)


async def test_who_enters_during_a_pause_is_queued_and_starts_once_when_the_journey_goes_on(
    time_skipping_env: WorkflowEnvironment, sqlite_database: Database
) -> None:
    key = f"queued-{uuid4().hex[:12]}"
    async with serving(sqlite_database, time_skipping_env.client, key) as trip, trip.working():
        people = trip.world.people([f"p{number}" for number in range(10)])
        trip.world.listed("everybody", people)
        trip.world.journey(MAIL, key=key, entry=at_once("everybody"))
        trip.world.pause(key, entries="queue")
        with time_skipping_env.with_time_skipping_disabled():
            entering = await enter(trip, key)
        late = trip.world.request(trip.world.person("ada"), key)
        await trip.relay.deliver_all()

        async def sleeps() -> None:
            assert await timers(entering) == ["the journey is paused"]

        await assert_eventually(sleeps)
        (entry,) = trip.world.rows(entries, entries.c.kind == "segment")
        assert (entry.state, entry.members) == ("open", 10)
        assert {row.started_at for row in trip.world.rows(runs)} == {None}
        assert trip.world.figures(key).pending == 11

        trip.world.listed("everybody", trip.world.people(["toolate"]))
        trip.world.resume(key)
        await trip.relay.deliver_all()
        await trip.until(lambda: trip.world.figures(key).outcomes == {"completed": 11})
        # Whoever slept finds nothing to do.
        await time_skipping_env.fast_forward(entering)
        said = await entering.result()

        async def one_workflow_each() -> None:
            query = f"WendJourney = '{key}' AND WorkflowType = 'JourneyRun'"
            found = [each async for each in trip.client.list_workflows(query)]
            assert len(found) == 11
            assert {each.status for each in found} == {WorkflowExecutionStatus.COMPLETED}

        await assert_eventually(one_workflow_each)

    assert (said.members, said.entered, said.excluded) == (10, 10, 0)
    assert {row.profile_id for row in trip.world.rows(runs)} == {*people, trip.world.row(late).profile_id}
    assert sorted(message.to for message in trip.email.begun) == sorted(
        ["ada@example.com", *(f"p{number}@example.com" for number in range(10))]
    )
    assert {row.state for row in trip.world.rows(entries)} == {"done"}


async def test_a_resumption_keeps_to_its_rate_though_temporal_is_away_when_it_begins(
    sqlite_database: Database, temporal_client: Client
) -> None:
    """Bells that could not be rung would all be rung in one moment on its return; the parcel waits instead."""
    with DevServer(port=lasting_port(), ui_port=None) as server:
        away = await connect(server.address, retry_config=RetryConfig(max_retries=1, max_elapsed_time_millis=100))
    key = f"held-{uuid4().hex[:12]}"
    async with serving(sqlite_database, temporal_client, key) as trip, trip.working():
        trip.world.journey(
            {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P1D"}, MAIL, key=key
        )
        people = trip.world.people([f"p{number}" for number in range(5)])
        for person in people:
            await trip.start(person, key)
        await trip.until(lambda: all(row.parked_until for row in trip.world.rows(runs)))
        trip.world.pause(key)
        for person in people:
            trip.world.happen(person, "bought")
        await trip.relay.deliver_all()
        await trip.until(lambda: trip.world.figures(key).held == 5)

        trip.world.resume(key, rate=2)
        absent = build_relay(Core.build(sqlite_database, away, trip.core.executor, key))
        await absent.deliver_all()
        assert trip.world.waiting("wake_held_runs") == [key]
        assert trip.world.waiting("wake_run") == []

        async with relaying(trip):
            await trip.until(lambda: trip.world.figures(key).outcomes == {"completed": 5})

    woken = sorted(trip.world.rows(outbox, outbox.c.kind == "wake_held_runs"), key=lambda row: row.id)
    assert [row.payload["rate"] for row in woken] == [2, 2, 2]
    assert len(trip.email.begun) == 5
