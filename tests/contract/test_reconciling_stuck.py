"""The stuck-run detector: runs whose next move is overdue, by rows alone; and what a reconciliation does about them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.reconciling import Reconciling, entered
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, World
from wend import outbox
from wend.channels.port import NotAccepted
from wend.reconciling import waking
from wend.reconciling.port import Closed, Open
from wend.reconciling.stuck import count_overdue, find_stuck
from wend.storage.database import Database

A_MINUTE = timedelta(minutes=1)
A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
BOUGHT: dict[str, Any] = {"event": "bought", "reason": "is_customer"}


@pytest.fixture
def desk(sqlite_database: Database) -> Iterator[Reconciling]:
    """For what no database has a say in."""
    with ThreadPoolExecutor(1) as executor:
        yield Reconciling(World(sqlite_database), executor)


@pytest.fixture
def each(database: Database) -> Iterator[Reconciling]:
    """On each kind of database."""
    with ThreadPoolExecutor(1) as executor:
        yield Reconciling(World(database), executor)


def stuck(desk: Reconciling) -> list[tuple[UUID, str]]:
    """Return what the detector finds now."""
    with desk.world.database.read() as connection:
        return [(each.run_id, each.kind) for each in find_stuck(connection, "trip", desk.world.now)]


def overdue(desk: Reconciling) -> dict[str, int]:
    with desk.world.database.read() as connection:
        return count_overdue(connection, desk.world.now)


# -- overdue ----------------------------------------------------------------------------------------------------------


async def test_a_run_that_was_to_be_woken_a_minute_ago_is_woken(each: Reconciling) -> None:
    run_id = entered(each)
    each.world.later(A_DAY + A_MINUTE - timedelta(seconds=1))
    assert stuck(each) == []
    assert overdue(each) == {}
    each.world.later(timedelta(seconds=1))
    assert stuck(each) == [(run_id, "run_overdue")]
    assert overdue(each) == {"trip": 1}
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("run_overdue", str(run_id), True)
    assert found["cause"] == "it was to be woken at 2026-12-02T09:00:00Z, and was not decided on"
    assert each.world.waiting("wake_run") == [str(run_id)]
    each.world.advance(run_id)
    assert await each.found() == {"workflow_left": (1, 1)}, "its workflow would have ended with it"


async def test_whoever_waits_as_they_should_is_not_stuck(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL, AWAIT_CLICK)
    desk.world.send(run_id)
    desk.world.later(A_DAY - A_MINUTE)
    assert stuck(desk) == []


async def test_one_that_a_wake_is_on_its_way_to_is_not_woken_again(desk: Reconciling) -> None:
    run_id = entered(desk)
    desk.world.deliver_nothing()
    desk.world.later(A_DAY)
    with desk.world.database.write() as connection:
        outbox.put(connection, "wake_run", run_id, desk.world.now)
    report = await desk.run(delivered=False)
    assert {each["kind"]: each["remaining"] for each in report["kinds"]} == {"run_overdue": 1, "outbox_waiting": 1}
    assert desk.world.waiting("wake_run") == [str(run_id)]
    assert "a wake waits in the outbox" in report["kinds"][0]["examples"][0]["cause"]


@pytest.mark.parametrize(
    ("workflow", "note"),
    [
        (Open(task_since=T0, task_attempt=1), "waits for a worker since 2026-12-01T09:00:00Z"),
        (Open(task_since=T0, task_attempt=3), "has failed 2 time(s) since"),
        (Open(is_busy=True), "an activity of its workflow is under way"),
    ],
    ids=["no worker", "failing task", "busy"],
)
async def test_one_that_waking_would_not_help_says_why(desk: Reconciling, workflow: Open, note: str) -> None:
    run_id = entered(desk)
    desk.has(run_id, workflow)
    found = await desk.one(after=A_DAY + A_MINUTE)
    assert (found["kind"], found["repaired"]) == ("run_overdue", False)
    assert note in found["note"]
    assert desk.world.waiting("wake_run") == []


@pytest.mark.parametrize(
    ("workflow", "kind"), [(None, "workflow_lost"), (Closed("terminated"), "workflow_closed")], ids=["gone", "ended"]
)
async def test_one_whose_workflow_is_gone_is_named_once(desk: Reconciling, workflow: Any, kind: str) -> None:
    run_id = entered(desk)
    desk.workflows.runs.clear()
    if workflow is not None:
        desk.has(run_id, workflow)
    assert (await desk.one(after=A_DAY + A_MINUTE, repair=False))["kind"] == kind


async def test_a_dry_run_wakes_nobody(desk: Reconciling) -> None:
    entered(desk)
    assert await desk.found(after=A_DAY + A_MINUTE, repair=False) == {"run_overdue": (1, 0)}
    assert desk.world.waiting("wake_run") == []


async def test_after_an_outage_they_are_woken_some_at_a_time(
    desk: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "MOST_AT_ONCE", 2)
    desk.world.journey(DAY)
    for person in desk.world.people(["ada", "ben", "cleo"]):
        desk.has(desk.world.enter(person))
    assert await desk.found(after=A_DAY + A_MINUTE) == {"run_overdue": (3, 2)}
    assert len(desk.world.waiting("wake_run")) == 2


# -- bells ------------------------------------------------------------------------------------------------------------


def rings(desk: Reconciling) -> UUID:
    """Have somebody wait for a click, and click."""
    run_id = entered(desk, MAIL, AWAIT_CLICK)
    desk.world.send(run_id)
    desk.world.later(A_MINUTE)
    desk.world.click(run_id)
    return run_id


async def test_a_bell_that_was_delivered_and_not_heard_is_rung_again(each: Reconciling) -> None:
    run_id = rings(each)
    assert stuck(each) == []
    found = await each.one(after=A_MINUTE)
    assert (found["kind"], found["subject"], found["repaired"]) == ("bell_lost", str(run_id), True)
    assert found["cause"].endswith("its bell was rung, and nobody has decided since")
    assert each.world.waiting("wake_run") == [str(run_id)]


async def test_one_that_was_never_rung_is(desk: Reconciling) -> None:
    run_id = rings(desk)
    desk.change("runs", {"woken": False})
    found = await desk.one(after=A_MINUTE)
    assert found["cause"].endswith("nothing rings its bell")
    assert desk.world.waiting("wake_run") == [str(run_id)]


async def test_one_that_is_on_its_way_is_left_to_the_relay(desk: Reconciling) -> None:
    rings(desk)
    desk.change("outbox", {"done_at": desk.world.now}, "kind <> 'wake_run'")
    assert await desk.found(after=A_MINUTE, delivered=False) == {"outbox_waiting": (1, 0)}


async def test_what_it_does_not_listen_to_rings_no_bell(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL, AWAIT_CLICK)
    desk.world.send(run_id)
    desk.world.later(A_MINUTE)
    desk.world.click(run_id, number=2)
    desk.world.click(run_id, note="bot")
    desk.world.happen(desk.passage(run_id)[0], "looked")
    assert await desk.found() == {}


async def test_an_event_that_ends_the_run_is_a_bell_too(desk: Reconciling) -> None:
    run_id = entered(desk, DAY, exit_on=[BOUGHT])
    desk.world.later(A_MINUTE)
    desk.world.happen(desk.passage(run_id)[0], "bought")
    assert await desk.found() == {"bell_lost": (1, 1)}


async def test_what_has_been_decided_on_rings_no_bell(desk: Reconciling) -> None:
    run_id = rings(desk)
    desk.world.advance(run_id)
    assert "bell_lost" not in await desk.found()


# -- held, and sending ------------------------------------------------------------------------------------------------


async def test_one_that_is_still_held_when_its_journey_goes_on_is_woken(each: Reconciling) -> None:
    run_id = entered(each, MAIL)
    each.world.pause()
    each.world.claim(run_id)
    assert await each.found() == {}
    each.world.resume()
    assert await each.found(after=A_MINUTE - timedelta(seconds=1)) == {}
    found = await each.one(after=A_MINUTE)
    assert (found["kind"], found["subject"], found["repaired"]) == ("hold_left", str(run_id), True)


async def test_one_that_waits_for_its_turn_of_a_resumption_is_well(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL)
    desk.world.pause()
    desk.world.claim(run_id)
    desk.world.deliver_nothing()
    desk.world.resume()
    assert set(await desk.found(delivered=False)) == {"outbox_waiting"}


async def test_a_message_that_nobody_tries_to_send_is_named_after_two_hours(each: Reconciling) -> None:
    run_id = entered(each, MAIL)
    assert await each.found(after=2 * AN_HOUR - timedelta(seconds=1)) == {}
    found = await each.one(after=timedelta(seconds=1))
    assert (found["kind"], found["subject"], found["repaired"]) == ("send_stalled", str(run_id), True)
    assert each.world.waiting("wake_run") == [str(run_id)]


async def test_the_last_try_counts(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL)
    desk.world.later(2 * AN_HOUR)
    desk.world.send(run_id, NotAccepted("busy", "later"))
    assert await desk.found(after=AN_HOUR) == {}
    assert await desk.found(after=AN_HOUR) == {"send_stalled": (1, 1)}


async def test_one_that_temporal_has_in_hand_is_well(desk: Reconciling) -> None:
    desk.has(entered(desk, MAIL), Open(is_busy=True))
    assert await desk.found(after=A_DAY) == {}
