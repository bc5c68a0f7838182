"""A journey finishes by itself once nobody can enter it any more, and nobody is inside."""

from datetime import datetime, timedelta

import pytest

from tests.support.world import DAY, T0, World
from wend.entries.exhausting import finish_exhausted
from wend.entries.failing import note_failure
from wend.entries.opening import OpenedEntry
from wend.entries.watching import take_in
from wend.errors import Unavailable
from wend.journeys.occurrences import Occurrence
from wend.runs.requesting import NotThroughApi
from wend.storage.database import Database
from wend.storage.tables import audit, entries, journeys, runs

A_DAY = timedelta(days=1)
START = {"start": {"at": "2026-12-01T09:00"}}
ONCE = {"segment": "club", "api": False, "schedule": START}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def occur(world: World, at: datetime = T0) -> OpenedEntry:
    world.now = max(world.now, at)
    entry = world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), world.now)
    assert entry is not None
    return entry


def let_through(world: World, entry: OpenedEntry) -> None:
    """Start everybody who entered, let them wait their day, and close the entry."""
    for order in world.starter.claim(entry.id, world.now):
        world.starter.mark_started([order.run_id], world.now)
    world.desk.finish(entry.id, world.now)
    world.later(A_DAY)
    for row in world.rows(runs, runs.c.ended_at.is_(None)):
        world.advance(row.id)


def finished(world: World) -> list[str]:
    return finish_exhausted(world.timetable, world.now)


def test_it_finishes_when_its_only_occurrence_is_over_and_the_last_one_has_left(world: World) -> None:
    world.listed("club", world.people(["ada", "ben"]))
    world.journey(DAY, entry=ONCE)
    assert finished(world) == []  # it has yet to begin
    entry = occur(world)
    assert finished(world) == []
    world.deliver_nothing()
    let_through(world, entry)

    assert finished(world) == ["trip"]

    (row,) = world.rows(journeys)
    assert (row.state, row.ended_at) == ("finished", world.now)
    assert world.waiting("remove_schedule") == ["trip"]
    assert [(each.by, each.action) for each in world.rows(audit, audit.c.action == "finish")] == [("wend", "finish")]
    assert finished(world) == []


def test_it_does_not_while_an_entry_is_open_that_took_nobody_in(world: World) -> None:
    world.listed("club")
    world.journey(DAY, entry=ONCE)
    entry = occur(world)
    world.later(A_DAY)
    assert finished(world) == []
    world.desk.finish(entry.id, world.now)
    assert finished(world) == ["trip"]


def test_it_does_not_while_segments_cannot_be_read(world: World) -> None:
    every = ONCE | {"frequency": "repeating", "schedule": START | {"every": "day", "until": "2026-12-02T09:00"}}
    world.listed("club")
    world.journey(DAY, entry=every)
    world.desk.finish(occur(world).id, world.now)
    second = T0 + A_DAY
    world.now = second
    occurrence = Occurrence(f"{second:%Y-%m-%dT%H:%M}", second)
    note_failure(world.database, "trip", occurrence, Unavailable("x", "y"), 1, world.now)
    world.later(9 * A_DAY)
    assert [row.state for row in world.rows(entries, entries.c.due_at == second)] == ["failing"]
    assert finished(world) == []
    world.desk.finish(occur(world, second).id, world.now)
    assert finished(world) == ["trip"]


@pytest.mark.parametrize(
    "entry",
    [
        {"frequency": "once_and_joiners"},
        {"frequency": "repeating", "schedule": START | {"every": "day"}},
        {"api": True},
    ],
    ids=["joiners", "another occurrence", "through the API"],
)
def test_it_does_not_where_somebody_may_still_come(world: World, entry: dict[str, object]) -> None:
    world.listed("club", world.people(["ada"]))
    world.journey(DAY, entry=ONCE | entry)
    let_through(world, occur(world))
    assert finished(world) == []


def test_it_does_not_while_it_is_paused(world: World) -> None:
    world.listed("club")
    world.journey(DAY, entry=ONCE)
    world.desk.finish(occur(world).id, world.now)
    world.later(A_DAY)
    world.pause()
    assert finished(world) == []
    world.resume()
    assert finished(world) == ["trip"]


def test_it_does_not_while_an_occurrence_that_was_missed_is_to_be_taken_in_after_all(world: World) -> None:
    """Between the request and its delivery nothing else tells that somebody may still come."""
    world.listed("club")
    every = ONCE | {"frequency": "repeating", "schedule": START | {"every": "day", "until": "2026-12-02T09:00"}}
    world.journey(DAY, entry=every)
    world.desk.finish(occur(world).id, world.now)
    world.pause(entries="drop")
    missed = occur(world, T0 + A_DAY)
    world.resume()
    world.later(9 * A_DAY)
    world.deliver_nothing()
    with world.database.write() as connection:
        take_in(connection, "trip", missed.occurrence, world.now)
    assert finished(world) == []
    world.deliver_nothing()
    world.desk.finish(occur(world, T0 + A_DAY).id, world.now)
    assert finished(world) == ["trip"]


def test_a_journey_that_is_entered_by_its_segment_alone_says_so(world: World) -> None:
    world.listed("club")
    world.journey(DAY, entry=ONCE)
    with pytest.raises(NotThroughApi, match="by its segment alone"):
        world.request(world.person("ada"))
    assert world.rows(runs) == []
