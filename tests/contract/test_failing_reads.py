"""Reads that fail are noted and tried again, and what an entry's workflow is told of its attempts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.entries import EntryActivities
from activities.threads import Threads
from tests.support.world import DAY, T0, World
from wend.entries.failing import ReadFailed, give_up, note_failure, note_recovery, say
from wend.entries.opening import EntryDoesNotAddUp
from wend.entries.watching import ABANDONED_AFTER, Watcher, take_in
from wend.errors import NotFound, Unavailable
from wend.journeys.occurrences import Occurrence
from wend.storage.database import Database
from wend.storage.tables import entries, segments
from wend.wire import EntryFigures, OpenInput

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
A_MINUTE = timedelta(minutes=1)
A_SECOND = timedelta(seconds=1)

AT_NINE: dict[str, Any] = {"start": {"at": "2026-12-01T09:00"}}
ONCE: dict[str, Any] = {"segment": "everybody", "schedule": AT_NINE}
EVERY_DAY = ONCE | {"frequency": "repeating", "schedule": AT_NINE | {"every": "day"}}
JOINERS = ONCE | {"frequency": "once_and_joiners"}
FIRST = Occurrence("2026-12-01T09:00", T0)


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    world.people(["ada", "ben"], member=True)
    return world


def publish(world: World, entry: dict[str, Any]) -> None:
    world.journey(DAY, entry=entry)


def open_start(world: World) -> None:
    opened = world.desk.open("trip", FIRST, T0)
    assert opened is not None
    assert opened.state == "open"


def written(world: World) -> dict[str, tuple[str, str | None]]:
    """Return what became of each occurrence: state, reason."""
    return {row.occurrence: (row.state, row.reason) for row in world.rows(entries, entries.c.kind != "api")}


# -- reads that fail ----------------------------------------------------------------------------------------------

GONE = NotFound("segment", "everybody")


def fail(world: World, attempt: int, after: timedelta, error: Exception = GONE) -> list[str]:
    """Note a failed attempt; return how it was told to the log."""
    with capture_logs() as logs:
        note_failure(world.database, "trip", FIRST, error, attempt, T0 + after)
    return [log["log_level"] for log in logs]


def test_a_read_that_fails_is_written_down_with_its_error_and_becomes_the_entry(world: World) -> None:
    publish(world, EVERY_DAY)
    assert fail(world, 1, timedelta(0)) == ["warning"]
    assert fail(world, 2, 5 * A_SECOND) == ["warning"]
    (row,) = world.rows(entries)
    assert (row.state, row.attempts, row.due_at, row.members) == ("failing", 2, T0, 0)
    assert row.error == "NotFound: There is no segment 'everybody'."

    open_start(world)

    (row,) = world.rows(entries)
    assert (row.state, row.attempts, row.error, row.members) == ("open", 2, None, 2)
    fail(world, 3, 20 * A_SECOND)
    assert world.rows(entries) == [row]


@pytest.mark.parametrize(
    ("attempt", "after", "level"),
    [
        (1, timedelta(minutes=9), "warning"),
        (2, 20 * A_SECOND, "warning"),
        (3, 20 * A_SECOND, "error"),
        (1, timedelta(minutes=10), "error"),
    ],
)
def test_the_third_attempt_or_ten_minutes_are_an_alarm(
    world: World, attempt: int, after: timedelta, level: str
) -> None:
    publish(world, EVERY_DAY)
    assert fail(world, attempt, after) == [level]


def test_an_entry_that_does_not_add_up_has_failed_for_good(world: World) -> None:
    publish(world, EVERY_DAY)
    assert fail(world, 1, timedelta(0), EntryDoesNotAddUp(uuid4(), 3, 1, 1)) == ["error"]
    (row,) = world.rows(entries)
    assert (row.state, row.finished_at) == ("failed", T0)
    assert "has 3 members, but 1 runs and 1 exclusions" in row.error


def test_attempts_are_counted_over_several_that_try(world: World) -> None:
    publish(world, EVERY_DAY)
    for attempt in (1, 2, 5, 1):
        fail(world, attempt, timedelta(0))
    assert [row.attempts for row in world.rows(entries)] == [6]


def test_a_database_that_is_away_is_told_to_the_log_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(world, EVERY_DAY)
    away = Unavailable("The database", "connection refused")

    def refuse() -> Any:
        raise away

    monkeypatch.setattr(world.database, "write", refuse)
    with capture_logs() as logs, pytest.raises(Unavailable):
        note_failure(world.database, "trip", FIRST, away, 3, T0)
    assert [log["log_level"] for log in logs] == ["error"]


def test_looks_that_fail_share_one_row_until_joiners_can_be_looked_for_again(world: World) -> None:
    publish(world, JOINERS)
    open_start(world)
    for minute in range(1, 5):
        at = T0 + timedelta(minutes=minute)
        note_failure(world.database, "trip", Occurrence(f"{at:%Y-%m-%dT%H:%M:%SZ}", at), GONE, 1, at, "joiners")
    (row,) = world.rows(entries, entries.c.kind == "joiners")
    assert (row.state, row.attempts, row.occurrence) == ("failing", 4, "2026-12-01T09:01:00Z")

    note_recovery(world.database, "trip", T0 + AN_HOUR)

    (row,) = world.rows(entries, entries.c.kind == "joiners")
    assert (row.state, row.attempts, row.finished_at) == ("done", 4, T0 + AN_HOUR)
    assert written(world)["2026-12-01T09:00"] == ("open", None)


def test_whoever_tried_to_read_and_died_is_replaced(world: World) -> None:
    publish(world, EVERY_DAY)
    fail(world, 1, timedelta(0))
    watcher = Watcher(world.database, world.versions)
    look = Occurrence("2026-12-01T09:01:00Z", T0 + A_MINUTE)
    note_failure(world.database, "trip", look, GONE, 1, T0, "joiners")  # the next look takes over from this one
    assert watcher.abandoned(T0 + ABANDONED_AFTER - A_SECOND) == []
    assert watcher.abandoned(T0 + ABANDONED_AFTER) == [("trip", FIRST)]
    fail(world, 2, timedelta(minutes=10))
    assert watcher.abandoned(T0 + ABANDONED_AFTER) == []
    world.close()
    assert watcher.abandoned(T0 + A_DAY) == []


def test_what_could_not_be_read_before_the_journey_was_over_was_missed(world: World) -> None:
    publish(world, EVERY_DAY)
    fail(world, 1, timedelta(0))
    with world.database.write() as connection:
        assert give_up(connection, T0) == 0
    world.close()
    with world.database.write() as connection:
        assert give_up(connection, T0 + A_DAY) == 1
    (row,) = world.rows(entries)
    assert (row.state, row.reason, row.finished_at) == ("missed", "outage", T0 + A_DAY)
    assert row.error == "NotFound: There is no segment 'everybody'."


def database_error(orig: Exception) -> sa.exc.DBAPIError:
    return sa.exc.DBAPIError("SELECT 'ada@example.com'", {"email": "ada@example.com"}, orig)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotFound("segment", "everybody", "Make it.\nNow."), "NotFound: There is no segment 'everybody'. Make it."),
        (
            database_error(psycopg.errors.QueryCanceled("canceling statement due to statement timeout\nCONTEXT: x")),
            "QueryCanceled (57014): canceling statement due to statement timeout",
        ),
        (
            database_error(psycopg.errors.InvalidTextRepresentation("invalid input syntax: 'ada@example.com'")),
            "InvalidTextRepresentation (22P02)",
        ),
        (ValueError("ada@example.com is no number"), "ValueError"),
    ],
)
def test_an_error_is_said_without_what_a_person_may_have_written(error: Exception, said: str) -> None:
    assert say(error) == said


# -- what the entry's workflow is told ------------------------------------------------------------------------------


async def opened(world: World, opening: OpenInput, at: datetime, attempt: int = 1) -> EntryFigures:
    """Have an entry opened as an attempt of its workflow that begins at an instant."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=at, attempt=attempt)
    with ThreadPoolExecutor(1) as executor:
        client = cast(Client, None)  # opening an entry starts nothing
        activities = EntryActivities(client, world.desk, world.timetable, Threads(executor), "wend")
        figures: EntryFigures = await environment.run(activities.open_entry, opening)
    return figures


async def test_a_firing_is_told_what_it_was_for(world: World) -> None:
    publish(world, EVERY_DAY)
    figures = await opened(world, OpenInput("trip", T0), T0)
    assert (figures.occurrence, figures.members, figures.refill) == ("2026-12-01T09:00", 2, True)
    nothing = await opened(world, OpenInput("trip", T0 + AN_HOUR), T0 + AN_HOUR)
    assert (nothing.entry_id, nothing.occurrence) == (None, None)


async def test_a_firing_that_is_too_late_takes_nobody_in_unless_somebody_asked(world: World) -> None:
    publish(world, EVERY_DAY)
    late = T0 + AN_HOUR + A_SECOND
    figures = await opened(world, OpenInput("trip", T0), late)
    assert (figures.entry_id, figures.occurrence) == (None, "2026-12-01T09:00")
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}

    named = OpenInput("trip", late, "2026-12-01T09:00", T0)
    assert "written down as missed" in (await opened(world, named, late)).note
    with world.database.write() as connection:
        take_in(connection, "trip", "2026-12-01T09:00", late)
    figures = await opened(world, replace(named, asked=True), late)
    assert (figures.occurrence, figures.entered) == ("2026-12-01T09:00", 2)


async def test_a_read_that_fails_is_noted_and_raised(world: World) -> None:
    publish(world, EVERY_DAY)
    with world.database.write() as connection:
        connection.execute(sa.delete(segments))
    with pytest.raises(NotFound):
        await opened(world, OpenInput("trip", T0), T0, attempt=7)
    (row,) = world.rows(entries)
    assert (row.state, row.attempts) == ("failing", 7)


async def test_what_a_driver_says_of_a_person_reaches_no_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(world, EVERY_DAY)

    def refuse(*_: object) -> None:
        raise database_error(psycopg.errors.InvalidTextRepresentation("invalid input syntax: 'ada@example.com'"))

    monkeypatch.setattr(world.desk, "open", refuse)
    with pytest.raises(ReadFailed) as raised:
        await opened(world, OpenInput("trip", T0), T0)
    assert str(raised.value) == "InvalidTextRepresentation (22P02)"
    assert raised.value.__suppress_context__
    assert raised.value.__cause__ is None


async def test_a_failure_that_cannot_be_noted_is_raised_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(world, EVERY_DAY)
    with world.database.write() as connection:
        connection.execute(sa.delete(segments))

    def refuse(*_: object) -> None:
        raise Unavailable("The database", "gone")

    monkeypatch.setattr("activities.entries.note_failure", refuse)
    with pytest.raises(NotFound):
        await opened(world, OpenInput("trip", T0), T0)


async def test_a_look_that_finds_nobody_needs_no_more_than_itself(world: World) -> None:
    publish(world, JOINERS)
    open_start(world)
    at = T0 + A_MINUTE
    figures = await opened(world, OpenInput("trip", at), at)
    assert (figures.entry_id, figures.refill) == (None, False)
    world.people(["cleo"], member=True)
    at += A_MINUTE
    figures = await opened(world, OpenInput("trip", at), at)
    assert (figures.occurrence, figures.entered, figures.refill) == ("2026-12-01T09:02:00Z", 1, False)


async def test_a_look_that_fails_gives_way_to_the_next_one(world: World) -> None:
    publish(world, JOINERS)
    open_start(world)
    with world.database.write() as connection:
        connection.execute(sa.delete(segments))
    first, second = T0 + A_MINUTE, T0 + 2 * A_MINUTE
    with pytest.raises(NotFound):
        await opened(world, OpenInput("trip", first), first)
    given_way = await opened(world, OpenInput("trip", first), second, attempt=2)
    assert (given_way.entry_id, given_way.refill) == (None, False)
    with pytest.raises(NotFound):
        await opened(world, OpenInput("trip", second), second)

    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    world.people(["cleo"], member=True)
    figures = await opened(world, OpenInput("trip", second), second + A_SECOND, attempt=2)

    assert figures.entered == 1
    assert written(world) == {
        "2026-12-01T09:00": ("open", None),
        "2026-12-01T09:01:00Z": ("done", None),
        "2026-12-01T09:02:00Z": ("open", None),
    }
