"""The activity that carries a reconciliation out: what it tries again, and what it gives up visibly."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Semaphore
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.reconciling import ReconcilingActivities
from activities.threads import Threads
from tests.support.reconciling import Reconciling
from tests.support.world import DAY, World
from wend import wire
from wend.errors import Unavailable
from wend.reconciling import waking, work
from wend.reconciling.reconciler import THREADS_AT_ONCE
from wend.storage.database import Database, lock_journey
from wend.storage.tables import reconciliations


@pytest.fixture
def desk(sqlite_database: Database) -> Iterator[Reconciling]:
    """Somebody is inside, and has a workflow."""
    with ThreadPoolExecutor(2) as executor:
        desk = Reconciling(World(sqlite_database), executor)
        desk.world.journey(DAY)
        desk.has(desk.world.enter(desk.world.person("ada")))
        desk.world.deliver_nothing()
        yield desk


async def carry_out(desk: Reconciling, environment: ActivityEnvironment | None = None) -> wire.Reconciled:
    activities = ReconcilingActivities(desk.reconciler, Threads(desk.executor))
    asked = wire.ReconcileInput(desk.ask())
    return await (environment or ActivityEnvironment()).run(activities.reconcile_journey, asked)


def state(desk: Reconciling) -> tuple[str, str | None]:
    (row,) = desk.world.rows(reconciliations)
    return row.state, row.error


def raising(error: Exception) -> Any:
    async def open_runs(*_: object) -> Any:
        raise error

    return open_runs


async def test_it_answers_how_much_it_found(desk: Reconciling) -> None:
    assert await carry_out(desk) == wire.Reconciled(0, 0)
    assert state(desk) == ("done", None)


@pytest.mark.parametrize(
    "away",
    [RPCError("nobody there", RPCStatusCode.UNAVAILABLE, b""), Unavailable("The database", "locked")],
    ids=["Temporal", "the database"],
)
async def test_an_outage_is_waited_for(desk: Reconciling, monkeypatch: pytest.MonkeyPatch, away: Exception) -> None:
    monkeypatch.setattr(desk.workflows, "open_runs", raising(away))
    with pytest.raises(type(away)):
        await carry_out(desk)
    assert state(desk) == ("running", None)


async def test_a_refusal_ends_it_and_is_told(desk: Reconciling, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = RPCError("not yours", RPCStatusCode.PERMISSION_DENIED, b"")
    monkeypatch.setattr(desk.workflows, "open_runs", raising(refusal))
    with pytest.raises(ApplicationError, match="not yours") as raised:
        await carry_out(desk)
    assert raised.value.non_retryable
    assert state(desk) == ("failed", "not yours")


async def test_a_defect_ends_it_without_a_word_of_what_it_choked_on(
    desk: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.workflows, "open_runs", raising(ValueError("ada@example.com")))
    with pytest.raises(ApplicationError) as raised:
        await carry_out(desk)
    assert "ada@" not in str(raised.value)
    assert state(desk) == ("failed", "ValueError")


async def test_one_that_failed_is_not_begun_again(desk: Reconciling) -> None:
    activities = ReconcilingActivities(desk.reconciler, Threads(desk.executor))
    asked = wire.ReconcileInput(desk.ask())
    desk.reconciler.fail(asked.id, "no permission")
    assert await ActivityEnvironment().run(activities.reconcile_journey, asked) == wire.Reconciled(0, 0)
    assert state(desk) == ("failed", "no permission")


async def test_a_worker_that_stops_gives_it_back(desk: Reconciling) -> None:
    environment = ActivityEnvironment()
    environment.worker_shutdown()
    with pytest.raises(ApplicationError, match="This worker stops") as raised:
        await carry_out(desk, environment)
    assert raised.value.category == ApplicationErrorCategory.BENIGN
    assert state(desk) == ("running", None)


async def test_all_journeys_are_asked_for(desk: Reconciling) -> None:
    activities = ReconcilingActivities(desk.reconciler, Threads(desk.executor))
    assert await ActivityEnvironment().run(activities.ask_for_reconciliations) == 1
    assert desk.world.waiting("reconcile") == ["trip"]


def test_asking_for_all_waits_for_no_journey(postgres_database: Database) -> None:
    world = World(postgres_database)
    for key in ("busy", "other"):
        world.journey(DAY, key=key)
    with ThreadPoolExecutor(1) as executor, postgres_database.write() as taking_in:
        lock_journey(taking_in, "busy", share=False)
        assert Reconciling(world, executor).reconciler.ask_for_all() == ["busy", "other"]


async def test_a_long_comparison_says_that_it_lives(desk: Reconciling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "QUIET", timedelta(milliseconds=1))
    told, beats = Event(), []

    def wait(*_: object) -> list[object]:
        assert told.wait(60), "it was silent"
        return []

    def beat(doing: str) -> None:
        beats.append(doing)
        if beats[-2:] == ["stuck runs"] * 2:
            told.set()

    monkeypatch.setattr(waking, "find_stuck", wait)
    desk.world.journey(DAY)
    assert await desk.reconciler.reconcile(desk.ask(), beat) is not None
    assert told.is_set()


async def test_reconciliations_leave_threads_to_sends(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, entered = Event(), Semaphore(0)

    def wait(*_: object) -> list[object]:
        entered.release()
        assert going.wait(60), "nobody else got a thread"
        return []

    monkeypatch.setattr(waking, "find_stuck", wait)
    world = World(sqlite_database)
    keys = [f"trip-{number}" for number in range(THREADS_AT_ONCE + 2)]
    for key in keys:
        world.journey(DAY, key=key)
    with ThreadPoolExecutor(THREADS_AT_ONCE + 1) as executor:
        desk = Reconciling(world, executor)
        reconciler = desk.reconciler
        under_way = [asyncio.create_task(reconciler.reconcile(desk.ask(key), lambda doing: None)) for key in keys]
        for _ in range(THREADS_AT_ONCE):
            assert await asyncio.to_thread(entered.acquire, timeout=60)
        for _ in range(100):  # turn by turn with the others, who come as far as they can meanwhile
            await asyncio.get_running_loop().run_in_executor(executor, lambda: None)
        going.set()
        assert all(report is not None for report in await asyncio.gather(*under_way))
