"""A relay that is to stop: what it has taken is told first, or given back; nothing is left leased or claimed."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client

from tests.support.metrics import told
from tests.support.world import DAY, World
from wend import outbox
from wend.relay import Relay
from wend.storage import tables
from wend.storage.database import Database
from wend.telemetry import Telemetry


class SlowClient:
    """A Temporal that takes starts when it is told to; until then whoever asks waits."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.started: list[str] = []

    async def start_workflow(self, *_: object, id: str, **__: object) -> None:
        self.asked.set()
        await self.answers.wait()
        self.started.append(id)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@asynccontextmanager
async def stopped(world: World, client: SlowClient, telemetry: Telemetry) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a relay until it is just asking Temporal; then have it told to stop."""
    stand_in: Client = client  # type: ignore[assignment]
    with ThreadPoolExecutor(4) as executor:
        relay = Relay(
            world.database, stand_in, world.starter, world.timetable, executor, world.time, "stopping", telemetry
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(relay.run(stopping))
        await asyncio.wait_for(client.asked.wait(), 60)
        stopping.set()
        yield running
        await running


def unsaid(world: World) -> list[Any]:
    """Return the starts in the outbox that nobody has delivered."""
    return world.rows(tables.outbox, tables.outbox.c.kind == "start_run", tables.outbox.c.done_at.is_(None))


async def test_what_is_being_told_is_told_before_it_stops(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wend.relay.loop.DRAIN", timedelta(hours=1))
    world.journey(DAY)
    world.deliver_nothing()  # of its schedule
    run_ids = [world.request(person) for person in world.people(["ada", "bob", "cem"])]
    client, telemetry = SlowClient(), Telemetry("relay", clock=world.time)

    async with stopped(world, client, telemetry) as running:
        await asyncio.sleep(0)
        assert not running.done()
        client.answers.set()

    assert len(client.started) == 3
    assert unsaid(world) == []
    assert all(world.row(run_id).started_at for run_id in run_ids)
    assert told(telemetry)["wend_relay_deliveries_total", "start_run", "delivered"] == 3


async def test_what_temporal_does_not_answer_is_given_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are told at once: those that wait for their turn are given back too."""
    monkeypatch.setattr("wend.relay.loop.DRAIN", timedelta(milliseconds=50))
    world.journey(DAY)
    world.deliver_nothing()  # of its schedule
    run_ids = [world.request(person) for person in world.people([f"p{number}" for number in range(20)])]
    telemetry = Telemetry("relay", clock=world.time)

    async with stopped(world, SlowClient(), telemetry):
        pass

    assert len(unsaid(world)) == 20
    assert told(telemetry)["wend_relay_deliveries_total", "start_run", "failed"] == 20
    with world.database.write() as connection:
        again = outbox.take(connection, world.time(), 100)  # at once: no lease stands in the way
    assert {parcel.subject for parcel in again} == set(map(str, run_ids))
    assert all(world.starter.claim_one(run_id, world.time()) for run_id in run_ids)


async def test_a_relay_stops_at_once_where_nothing_is_to_be_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rests are ended too."""
    for rest in ("IDLE", "SWEEP_EVERY", "DRAIN"):
        monkeypatch.setattr(f"wend.relay.loop.{rest}", timedelta(hours=1))
    client: Client = SlowClient()  # type: ignore[assignment]
    with ThreadPoolExecutor(2) as executor:
        relay = Relay(world.database, client, world.starter, world.timetable, executor, world.time, "stopping")
        stopping = asyncio.Event()
        running = asyncio.create_task(relay.run(stopping))
        await asyncio.sleep(0)
        stopping.set()
        await asyncio.wait_for(running, 60)


def test_a_claim_that_is_let_go_is_anybodys_at_once(world: World) -> None:
    world.journey(DAY)
    started, left = [world.request(person) for person in world.people(["ada", "bob"])]
    for run_id in (started, left):
        assert world.starter.claim_one(run_id, world.time()) is not None
    world.starter.mark_started([started], world.time())
    world.stop()
    before = world.row(started)

    world.starter.let_go([started, left], world.time())

    assert world.row(started) == before
    # It may have its workflow, which has to hear of the stop: so it stays claimed, and is started.
    assert world.row(left).claimed_at is not None
    assert world.starter.stranded(world.time()) == [left]
    assert world.starter.claim_one(left, world.time()) is not None
