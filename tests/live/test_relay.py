"""The relay: what is in the outbox reaches Temporal, also when something dies or is away on the way."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RetryConfig

from tests.support.ports import lasting_port
from tests.support.world import DAY, MAIL, Serving, World, host_clock, serving
from wend import outbox
from wend.devserver import DevServer
from wend.launching import launch
from wend.relay import run_until
from wend.runs.starting import CLAIM_LASTS, StartOrder
from wend.storage import tables
from wend.storage.database import Database
from wend.temporal import connect
from worker import Core, build_relay

BOUGHT = {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P1D"}


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    async with serving(sqlite_database, temporal_client, f"relay-{uuid4()}") as served:
        yield served


def claimed(world: World, run_id: UUID) -> StartOrder:
    (order,) = world.starter.claim(world.row(run_id).entry_id, world.time())
    return order


def set_back(world: World, by: timedelta = CLAIM_LASTS) -> None:
    """Let claims of runs and pauses of the outbox grow old at once."""
    with world.database.write() as connection:
        for run in connection.execute(sa.select(tables.runs).where(tables.runs.c.claimed_at.is_not(None))).all():
            connection.execute(
                sa.update(tables.runs).where(tables.runs.c.id == run.id).values(claimed_at=run.claimed_at - by)
            )
        connection.execute(sa.update(tables.outbox).values(due_at=world.time() - by))


async def test_a_start_that_dies_between_claim_and_start_is_made_by_the_next_sweep(trip: Serving) -> None:
    trip.world.journey(BOUGHT)
    run_id = trip.world.request(trip.world.person("ada"))
    died = claimed(trip.world, run_id)
    await trip.relay.deliver_all()
    await trip.relay.sweep()
    assert trip.world.row(run_id).started_at is None

    set_back(trip.world)
    await trip.relay.sweep()

    assert trip.world.row(run_id).started_at is not None
    async with trip.working():
        trip.world.happen(trip.world.row(run_id).profile_id, "bought")
        await trip.relay.deliver_all()
        path = await trip.ended(run_id)
    assert died.answer is not None
    assert [move.why_kind for move in path.moves] == ["entered", "happened"]


async def test_a_start_whose_mark_was_lost_is_made_once(trip: Serving) -> None:
    """Killed between start and mark: Temporal refuses a second workflow of one id, which is as good as a start."""
    trip.world.journey(DAY)
    run_id = trip.world.request(trip.world.person("ada"))
    await launch(trip.client, claimed(trip.world, run_id), trip.core.task_queue)
    first = await trip.handle(run_id).describe()
    set_back(trip.world)

    await trip.relay.sweep()
    await trip.relay.deliver_all()

    row = trip.world.row(run_id)
    assert row.started_at is not None
    assert row.sequence == 1
    found = await trip.handle(run_id).describe()
    assert (found.run_id, found.status) == (first.run_id, WorkflowExecutionStatus.RUNNING)


async def test_a_bell_for_a_run_whose_start_is_still_coming_is_rung_again(trip: Serving) -> None:
    trip.world.journey(BOUGHT)
    ada = trip.world.person("ada")
    run_id = trip.world.request(ada)
    order = claimed(trip.world, run_id)
    trip.world.happen(ada, "bought")
    await trip.relay.deliver_all()
    (waits,) = trip.world.rows(tables.outbox, tables.outbox.c.kind == "wake_run")
    assert waits.done_at is None
    assert "has no workflow yet" in waits.error

    await launch(trip.client, order, trip.core.task_queue)
    async with trip.working():
        set_back(trip.world)
        await trip.relay.deliver_all()
        path = await trip.ended(run_id)

    assert [move.why_kind for move in path.moves] == ["entered", "happened"]
    assert trip.world.waiting("wake_run") == []


async def test_a_bell_for_a_run_that_has_ended_is_not_rung_for_ever(trip: Serving) -> None:
    trip.world.journey(BOUGHT)
    ada = trip.world.person("ada")
    async with trip.working():
        run_id = await trip.start(ada)
        await trip.until(lambda: trip.world.row(run_id).parked_until)
        trip.world.happen(ada, "bought")
        await trip.relay.deliver_all()
        await trip.ended(run_id)
    with trip.world.database.write() as connection:
        outbox.put(connection, "wake_run", run_id, trip.world.time(), {"reason": "too late"})
        outbox.put(connection, "wake_run", uuid4(), trip.world.time(), {"reason": "erased"})

    await trip.relay.deliver_all()

    assert trip.world.waiting("wake_run") == []


async def test_a_stop_reaches_a_run_that_was_claimed_and_is_started_afterwards(trip: Serving) -> None:
    """Whoever had claimed it starts it with what it was told before the stop: to wait for a day."""
    trip.world.journey(DAY)
    run_id = trip.world.request(trip.world.person("ada"))
    order = claimed(trip.world, run_id)
    trip.world.stop()
    await trip.relay.deliver_all()
    assert trip.world.waiting("wake_run") == [str(run_id)]

    await launch(trip.client, order, trip.core.task_queue)
    trip.world.starter.mark_started([run_id], trip.world.time())
    async with trip.working():
        set_back(trip.world)
        await trip.relay.deliver_all()
        assert await trip.handle(run_id).result() == {"outcome": "stopped", "reason": "stopped"}
    assert trip.world.waiting("wake_run") == []


async def test_one_parcel_that_cannot_be_told_does_not_hold_up_the_others(
    trip: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    trip.world.journey(MAIL)
    with trip.world.database.write() as connection:
        outbox.put(connection, "wake_run", "no id at all", trip.world.time(), {"reason": "a defect"})
    async with trip.working():
        run_id = await trip.start(trip.world.person("ada"))
        await trip.ended(run_id)

    assert trip.world.waiting("wake_run") == ["no id at all"]
    assert "parcel waits" in capsys.readouterr().out


async def test_a_relay_outlives_an_absence_of_temporal(trip: Serving) -> None:
    """Everything waits in the outbox; a sweep that finds stranded runs meanwhile does not end it either."""
    with DevServer(port=lasting_port(), ui_port=None) as server:
        away = await connect(server.address, retry_config=RetryConfig(max_retries=1, max_elapsed_time_millis=100))
    trip.world.journey(MAIL)
    stranded = trip.world.request(trip.world.person("ada"))
    claimed(trip.world, stranded)
    set_back(trip.world)
    waiting = trip.world.request(trip.world.person("ben"))
    with ThreadPoolExecutor(2) as executor:
        relay = build_relay(Core.build(trip.world.database, away, executor, trip.core.task_queue))
        stopping = asyncio.Event()
        running = asyncio.create_task(run_until(relay, stopping))
        await trip.until(lambda: trip.world.rows(tables.outbox, tables.outbox.c.attempts > 1))
        assert not running.done()
        stopping.set()
        with suppress(asyncio.CancelledError):
            await running

    set_back(trip.world)
    await trip.relay.sweep()
    await trip.relay.deliver_all()
    async with trip.working():
        for run_id in (stranded, waiting):
            assert (await trip.ended(run_id)).run.state == "completed"
    assert len(trip.email.sent) == 2


async def test_a_click_reaches_its_run_though_clocks_disagree(trip: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stores it has a clock that is five minutes ahead; the bell is rung at once all the same."""
    trip.world.journey(BOUGHT)
    ada = trip.world.person("ada")
    async with trip.working():
        run_id = await trip.start(ada)
        await trip.until(lambda: trip.world.row(run_id).parked_until)
        monkeypatch.setattr(trip.world, "_clock", lambda: host_clock() + timedelta(minutes=5))
        trip.world.happen(ada, "bought")
        await trip.relay.deliver_all()
        path = await trip.ended(run_id)
    assert path.moves[-1].why_kind == "happened"
