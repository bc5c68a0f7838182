"""Joiners: whoever comes into the segment later enters within one look, each once ever, or as often as they rejoin."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.support.world import DAY, MAIL, T0, World
from wend.entries.opening import OpenedEntry
from wend.errors import NotFound
from wend.journeys.occurrences import Occurrence
from wend.segments import store as segment_store
from wend.storage.database import Database
from wend.storage.tables import audience, entries, exclusions, runs, segments

A_MINUTE = timedelta(minutes=1)
A_DAY = timedelta(days=1)
START = {"start": {"at": "2026-12-01T09:00"}}
JOINERS = {"segment": "club", "frequency": "once_and_joiners", "schedule": START}
INCREMENTAL = {"segment": "club", "frequency": "repeating", "read": "joiners", "schedule": START | {"every": "day"}}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.listed("club")
    return world


def start(world: World, at: timedelta = timedelta(0)) -> OpenedEntry:
    due_at = T0 + at
    world.now = max(world.now, due_at)
    opened = world.desk.open("trip", Occurrence(f"{due_at:%Y-%m-%dT%H:%M}", due_at), world.now)
    assert opened is not None
    return opened


def look(world: World, by: timedelta = A_MINUTE) -> OpenedEntry | None:
    fired_at = world.later(by)
    return world.desk.look_for_joiners("trip", fired_at, fired_at)


def entered(world: World, entry: OpenedEntry | None) -> set[UUID]:
    assert entry is not None
    return {row.profile_id for row in world.rows(runs, runs.c.entry_id == entry.id)}


def reasons(world: World, entry: OpenedEntry | None) -> dict[UUID, str]:
    assert entry is not None
    return {row.profile_id: row.reason for row in world.rows(exclusions, exclusions.c.entry_id == entry.id)}


def end_all(world: World) -> None:
    """Have every run that is inside send its mail, which is all that it does."""
    for row in world.rows(runs, runs.c.ended_at.is_(None)):
        order = world.starter.claim_one(row.id, world.now)
        assert order is not None
        world.starter.mark_started([row.id], world.now)
        world.advance(row.id, 0)
        world.send(row.id)


def journey(world: World, entry: Mapping[str, Any] = JOINERS, **more: Any) -> None:
    world.journey(MAIL, entry=dict(entry), **more)


def test_members_at_the_start_and_whoever_joins_later_enter_each_in_an_entry_of_their_own(world: World) -> None:
    ada, ben, cleo = world.people(["ada", "ben", "cleo"])
    world.listed("club", [ada])
    journey(world)
    first = start(world)
    world.listed("club", [ben])

    second = look(world)
    nobody = look(world)
    world.listed("club", [cleo])
    third = look(world)

    assert (entered(world, first), entered(world, second), entered(world, third)) == ({ada}, {ben}, {cleo})
    assert nobody is None
    assert second is not None
    assert (second.occurrence, second.members, second.excluded) == ("2026-12-01T09:01:00Z", 1, 0)
    assert [row.kind for row in world.rows(entries)] == ["segment", "joiners", "joiners"]
    assert world.figures().members == 3


def test_a_look_that_finds_nobody_writes_nothing(world: World) -> None:
    world.listed("club", world.people(["ada"]))
    journey(world)
    start(world)
    before = [world.rows(table) for table in (entries, audience, runs)]
    assert look(world) is None
    assert [world.rows(table) for table in (entries, audience, runs)] == before


def test_once_ever_holds_for_who_leaves_and_comes_back(world: World) -> None:
    (ada,) = world.people(["ada"])
    world.listed("club", [ada])
    journey(world)
    start(world)
    end_all(world)

    world.unlist("club", [ada])
    assert look(world) is None
    world.listed("club", [ada])
    back = look(world)

    assert reasons(world, back) == {ada: "already_entered"}
    assert len(world.rows(runs)) == 1


def test_with_rejoin_who_was_seen_to_leave_and_to_come_back_enters_once_more(world: World) -> None:
    (ada,) = world.people(["ada"])
    world.listed("club", [ada])
    journey(world, JOINERS | {"rejoin": True})
    start(world)
    end_all(world)

    assert look(world) is None
    world.unlist("club", [ada])
    assert look(world) is None
    world.listed("club", [ada])
    back = look(world)
    end_all(world)

    assert entered(world, back) == {ada}
    assert look(world) is None
    assert [(row.entry_number, row.once) for row in world.rows(runs)] == [(1, True), (2, False)]


def test_who_leaves_and_comes_back_between_two_looks_has_never_left(world: World) -> None:
    (ada,) = world.people(["ada"])
    world.listed("club", [ada])
    journey(world, JOINERS | {"rejoin": True})
    start(world)
    end_all(world)
    world.unlist("club", [ada])
    world.listed("club", [ada])
    assert look(world) is None


def test_who_rejoins_while_still_inside_does_not_enter_twice(world: World) -> None:
    (ada,) = world.people(["ada"])
    world.listed("club", [ada])
    world.journey(DAY, entry=JOINERS | {"rejoin": True})
    start(world)
    world.unlist("club", [ada])
    look(world)
    world.listed("club", [ada])
    assert reasons(world, look(world)) == {ada: "still_inside"}


def test_without_backfill_only_those_who_join_after_the_start_enter(world: World) -> None:
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    journey(world, JOINERS | {"backfill": False})
    first = start(world)
    world.listed("club", [ben])
    second = look(world)

    assert (first.members, first.entered, reasons(world, first)) == (1, 0, {ada: "before_start"})
    assert entered(world, second) == {ben}

    world.unlist("club", [ada])
    look(world)
    world.listed("club", [ada])
    assert entered(world, look(world)) == {ada}  # she has never entered, and has joined after the start


def test_a_member_left_out_gets_a_new_verdict_only_by_joining_anew(world: World) -> None:
    nobody = world.person("ada", email=None)
    world.listed("club", [nobody])
    journey(world, JOINERS | {"namespace": "email"})
    assert reasons(world, start(world)) == {nobody: "no_identity"}
    world.person("ada", email="ada@example.com")
    assert look(world) is None

    world.unlist("club", [nobody])
    look(world)
    world.listed("club", [nobody])
    assert entered(world, look(world)) == {nobody}


def test_looks_that_have_piled_up_are_done_by_the_first_of_them(world: World) -> None:
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    journey(world)
    start(world)
    world.listed("club", [ben])
    now = world.later(10 * A_MINUTE)

    found = [world.desk.look_for_joiners("trip", T0 + minutes * A_MINUTE, now) for minutes in range(1, 10)]

    assert [entry is not None for entry in found] == [True] + [False] * 8
    assert len(world.rows(entries)) == 2


def test_the_same_look_again_is_answered_as_it_stands(world: World) -> None:
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    journey(world)
    start(world)
    world.listed("club", [ben])
    first = look(world)
    assert look(world, timedelta(0)) is None
    assert first is not None
    assert [row.id for row in world.rows(entries, entries.c.kind == "joiners")] == [first.id]


@pytest.mark.parametrize("how", ["close", "stop"])
def test_nobody_joins_a_journey_that_takes_nobody_in(world: World, how: str) -> None:
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    world.journey(DAY, entry=JOINERS)
    start(world)
    getattr(world, how)()
    world.listed("club", [ben])
    assert look(world) is None


def test_a_look_at_a_segment_that_is_gone_fails_and_loses_nobody(world: World) -> None:
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    journey(world)
    start(world)
    with world.database.write() as connection:
        connection.execute(sa.delete(segments).where(segments.c.key == "club"))
    with pytest.raises(NotFound):
        look(world)
    world.listed("club", [ada, ben])
    assert entered(world, look(world)) == {ben}


def test_joiners_of_a_rule_are_found_by_what_has_changed_in_their_profiles(world: World) -> None:
    world.rule("gold", {"attribute": "level", "op": "eq", "value": "gold"})
    ada, ben = world.people(["ada"], level="gold") + world.people(["ben"], level="tin")
    journey(world, JOINERS | {"segment": ["gold", "club"]})
    assert entered(world, start(world)) == {ada}
    world.people(["ben"], level="gold")
    assert entered(world, look(world)) == {ben}
    world.listed("club", [ada])
    assert look(world) is None  # she is in by the other segment already


def test_when_somebody_joined_is_known_for_lists_and_seen_for_rules(world: World) -> None:
    world.rule("gold", {"attribute": "level", "op": "eq", "value": "gold"})
    ada, ben = world.people(["ada"]) + world.people(["ben"], level="gold")
    world.listed("club", [ada])
    listed_at = world.now
    journey(world, JOINERS | {"segment": ["gold", "club"]})
    start(world, A_DAY)
    joined = {row.profile_id: row.joined_at for row in world.rows(runs)}
    assert joined == {ada: listed_at, ben: T0 + A_DAY}


# -- incremental reads of a repeating journey -----------------------------------------------------------------------


def test_an_incremental_occurrence_takes_those_who_joined_since_the_last_one(world: World) -> None:
    ada, ben, cleo = world.people(["ada", "ben", "cleo"])
    world.listed("club", [ada])
    journey(world, INCREMENTAL)
    first = start(world)
    end_all(world)
    world.listed("club", [ben])
    second = start(world, A_DAY)
    third = start(world, 2 * A_DAY)
    world.listed("club", [cleo])
    fourth = start(world, 3 * A_DAY)

    assert [entered(world, each) for each in (first, second, third, fourth)] == [{ada}, {ben}, set(), {cleo}]
    assert (third.members, third.entered) == (0, 0)


def test_an_occurrence_that_failed_leaves_no_gap(world: World) -> None:
    """What counts is the last read that was committed, not the last one that was due."""
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    journey(world, INCREMENTAL)
    start(world)
    end_all(world)
    world.listed("club", [ben])
    with world.database.write() as connection:
        rule = segment_store.get(connection, "club")
        connection.execute(sa.update(segments).where(segments.c.key == "club").values(kind="rule", rule={"broken": 1}))
    assert rule.kind == "list"
    with pytest.raises(Exception, match="is no rule"):
        start(world, A_DAY)
    with world.database.write() as connection:
        connection.execute(sa.update(segments).where(segments.c.key == "club").values(kind="list", rule=None))

    assert entered(world, start(world, 2 * A_DAY)) == {ben}


def test_who_leaves_and_comes_back_is_a_joiner_again_of_an_incremental_read(world: World) -> None:
    (ada,) = world.people(["ada"])
    world.listed("club", [ada])
    journey(world, INCREMENTAL)
    start(world)
    end_all(world)
    world.unlist("club", [ada])
    start(world, A_DAY)
    world.listed("club", [ada])
    assert entered(world, start(world, 2 * A_DAY)) == {ada}
