"""Who has been in a journey, and who is inside, when they would enter it again: by segment, or through the API."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.world import DAY, MAIL, T0, World
from wend.entries.opening import OpenedEntry
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.ending import close_due
from wend.lifecycle.publishing import IllegalTransition
from wend.runs.requesting import EntryLimitReached, OutsideWindow, StillInside, TooSoon
from wend.storage.database import Database
from wend.storage.tables import entries, exclusions, journeys, runs, sent_messages

A_DAY = timedelta(days=1)
A_SECOND = timedelta(seconds=1)
EVERY_DAY = {
    "segment": "everybody",
    "frequency": "repeating",
    "schedule": {"start": {"at": "2026-12-01T09:00"}, "every": "day"},
}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    return world


def member(world: World, name: str = "ada") -> UUID:
    return world.person(name, attributes={"member": True})


def journey(world: World, *steps: Any, reentry: dict[str, Any], **more: Any) -> None:
    world.journey(*(steps or [DAY]), entry=EVERY_DAY, reentry=reentry, **more)


def occur(world: World, day: int) -> OpenedEntry:
    at = T0 + day * A_DAY
    world.now = max(world.now, at)
    opened = world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), world.now)
    assert opened is not None
    for order in world.starter.claim(opened.id, world.now, 100):
        world.starter.mark_started([order.run_id], world.now)
    return opened


def reasons(world: World, entry: OpenedEntry) -> list[str]:
    return [row.reason for row in world.rows(exclusions, exclusions.c.entry_id == entry.id)]


def states(world: World) -> list[tuple[str, str | None]]:
    rows = sorted(world.rows(runs), key=lambda row: row.entry_number)
    return [(row.state, row.reason) for row in rows]


# -- still inside ---------------------------------------------------------------------------------------------------


def test_restart_ends_the_run_inside_and_begins_anew(world: World) -> None:
    ada = member(world)
    journey(world, reentry={"still_inside": "restart"})
    occur(world, 0)
    second = occur(world, 1)

    assert (second.entered, second.excluded) == (1, 0)
    assert states(world) == [("exited", "restarted"), ("running", None)]
    old, new = sorted(world.rows(runs), key=lambda row: row.entry_number)
    assert world.steps(old.id) == [("day", "entered"), ("exit", "ended")]
    assert (old.ended_at, new.step, new.profile_id) == (T0 + A_DAY, "day", ada)
    assert world.waiting("wake_ended_runs") == ["trip"]
    assert world.figures().outcomes == {"exited: restarted": 1}


def test_restart_drops_what_waits_to_be_tried_again(world: World) -> None:
    member(world)
    journey(world, MAIL, reentry={"still_inside": "restart"})
    occur(world, 0)
    (run,) = world.rows(runs)
    claim = world.claimed(run.id)
    occur(world, 1)
    world.settle(claim)  # the provider has it: the ledger says so, the run that ended does not move

    assert [row.state for row in world.rows(sent_messages)] == ["accepted"]
    assert states(world)[0] == ("exited", "restarted")


def test_restart_leaves_who_does_not_enter_where_they_are(world: World) -> None:
    member(world)
    ben = world.person("ben", attributes={"member": True})
    journey(world, reentry={"still_inside": "restart"})
    occur(world, 0)
    world.listed("employees", [ben])
    world.journey(DAY, entry=EVERY_DAY | {"exclude": ["employees"]}, reentry={"still_inside": "restart"})
    second = occur(world, 1)
    assert reasons(world, second) == ["excluded_segment"]
    assert [row.state for row in world.rows(runs, runs.c.profile_id == ben)] == ["running"]


def test_overlap_begins_a_further_run_beside_the_one_inside(world: World) -> None:
    member(world)
    journey(world, reentry={"still_inside": "overlap"})
    for day in range(3):
        assert occur(world, day).entered == 1
    assert states(world) == [("running", None)] * 3
    assert world.figures().inside == 3


def test_a_later_version_that_skips_sees_the_runs_that_overlap(world: World) -> None:
    member(world)
    journey(world, reentry={"still_inside": "overlap"})
    occur(world, 0)
    journey(world, reentry={"still_inside": "skip"})
    assert reasons(world, occur(world, 1)) == ["still_inside"]


def test_an_occurrence_while_the_one_before_is_still_being_started_skips_who_is_pending(world: World) -> None:
    member(world)
    member(world, "ben")
    journey(world, reentry={})
    at = T0
    first = world.desk.open("trip", Occurrence("2026-12-01T09:00", at), at)
    assert first is not None
    world.starter.claim(first.id, T0, 1)
    second = world.desk.open("trip", Occurrence("2026-12-02T09:00", at + A_DAY), at + A_DAY)
    assert second is not None
    assert (second.entered, reasons(world, second)) == (0, ["still_inside"] * 2)
    assert world.starter.left(first.id) == 2


def test_starts_through_the_api_follow_the_same_rule(world: World) -> None:
    ada = member(world)
    world.journey(DAY)
    first = world.request(ada)
    with pytest.raises(StillInside):
        world.request(ada)
    world.journey(DAY, reentry={"still_inside": "restart"})
    second = world.request(ada)
    world.journey(DAY, reentry={"still_inside": "overlap"})
    world.request(ada)
    world.request(ada)
    assert (world.row(first).state, world.row(second).state) == ("exited", "pending")
    assert world.figures().inside == 3


# -- how soon, and how often ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("since", "day_of_return"), [("start", 3), ("end", 4)])
def test_the_gap_counts_from_the_last_runs_start_or_end(world: World, since: str, day_of_return: int) -> None:
    ada = member(world)
    journey(world, reentry={"after": "P3D", "since": since})  # each run lasts a day
    occur(world, 0)
    (run,) = world.rows(runs)
    world.later(A_DAY)
    world.advance(run.id)
    assert world.row(run.id).ended_at == T0 + A_DAY

    for day in range(1, day_of_return):
        assert reasons(world, occur(world, day)) == ["too_soon"], day
        with pytest.raises(TooSoon) as refused:
            world.request(ada)
        assert refused.value.from_at == T0 + day_of_return * A_DAY
    assert occur(world, day_of_return).entered == 1


def test_the_limit_counts_every_run_of_the_journey(world: World) -> None:
    ada = member(world)
    journey(world, MAIL, reentry={"limit": 2})
    for day in range(2):
        occur(world, day)
        world.send(world.rows(runs, runs.c.ended_at.is_(None))[0].id)
    assert reasons(world, occur(world, 2)) == ["entry_limit"]
    with pytest.raises(EntryLimitReached):
        world.request(ada)
    assert world.rows(entries, entries.c.kind == "api") == []


# -- the window -----------------------------------------------------------------------------------------------------

WINDOW = {"opens": "2026-12-02T00:00", "closes": "2026-12-03T09:00"}


def test_nobody_enters_outside_of_the_window(world: World) -> None:
    ada = member(world)
    journey(world, reentry={}, window=WINDOW)

    before = occur(world, 0)
    with pytest.raises(OutsideWindow, match="opens at 2026-12-02T00:00:00Z"):
        world.request(ada)
    inside = occur(world, 2)  # the very last instant
    world.later(A_SECOND)
    with pytest.raises(OutsideWindow, match="closed at 2026-12-03T09:00:00Z"):
        world.request(ada)
    after = occur(world, 3)

    assert [entry.state for entry in (before, inside, after)] == ["skipped", "open", "skipped"]
    skipped = world.rows(entries, entries.c.state == "skipped")
    assert {(row.reason, row.members) for row in skipped} == {("window_closed", 0)}
    assert world.figures().entered == 1


@pytest.mark.parametrize(
    ("inside", "state", "run"),
    [("finish", "closed", ("running", None)), ("exit", "finished", ("exited", "journey_closed"))],
)
def test_a_journey_closes_when_its_window_does(
    world: World, inside: str, state: str, run: tuple[str, str | None]
) -> None:
    member(world)
    journey(world, reentry={}, window={"closes": WINDOW["closes"], "inside": inside})
    occur(world, 0)

    def sweep(days: int, seconds: int = 0) -> list[str]:
        world.now = T0 + days * A_DAY + seconds * A_SECOND
        with world.database.write() as connection:
            return close_due(connection, world.now)

    assert sweep(2) == []
    assert sweep(2, 1) == ["trip"]
    assert sweep(2, 2) == []
    assert [row.state for row in world.rows(journeys)] == [state]
    assert states(world) == [run]
    assert world.waiting("remove_schedule") == ["trip"]
    with pytest.raises(IllegalTransition):
        world.request(member(world, "ben"))


def test_the_last_occurrence_of_a_window_is_taken_in_though_it_is_fired_a_moment_later(world: World) -> None:
    member(world)
    journey(world, reentry={}, window={"closes": WINDOW["closes"]})
    at = T0 + 2 * A_DAY
    opened = world.desk.open("trip", Occurrence("2026-12-03T09:00", at), at + A_SECOND)
    assert opened is not None
    assert (opened.state, opened.entered) == ("open", 1)


def test_a_firing_finds_nobody_to_take_in_where_the_newest_version_has_no_entry(world: World) -> None:
    member(world)
    journey(world, reentry={})
    world.journey(DAY)
    assert world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0) is None


def test_a_new_version_moves_the_end_of_the_window(world: World) -> None:
    journey(world, reentry={}, window={"closes": WINDOW["closes"]})
    journey(world, reentry={})
    with world.database.write() as connection:
        assert close_due(connection, T0 + 100 * A_DAY) == []
