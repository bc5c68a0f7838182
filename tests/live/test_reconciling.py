"""Reconciliations on a real server: Temporal's state is lost, workflows are terminated by hand, entries broken off."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from tests.support.eventually import assert_eventually
from tests.support.relaying import at_once, relaying
from tests.support.world import AWAIT_CLICK, DAY, MAIL, TEXT, Serving, serving, zone_at_noon
from wend import outbox as parcels
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.reconciling import asking, launching, occasions, passages
from wend.reconciling.asking import Options, Reconciliation
from wend.reconciling.launching import ensure_routine
from wend.storage.database import Database
from wend.storage.tables import entries, moves, outbox, reconciliations, runs, sent_messages
from wend.temporal import connect

A_MOMENT = {"id": "moment", "type": "wait", "for": "PT1S"}


@pytest.fixture(autouse=True)
def _nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is a moment old compared too."""
    monkeypatch.setattr(passages, "YOUNG", timedelta(0))
    monkeypatch.setattr(occasions, "YOUNG_ENTRY", timedelta(0))


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    async with serving(sqlite_database, temporal_client, f"reconciling-{uuid4()}") as served:
        yield served


@pytest.fixture
def key() -> str:
    """A journey's key of the test's own: others have workflows on the same server."""
    return f"trip-{uuid4()}"


async def reconciled(trip: Serving, key: str, **options: Any) -> Reconciliation:
    """Have a journey reconciled by worker and relay; return what came of it."""
    with trip.world.database.write() as connection:
        id = asking.ask(connection, key, Options(**options), trip.world.time(), by="ada")

    def read() -> Reconciliation:
        with trip.world.database.read() as connection:
            found = asking.read(connection, key, id)
        assert found.state in ("done", "failed"), found
        return found

    async with relaying(trip):
        return await assert_eventually(read)


def found(done: Reconciliation) -> dict[str, tuple[int, int]]:
    """Return by kind how many were found, and how many repaired."""
    assert done.report is not None, done.error
    return {each["kind"]: (each["found"], each["repaired"]) for each in done.report["kinds"]}


async def listed(trip: Serving, key: str, count: int, kind: str = "JourneyRun") -> None:
    """Wait until the server's list has so many open workflows of the journey."""
    query = f"WendJourney = '{key}' AND WorkflowType = '{kind}' AND ExecutionStatus = 'Running'"

    async def are() -> None:
        assert (await trip.client.count_workflows(query)).count == count

    await assert_eventually(are)


async def test_everybody_goes_on_when_temporals_state_is_lost(
    sqlite_database: Database, tmp_path: Path, key: str
) -> None:
    """One waits for a click that comes meanwhile, one for a moment that passes, one was being mailed: nobody twice."""
    state, queue = tmp_path / "temporal", f"lost-{uuid4()}"

    def server() -> DevServer:
        return DevServer(port=0, ui_port=None, database=state / "temporal.db", dynamic_config=PROMPT_TIMERS)

    with server() as first:
        async with serving(sqlite_database, await connect(first.address), queue) as trip:
            trip.world.journey(MAIL, AWAIT_CLICK, A_MOMENT, TEXT, key=key, exit_on=[{"event": "bought", "reason": "b"}])
            clicker, buyer, caught = (trip.world.person(name) for name in ("ada", "ben", "cleo"))
            async with trip.working():
                ids = [await trip.start(person, key) for person in (clicker, buyer)]
                await trip.until(lambda: len(trip.email.sent) == 2)
                await trip.until(lambda: all(trip.world.row(run_id).parked_until for run_id in ids))
            ids.append(await trip.start(caught, key))  # nobody works on it any more
            trip.world.advance(ids[2], 0)
            trip.world.claimed(ids[2])
            trip.world.click(ids[0])
            trip.world.happen(buyer, "bought")
    shutil.rmtree(state)

    with server() as second:
        client = await connect(second.address)
        async with serving(sqlite_database, client, queue) as trip, trip.working():
            assert [each async for each in client.list_workflows()] == []
            dry = found(await reconciled(trip, key, repair=False))
            assert dry["workflow_lost"] == (3, 0)
            assert found(await reconciled(trip, key))["workflow_lost"] == (3, 3)
            paths = [await trip.ended(run_id) for run_id in ids[:2]]
            await trip.until(lambda: trip.world.row(ids[2]).parked_until is not None)

            assert [(path.run.state, path.run.reason) for path in paths] == [("completed", None), ("exited", "b")]
            assert [move.to_step for move in paths[0].moves] == ["mail", "look", "moment", "text", "exit"]
            assert trip.email.sent == [], "each was mailed before, or perhaps"
            assert len(trip.sms.sent) == 1
            states = {row.run_id: row.state for row in trip.world.rows(sent_messages, sent_messages.c.step == "mail")}
            assert states == dict(zip(ids, ("accepted", "accepted", "uncertain"), strict=True))
            await listed(trip, key, 1)
            assert found(await reconciled(trip, key)) == {}


async def test_what_was_ended_by_hand_fails_and_what_was_left_open_ends(trip: Serving, key: str) -> None:
    trip.world.journey(DAY, key=key)
    async with trip.working():
        terminated, canceled, left, forgotten, well = [
            await trip.start(trip.world.person(name), key) for name in ("ada", "ben", "cleo", "dora", "emma")
        ]
        await trip.until(lambda: all(row.parked_until for row in trip.world.rows(runs)))
        await listed(trip, key, 5)
        await trip.handle(terminated).terminate()
        await trip.handle(canceled).cancel()
        with pytest.raises(WorkflowFailureError):
            await trip.handle(canceled).result()
        await listed(trip, key, 3)
        handle = trip.handle(forgotten)
        ended = {"state": "completed", "ended_at": trip.world.time(), "parked_until": None, "step": None}
        finish = {"kind": "finish", "outcome": "completed"}
        with trip.world.database.write() as connection:
            connection.execute(sa.update(runs).where(runs.c.id == left).values(**ended, answer=finish))
            connection.execute(sa.delete(moves).where(moves.c.run_id == forgotten))
            connection.execute(sa.delete(runs).where(runs.c.id == forgotten))

        done = await reconciled(trip, key)

        kinds = found(done)
        assert (kinds["workflow_closed"], kinds["workflow_left"]) == ((2, 2), (1, 1))
        assert kinds["workflow_unknown"] == (1, 0)
        for run_id, cause in ((terminated, "was terminated"), (canceled, "was cancelled")):
            row = trip.world.row(run_id)
            assert (row.state, row.reason, row.error) == ("failed", "lost", f"its workflow {cause}")
        await trip.relay.deliver_all()
        await trip.ended(left)
        description = await trip.handle(left).describe()
        assert description.status == WorkflowExecutionStatus.COMPLETED
        assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
        assert trip.world.row(well).state == "running"


async def test_the_error_of_a_failed_workflow_is_told(trip: Serving, key: str) -> None:
    """The database was restored from a backup: the row is behind its workflow, which fails when it wakes."""
    trip.world.journey(DAY, key=key)
    async with trip.working():
        run_id = await trip.start(trip.world.person("ada"), key)
        await trip.until(lambda: trip.world.row(run_id).parked_until)
        with trip.world.database.write() as connection:
            connection.execute(sa.update(runs).values(sequence=0))
            parcels.put(connection, "wake_run", run_id, trip.world.time(), {"reason": "looks"})
        await trip.relay.deliver_all()
        with pytest.raises(WorkflowFailureError):
            await trip.handle(run_id).result()
        await listed(trip, key, 0)
        assert found(await reconciled(trip, key))["workflow_closed"] == (1, 1)
        assert trip.world.row(run_id).error == "its workflow has failed: RunBehind"


async def test_an_entry_that_was_broken_off_is_gone_on_with(trip: Serving, key: str) -> None:
    """While its ceiling makes it sleep it is well; terminated, somebody else starts who is left."""
    trip.world.listed("club", trip.world.people([f"p{number}" for number in range(6)]))
    trip.world.journey(DAY, key=key, time_zone=zone_at_noon(), entry=at_once("club") | {"ceiling": {"per_day": 2}})
    async with trip.working():
        await trip.relay.deliver_all()
        await trip.until(lambda: sum(row.started_at is not None for row in trip.world.rows(runs)) == 2)
        await listed(trip, key, 1, "SegmentEntry")
        (entering,) = [each async for each in trip.client.list_workflows(f"WorkflowId STARTS_WITH 'entry/{key}/'")]
        assert "entry_abandoned" not in found(await reconciled(trip, key))
        await trip.client.get_workflow_handle(entering.id).terminate()
        await listed(trip, key, 0, "SegmentEntry")
        with trip.world.database.write() as connection:
            connection.execute(sa.text("DELETE FROM paces"))
        assert found(await reconciled(trip, key))["entry_abandoned"] == (1, 1)
        await trip.until(lambda: sum(row.started_at is not None for row in trip.world.rows(runs)) == 4)
        (row,) = trip.world.rows(entries)
        assert row.state == "open"
        await listed(trip, key, 1, "SegmentEntry")
        assert "entry_abandoned" not in found(await reconciled(trip, key)), "the new one is known for what it is"


async def test_they_come_by_schedule_and_one_at_a_time(
    trip: Serving, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "ROUTINE", f"{key}/reconcile")
    trip.world.journey(DAY, key=key)
    queue, hourly = trip.core.task_queue, timedelta(hours=1)
    handle = trip.client.get_schedule_handle(launching.ROUTINE)
    try:
        await ensure_routine(trip.client, hourly, queue)
        await handle.pause(note="not now")
        await ensure_routine(trip.client, hourly, queue)
        await ensure_routine(trip.client, 2 * hourly, queue)
        described = await handle.describe()
        assert [each.every for each in described.schedule.spec.intervals] == [2 * hourly]
        assert (described.schedule.state.paused, described.schedule.state.note) == (True, "not now")

        await handle.trigger()
        async with trip.working():
            await trip.until(lambda: trip.world.waiting("reconcile") == [key])
            with trip.world.database.write() as connection:
                asking.ask(connection, key, Options(), trip.world.time(), by="ada")
            await trip.relay.deliver()

            def done() -> bool:
                with trip.world.database.write() as connection:  # what waited for its turn comes at once
                    connection.execute(sa.update(outbox).values(attempts=0))
                return [row.state for row in trip.world.rows(reconciliations)] == ["done", "done"]

            async with relaying(trip):
                await trip.until(done)
        assert {row.by for row in trip.world.rows(reconciliations)} == {"wend", "ada"}
    finally:
        await ensure_routine(trip.client, timedelta(0), queue)
    with pytest.raises(RPCError):
        await handle.describe()
    await ensure_routine(trip.client, timedelta(0), queue)
