"""What a firing is for, what a journey's schedule is to hold, and how late an occurrence may still be taken in."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.world import DAY, T0, World
from wend.entries.timetable import Ahead, Look, Looks
from wend.journeys.occurrences import Occurrence
from wend.storage.database import Database
from wend.storage.tables import entries

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
A_MINUTE = timedelta(minutes=1)
A_SECOND = timedelta(seconds=1)

AT_NINE: dict[str, Any] = {"start": {"at": "2026-12-01T09:00"}}
ONCE: dict[str, Any] = {"segment": "everybody", "schedule": AT_NINE}
EVERY_DAY = ONCE | {"frequency": "repeating", "schedule": AT_NINE | {"every": "day"}}
JOINERS = ONCE | {"frequency": "once_and_joiners"}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    return world


def publish(world: World, entry: dict[str, Any], **more: Any) -> None:
    world.journey(DAY, entry=entry, **more)


def catching_up(entry: dict[str, Any], catch_up: str) -> dict[str, Any]:
    return entry | {"schedule": entry["schedule"] | {"catch_up": catch_up}}


def due(world: World, after: timedelta) -> str | Look | None:
    found = world.timetable.due("trip", T0 + after)
    return found.key if isinstance(found, Occurrence) else found


def ahead(world: World, after: timedelta) -> Ahead:
    found = world.timetable.ahead("trip", T0 + after)
    assert found is not None
    return found


def open_start(world: World, day: int = 0) -> None:
    at = T0 + day * A_DAY
    assert world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), at) is not None


def state(world: World, state: str) -> None:
    with world.database.write() as connection:
        connection.execute(sa.update(entries).values(state=state))


# -- catch-up -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "catch_up", "lateness", "in_time"),
    [
        (EVERY_DAY, None, AN_HOUR, True),
        (EVERY_DAY, None, AN_HOUR + A_SECOND, False),
        (EVERY_DAY, "PT3H", 3 * AN_HOUR, True),
        (EVERY_DAY, "PT10M", 10 * A_MINUTE + A_SECOND, False),
        (ONCE, None, 2000 * A_DAY, True),
        (ONCE, "PT10M", 10 * A_MINUTE, True),
        (ONCE, "PT10M", 10 * A_MINUTE + A_SECOND, False),
    ],
)
def test_a_late_firing_takes_in_what_its_schedule_still_catches_up_with(
    world: World, entry: dict[str, Any], catch_up: str | None, lateness: timedelta, in_time: bool
) -> None:
    publish(world, catching_up(entry, catch_up) if catch_up else entry)
    assert (due(world, lateness) == "2026-12-01T09:00") is in_time
    assert ahead(world, lateness).overdue is in_time


@pytest.mark.parametrize(
    ("entry", "catch_up"), [(EVERY_DAY, AN_HOUR), (catching_up(EVERY_DAY, "PT5M"), 5 * A_MINUTE), (ONCE, None)]
)
def test_the_schedule_is_told_how_late_it_may_fire(
    world: World, entry: dict[str, Any], catch_up: timedelta | None
) -> None:
    publish(world, entry)
    assert ahead(world, timedelta(0)).catch_up == catch_up


# -- the window ---------------------------------------------------------------------------------------------------


def test_occurrences_outside_of_the_window_are_neither_held_nor_fired(world: World) -> None:
    publish(world, EVERY_DAY, window={"opens": "2026-12-03T00:00", "closes": "2026-12-05T09:00"})
    days = [occurrence.key for occurrence in ahead(world, timedelta(0)).coming]
    assert days == ["2026-12-03T09:00", "2026-12-04T09:00", "2026-12-05T09:00"]
    assert [due(world, day * A_DAY) for day in range(6)] == [None, None, *days, None]
    assert due(world, A_SECOND) is None
    assert not ahead(world, A_SECOND).overdue


def test_a_window_that_opens_after_many_occurrences_is_looked_into(world: World) -> None:
    publish(world, EVERY_DAY, window={"opens": "2027-12-01T00:00"})
    assert ahead(world, timedelta(0)).coming[0].key == "2027-12-01T09:00"


def test_the_window_is_wall_time_in_the_zone_of_the_journey(world: World) -> None:
    entry = ONCE | {"schedule": {"start": {"at": "2026-12-10T09:00"}}}
    inside = {"opens": "2026-12-10T09:00", "closes": "2026-12-10T09:01"}
    publish(world, entry, window=inside, time_zone="Pacific/Auckland")
    assert [occurrence.key for occurrence in ahead(world, timedelta(0)).coming] == ["2026-12-10T09:00"]


def test_a_late_occurrence_is_not_taken_in_behind_the_window(world: World) -> None:
    publish(world, ONCE, window={"closes": "2026-12-01T09:30"})
    assert due(world, 30 * A_MINUTE) == "2026-12-01T09:00"
    assert due(world, 31 * A_MINUTE) is None
    assert not ahead(world, 31 * A_MINUTE).overdue


# -- joiners ------------------------------------------------------------------------------------------------------


def test_joiners_are_looked_for_once_the_start_has_been_dealt_with(world: World) -> None:
    publish(world, JOINERS)
    assert due(world, -A_SECOND) is None
    assert due(world, A_MINUTE) == "2026-12-01T09:00"

    open_start(world)

    assert due(world, timedelta(0)) == "2026-12-01T09:00"
    assert due(world, A_MINUTE) == Look(T0 + A_MINUTE, T0 + 2 * A_MINUTE)
    assert due(world, 1000 * A_DAY) == Look(T0 + 1000 * A_DAY, T0 + 1000 * A_DAY + A_MINUTE)


@pytest.mark.parametrize("how", ["done", "missed", "skipped", "failed", "failing"])
def test_a_start_that_cannot_be_read_yet_comes_before_its_joiners(world: World, how: str) -> None:
    publish(world, JOINERS)
    open_start(world)
    state(world, how)
    # Whoever tries to read the start goes on trying; a look does not join in.
    look = Look(T0 + A_MINUTE, T0 + 2 * A_MINUTE)
    assert due(world, A_MINUTE) == (None if how == "failing" else look)


def test_a_firing_by_hand_tries_once_more_to_read_what_fails(world: World) -> None:
    publish(world, EVERY_DAY)
    open_start(world)
    assert due(world, A_SECOND) is None
    state(world, "failing")
    assert due(world, A_SECOND) == "2026-12-01T09:00"
    assert not ahead(world, A_SECOND).overdue


@pytest.mark.parametrize("entry", [ONCE, EVERY_DAY, JOINERS])
def test_a_firing_by_hand_finds_the_entry_again_that_it_has_opened(world: World, entry: dict[str, Any]) -> None:
    """A worker died between opening it and saying so; without it the runs were never started, and nobody noticed."""
    publish(world, entry)
    assert due(world, A_MINUTE) == "2026-12-01T09:00"
    opened = world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0 + A_MINUTE + A_SECOND)
    assert opened is not None

    assert due(world, A_MINUTE) == "2026-12-01T09:00"
    assert due(world, 2 * A_MINUTE) != "2026-12-01T09:00"  # a later firing leaves it to the one that opened it
    world.desk.finish(opened.id, T0 + 2 * A_MINUTE)
    assert due(world, A_MINUTE) != "2026-12-01T09:00"


def test_looks_end_with_the_window(world: World) -> None:
    publish(world, JOINERS | {"refresh": "PT10M"}, window={"closes": "2026-12-01T10:00"})
    open_start(world)
    assert due(world, AN_HOUR) == Look(T0 + AN_HOUR, T0 + AN_HOUR + 10 * A_MINUTE)
    assert due(world, AN_HOUR + A_SECOND) is None


def test_the_schedule_holds_the_looks_from_the_start_on(world: World) -> None:
    publish(world, JOINERS | {"refresh": "PT10M"}, window={"closes": "2026-12-24T18:00"})
    first = ahead(world, -A_DAY)
    assert first.looks == Looks(10 * A_MINUTE, T0, T0 + 23 * A_DAY + 9 * AN_HOUR)
    assert [occurrence.at for occurrence in first.coming] == [T0]
    assert first.catch_up is None

    open_start(world)

    # A look that was missed is made up for by the next one; a start is not.
    assert ahead(world, A_SECOND).catch_up == 10 * A_MINUTE


def test_looks_begin_with_the_window(world: World) -> None:
    at_once = JOINERS | {"schedule": {"start": {"after_publish": "PT0S"}}}
    publish(world, at_once, window={"opens": "2026-12-02T09:00"})
    found = ahead(world, timedelta(0))
    assert found.looks == Looks(A_MINUTE, T0 + A_DAY, None)
    assert found.coming == []
    assert not found.overdue


@pytest.mark.parametrize("entry", [ONCE, EVERY_DAY, EVERY_DAY | {"read": "joiners"}])
def test_other_journeys_look_for_nobody_in_between(world: World, entry: dict[str, Any]) -> None:
    publish(world, entry)
    open_start(world)
    assert ahead(world, A_SECOND).looks is None
    assert due(world, A_SECOND) is None
