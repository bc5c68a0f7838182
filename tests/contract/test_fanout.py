"""The activity that starts an entry's runs: how long it waits by itself, and what it leaves behind when it ends."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities import fanout
from activities.fanout import FanOutActivities
from activities.threads import Threads
from tests.support.world import DAY, T0, World
from wend import wire
from wend.journeys.occurrences import Occurrence
from wend.runs.queues import SendQueues
from wend.runs.starting import StartOrder
from wend.storage.database import Database
from wend.storage.tables import runs


class TakingClient:
    """A client of a server that takes every workflow; ``before`` is called for each."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.started: list[str] = []
        self._before = before

    async def start_workflow(self, name: str, start: Any, *, id: str, **options: Any) -> None:
        self._before()
        await asyncio.sleep(0)
        self.started.append(id)


@pytest.fixture
def world(sqlite_database: Database) -> World:
    world = World(sqlite_database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    return world


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def opened(world: World, members: int, **entry: Any) -> UUID:
    world.people([f"p{number}" for number in range(members)], member=True)
    schedule = {"start": {"at": "2026-12-01T09:00"}}
    world.journey(DAY, entry={"segment": "everybody", "schedule": schedule} | entry)
    found = world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0)
    assert found is not None
    return found.id


def attempt() -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=T0)
    return environment


def activities(world: World, client: TakingClient, executor: ThreadPoolExecutor) -> FanOutActivities:
    stand_in: Client = client  # type: ignore[assignment]
    return FanOutActivities(stand_in, world.starter, Threads(executor), SendQueues("wend"))


async def test_a_fan_out_that_has_to_wait_for_long_ends_and_says_when_it_goes_on(
    world: World, executor: ThreadPoolExecutor
) -> None:
    entry_id, client = opened(world, 30, ceiling={"per_hour": 10}), TakingClient()
    said = await attempt().run(activities(world, client, executor).start_runs, wire.StartInput("trip", entry_id))
    why = "ceiling of 10 an hour reached: goes on Tue 1 Dec 2026 10:00 UTC"
    assert said == wire.FanOut(10, 20, T0 + timedelta(hours=1), why)
    assert len(client.started) == 10
    assert world.starter.left(entry_id) == 20


async def test_a_fan_out_that_has_to_wait_for_a_moment_waits_and_says_that_it_lives(
    world: World, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The attempt's clock goes on by 5 ms a look: on a slow machine a few rounds would do by another one.
    looks = count()
    monkeypatch.setattr(fanout, "time", SimpleNamespace(monotonic=lambda: next(looks) * 0.005))
    entry_id, client, beats = opened(world, 30, rate="50/s"), TakingClient(), []
    environment = attempt()
    environment.on_heartbeat = lambda *details: beats.append(details)
    said = await environment.run(activities(world, client, executor).start_runs, wire.StartInput("trip", entry_id))
    assert said == wire.FanOut(30)
    assert len(set(client.started)) == 30
    assert len(beats) > 5


@pytest.mark.parametrize("moment", ["while it starts some", "while it waits for more"])
async def test_a_worker_that_stops_starts_what_it_has_claimed_and_leaves_the_rest_to_the_next(
    world: World, executor: ThreadPoolExecutor, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "PATIENCE", timedelta(days=1))
    environment = attempt()
    if moment == "while it starts some":
        entry_id, client = opened(world, 200), TakingClient(before=environment.worker_shutdown)
    else:
        entry_id, client = opened(world, 200, ceiling={"per_hour": 70}), TakingClient()
        waits = world.starter.held

        def held_and_stopped(entry_id: UUID, now: Any) -> Any:
            loop.call_soon_threadsafe(environment.worker_shutdown)
            return waits(entry_id, now)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(world.starter, "held", held_and_stopped)

    with pytest.raises(ApplicationError, match="the next attempt goes on") as stopped:
        await environment.run(activities(world, client, executor).start_runs, wire.StartInput("trip", entry_id))

    assert stopped.value.category == ApplicationErrorCategory.BENIGN
    claimed = world.rows(runs, runs.c.claimed_at.is_not(None))
    assert 0 < len(client.started) == len(set(client.started)) == len(claimed) < 200
    assert all(row.started_at is not None for row in claimed)


@pytest.mark.parametrize(
    "fault",
    [RPCError("away", RPCStatusCode.UNAVAILABLE, b""), asyncio.CancelledError()],
    ids=["Temporal is away", "it is cancelled"],
)
async def test_an_attempt_that_fails_keeps_no_claim(
    world: World, executor: ThreadPoolExecutor, fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor of the batch that it has claimed ahead: the next attempt need not wait for claims to grow old."""
    # The attempt's clock stands still, or on a slow machine it would use up a rate of after the next claims' instant.
    monkeypatch.setattr(fanout, "time", SimpleNamespace(monotonic=lambda: 0.0))
    entry_id, starts = opened(world, 120), iter(range(1000))

    def fail_later() -> None:
        if next(starts) >= 20:
            raise fault

    with pytest.raises(type(fault)):
        await attempt().run(
            activities(world, TakingClient(fail_later), executor).start_runs, wire.StartInput("trip", entry_id)
        )
    started = world.rows(runs, runs.c.started_at.is_not(None))
    assert len(started) == 20
    claimed: list[StartOrder] = []
    while batch := world.starter.claim(entry_id, T0):
        claimed += batch
    assert len(claimed) == 100
