"""Runs against their workflows, and what has to be started: each comparison finds something, and mends what is safe."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.reconciling import Reconciling, entered
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, World
from wend.channels.port import NotAccepted
from wend.journeys.occurrences import Occurrence
from wend.reconciling import passages
from wend.reconciling.passages import GONE
from wend.reconciling.port import Closed, EntryUnderWay, Missing, Open, Passage
from wend.storage.database import Database
from wend.storage.tables import audit, entries, moves, runs, sent_messages

A_MINUTE = timedelta(minutes=1)


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


def repairs(desk: Reconciling) -> list[tuple[str, str, int]]:
    rows = desk.world.rows(audit, audit.c.action == "reconcile")
    return [(row.by, row.detail["kind"], row.detail["repaired"]) for row in rows]


async def test_where_all_is_well_nothing_is_found_or_written(each: Reconciling) -> None:
    run_id = entered(each, MAIL, AWAIT_CLICK)
    each.world.send(run_id)
    each.world.deliver_nothing()
    report = await each.run()
    assert (report["found"], report["remaining"], report["kinds"]) == (0, 0, [])
    assert report["compared"]["runs"] == 1
    assert report["compared"]["workflows"] == 1
    assert repairs(each) == []


# -- workflows that are gone ----------------------------------------------------------------------------------------


async def test_a_run_whose_workflow_is_lost_goes_on_by_a_new_one_that_asks(each: Reconciling) -> None:
    run_id = entered(each)
    each.workflows.runs.clear()
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("workflow_lost", str(run_id), True)
    assert found["cause"] == GONE
    (order,) = each.workflows.started
    assert (order.run_id, order.answer, order.entry_number, order.version) == (run_id, None, 1, 1)
    assert each.world.row(run_id).ended_at is None
    assert repairs(each) == [("ada", "workflow_lost", 1)]
    assert await each.found() == {}


async def test_lost_runs_fail_visibly_where_that_is_asked_for(desk: Reconciling) -> None:
    run_id = entered(desk)
    desk.workflows.runs.clear()
    assert (await desk.one(lost="fail"))["repaired"]
    row = desk.world.row(run_id)
    assert (row.state, row.reason, row.error, row.step) == ("failed", "lost", GONE, None)
    assert desk.workflows.started == []
    assert desk.world.figures().outcomes == {"failed: lost": 1}


ENDS = {
    "ada": (Closed("terminated"), "its workflow was terminated"),
    "ben": (Closed("timed_out"), "its workflow timed out"),
    "cleo": (Closed("canceled"), "its workflow was cancelled"),
    "dora": (Closed("failed", "RunBehind"), "its workflow has failed: RunBehind"),
    "emma": (Closed("failed"), "its workflow has failed: for a reason that Temporal does not tell"),
    "finn": (Closed("completed"), "its workflow has come to its end: the database is older than Temporal"),
}


async def test_a_run_whose_workflow_has_ended_fails_as_lost_and_says_why(each: Reconciling) -> None:
    each.world.journey(DAY)
    causes = {}
    for name, (workflow, cause) in ENDS.items():
        run_id = each.world.enter(each.world.person(name))
        each.has(run_id, workflow)
        causes[str(run_id)] = cause
    report = await each.run()
    (closed,) = report["kinds"]
    assert (closed["kind"], closed["found"], closed["repaired"]) == ("workflow_closed", len(ENDS), len(ENDS))
    assert {example["subject"]: example["cause"] for example in closed["examples"]} == causes
    for run_id, cause in causes.items():
        row = each.world.row(UUID(run_id))
        assert (row.state, row.reason, row.error) == ("failed", "lost", cause)
        assert each.world.steps(row.id)[-1] == ("exit", "ended")
    assert each.world.figures().outcomes == {"failed: lost": len(ENDS)}
    assert each.workflows.started == [], "the id of a workflow that has ended is never used again"
    assert repairs(each) == [("ada", "workflow_closed", len(ENDS))]


async def test_the_sends_of_a_lost_run_are_settled(each: Reconciling) -> None:
    waiting = entered(each, MAIL)
    each.world.send(waiting, NotAccepted("busy", "later"))
    sending = each.world.enter(each.world.person("ben"))
    each.world.claimed(sending)
    for run_id in (waiting, sending):
        each.has(run_id, Closed("terminated"))
    assert await each.found() == {"workflow_closed": (2, 2), "claim_left": (1, 1)}
    states = {row.run_id: (row.state, row.reason) for row in each.world.rows(sent_messages)}
    assert states == {waiting: ("refused", "lost"), sending: ("uncertain", "attempt_lost")}


async def test_a_dry_run_only_compares(desk: Reconciling) -> None:
    lost, closed = entered(desk), desk.world.enter(desk.world.person("ben"))
    desk.has(closed, Closed("terminated"))
    del desk.workflows.runs["trip", desk.passage(lost)]
    assert await desk.found(repair=False) == {"workflow_lost": (1, 0), "workflow_closed": (1, 0)}
    assert desk.workflows.started == []
    assert [desk.world.row(run_id).state for run_id in (lost, closed)] == ["running", "running"]
    assert repairs(desk) == []


# -- what only looks wrong --------------------------------------------------------------------------------------------


async def test_a_list_that_is_behind_is_only_a_suspicion(desk: Reconciling) -> None:
    entered(desk)
    desk.workflows.listed = set()
    assert await desk.found() == {}


async def test_a_run_that_was_started_a_moment_ago_is_left_alone(desk: Reconciling) -> None:
    entered(desk)
    desk.workflows.runs.clear()
    assert await desk.found(after=A_MINUTE - timedelta(seconds=1)) == {}


@pytest.mark.parametrize("workflow", [Missing(), Closed("completed")], ids=["gone", "ended"])
async def test_a_run_that_ends_while_its_workflow_is_looked_at_is_well(desk: Reconciling, workflow: Any) -> None:
    """Its row ends first, then its workflow: seen in the other order, that is no discrepancy."""
    run_id = entered(desk)
    desk.has(run_id, workflow)

    def ends(passage: Passage) -> None:
        desk.workflows.meanwhile = None
        desk.world.later(timedelta(days=1))
        desk.world.advance(run_id)

    desk.workflows.meanwhile = ends
    assert await desk.found() == {}
    assert desk.world.row(run_id).state == "completed"
    assert desk.workflows.started == []


async def test_pending_runs_that_nobody_has_started_are_no_lost_ones(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    desk.world.request(desk.world.person("ada"))
    assert set(await desk.found(delivered=False)) == {"outbox_waiting"}


async def test_every_page_is_compared_with_its_part_of_temporal(
    each: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passages, "PAGE", 3)
    each.world.journey(DAY, reentry={"still_inside": "overlap"})
    people = each.world.people([f"p{number}" for number in range(10)])
    ids = [each.world.enter(person) for person in (*people, *people[:2])]
    for number, run_id in enumerate(ids):
        if number % 4:
            each.has(run_id)
    assert await each.found() == {"workflow_lost": (3, 3)}
    assert [order.run_id for order in each.workflows.started] == [ids[0], ids[4], ids[8]]
    assert await each.found() == {}


async def test_other_journeys_are_not_looked_at(desk: Reconciling) -> None:
    entered(desk)
    desk.workflows.runs.clear()
    desk.world.journey(DAY, key="other")
    assert await desk.found(key="other") == {}


# -- workflows that are left ------------------------------------------------------------------------------------------


def ended(desk: Reconciling) -> UUID:
    """Have somebody's run end, and its workflow stay open."""
    run_id = entered(desk)
    desk.world.later(timedelta(days=1))
    desk.world.advance(run_id)
    desk.world.deliver_nothing()
    return run_id


async def test_a_workflow_whose_run_has_ended_is_woken(each: Reconciling) -> None:
    run_id = ended(each)
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("workflow_left", str(run_id), True)
    assert each.world.waiting("wake_run") == [str(run_id)]
    assert repairs(each) == [("ada", "workflow_left", 1)]


async def test_one_that_is_being_told_already_is_well(desk: Reconciling) -> None:
    run_id = entered(desk)
    desk.world.deliver_nothing()
    desk.world.stop()
    desk.has(run_id)
    assert set(await desk.found(delivered=False)) == {"outbox_waiting"}


async def test_one_that_has_an_activity_under_way_comes_by_its_row_itself(desk: Reconciling) -> None:
    desk.has(ended(desk), Open(is_busy=True))
    assert await desk.found() == {}


async def test_one_that_nobody_runs_is_not_woken_again(desk: Reconciling) -> None:
    desk.has(ended(desk), Open(task_since=T0, task_attempt=1))
    found = await desk.one()
    assert (found["kind"], found["repaired"]) == ("workflow_left", False)
    assert "waits for a worker since 2026-12-01T09:00:00Z" in found["note"]
    assert desk.world.waiting("wake_run") == []


async def test_one_whose_task_fails_says_so(desk: Reconciling) -> None:
    desk.has(ended(desk), Open(task_since=T0, task_attempt=8))
    assert "has failed 7 time(s)" in (await desk.one())["note"]


async def test_a_workflow_without_a_run_is_named_and_left(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    somebody = desk.world.person("ada")
    desk.workflows.runs["trip", (somebody, 7)] = Open()
    found = await desk.one()
    assert (found["kind"], found["repaired"]) == ("workflow_unknown", False)
    assert found["subject"] == f"run/trip/{somebody}/7"


# -- runs that nobody starts ------------------------------------------------------------------------------------------


async def test_a_start_that_nobody_was_told_of_is_told(each: Reconciling) -> None:
    each.world.journey(DAY)
    run_id = each.world.request(each.world.person("ada"))
    each.world.deliver_nothing()
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("start_forgotten", str(run_id), True)
    assert each.world.waiting("start_run") == [str(run_id)]


async def test_starts_that_a_pause_queues_are_well(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    desk.world.request(desk.world.person("ada"))
    desk.world.pause(entries="queue")
    desk.world.deliver_nothing()
    assert await desk.found() == {}


async def test_a_run_that_was_claimed_long_ago_is_named(each: Reconciling) -> None:
    each.world.journey(DAY)
    run_id = each.world.request(each.world.person("ada"))
    each.world.starter.claim_one(run_id, each.world.now)
    each.world.deliver_nothing()
    assert await each.found(after=timedelta(minutes=4)) == {}
    found = await each.one(after=A_MINUTE)
    assert (found["kind"], found["subject"], found["repaired"]) == ("start_stalled", str(run_id), False)


def opened(desk: Reconciling) -> UUID:
    """Open an entry of three."""
    desk.world.listed("club", desk.world.people(["ada", "ben", "cleo"]))
    schedule = {"start": {"at": "2026-12-01T09:00"}}
    desk.world.journey(DAY, entry={"segment": "club", "schedule": schedule})
    desk.world.deliver_nothing()
    entry = desk.world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0)
    assert entry is not None
    return entry.id


def start_all(desk: Reconciling, entry_id: UUID) -> None:
    orders = desk.world.starter.claim(entry_id, desk.world.now)
    desk.world.starter.mark_started([order.run_id for order in orders], desk.world.now)
    for order in orders:
        desk.has(order.run_id)


async def test_an_entry_that_nobody_starts_is_gone_on_with(each: Reconciling) -> None:
    entry_id = opened(each)
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("entry_abandoned", str(entry_id), True)
    assert found["cause"].startswith("3 run(s) are to be started")
    assert each.workflows.gone_on == [entry_id]
    assert await each.found() == {}


async def test_an_entry_that_was_closed_too_early_is_gone_on_with(desk: Reconciling) -> None:
    entry_id = opened(desk)
    desk.world.desk.finish(entry_id, T0)
    assert (await desk.one())["kind"] == "entry_abandoned"


async def test_an_entry_that_is_under_way_is_well(desk: Reconciling) -> None:
    entry_id = opened(desk)
    desk.workflows.entries["trip"] = [EntryUnderWay("entry/trip", entry_id)]
    assert await desk.found() == {}


async def test_another_entrys_workflow_does_not_count(desk: Reconciling) -> None:
    opened(desk)
    desk.workflows.entries["trip"] = [EntryUnderWay("entry/trip", None)]
    assert set(await desk.found(repair=False)) == {"entry_abandoned"}
    assert desk.workflows.gone_on == []


async def test_an_entry_that_has_just_been_opened_is_left_alone(desk: Reconciling) -> None:
    opened(desk)
    assert await desk.found(after=A_MINUTE) == {}


async def test_an_entry_with_nothing_left_is_finished(each: Reconciling) -> None:
    entry_id = opened(each)
    start_all(each, entry_id)
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("entry_unfinished", str(entry_id), True)
    assert [row.state for row in each.world.rows(entries)] == ["done"]
    assert await each.found() == {}


async def test_each_lost_run_is_ended_once_whoever_else_reconciles(desk: Reconciling) -> None:
    run_id = entered(desk)
    desk.has(run_id, Closed("terminated"))
    await desk.run()
    await desk.run()
    assert len(desk.world.rows(moves, moves.c.why_kind == "ended")) == 1
    assert len(desk.world.rows(runs)) == 1
