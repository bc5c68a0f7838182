"""No occurrence goes by unaccounted for: taken in late, missed or skipped, and taken in after all if somebody asks."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.support.world import DAY, MAIL, T0, World
from wend.entries.failing import note_failure
from wend.entries.watching import GRACE, Held, NotMissed, Watcher, take_in
from wend.errors import NotFound
from wend.journeys.occurrences import Occurrence
from wend.storage.database import Database
from wend.storage.tables import entries, journeys, outbox, runs

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
A_SECOND = timedelta(seconds=1)

AT_NINE: dict[str, Any] = {"start": {"at": "2026-12-01T09:00"}}
ONCE: dict[str, Any] = {"segment": "everybody", "schedule": AT_NINE}
EVERY_DAY = ONCE | {"frequency": "repeating", "schedule": AT_NINE | {"every": "day"}}
JOINERS = ONCE | {"frequency": "once_and_joiners"}
FIRST = Occurrence("2026-12-01T09:00", T0)

RUNNING = Held()
PAUSED = Held(paused=True, touched=True)
RESUMED = Held(touched=True)


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    world.people(["ada", "ben"], member=True)
    return world


def publish(world: World, entry: dict[str, Any], **more: Any) -> None:
    world.journey(DAY, entry=entry, **more)


def watch(world: World, after: timedelta, held: Held | None = RUNNING) -> list[str]:
    """Look around at an instant; return what is to be taken in now."""
    watcher, now = Watcher(world.database, world.versions), T0 + after
    return [occurrence.key for found in watcher.look_around(now) for occurrence in watcher.settle(found, held, now)]


def open_entry(world: World, day: int = 0) -> None:
    at = T0 + day * A_DAY
    opened = world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), at)
    assert opened is not None
    assert opened.state == "open"


def written(world: World) -> dict[str, tuple[str, str | None]]:
    """Return what became of each occurrence: state, reason."""
    rows = world.rows(entries, entries.c.kind != "api")
    return {row.occurrence: (row.state, row.reason) for row in sorted(rows, key=lambda row: row.occurrence)}


def watched_until(world: World) -> datetime | None:
    (row,) = world.rows(journeys)
    until: datetime | None = row.watched_until
    return until


# -- what nobody took in ------------------------------------------------------------------------------------------


def test_an_occurrence_is_left_to_its_firing_for_a_moment(world: World) -> None:
    publish(world, EVERY_DAY)
    assert watch(world, GRACE - A_SECOND) == []
    assert watch(world, GRACE) == ["2026-12-01T09:00"]
    assert written(world) == {}


def test_an_occurrence_that_was_not_fired_is_taken_in_late_until_it_has_an_entry(world: World) -> None:
    publish(world, EVERY_DAY)
    assert watch(world, AN_HOUR) == watch(world, AN_HOUR) == ["2026-12-01T09:00"]
    open_entry(world)
    assert watch(world, AN_HOUR) == []
    assert watched_until(world) == T0 + AN_HOUR - GRACE
    assert written(world) == {"2026-12-01T09:00": ("open", None)}


def test_an_occurrence_that_nobody_could_fire_in_time_was_missed(world: World) -> None:
    publish(world, EVERY_DAY)
    with capture_logs() as logs:
        assert watch(world, AN_HOUR + A_SECOND) == []
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}
    (told,) = logs
    assert (told["log_level"], told["journey"], told["occurrence"]) == ("warning", "trip", "2026-12-01T09:00")
    (row,) = world.rows(entries)
    assert (row.kind, row.members, row.due_at, row.opened_at) == ("segment", 0, T0, T0 + AN_HOUR + A_SECOND)

    # Whoever fires it now finds it done, and takes nobody in.
    opened = world.desk.open("trip", FIRST, T0 + 2 * AN_HOUR)
    assert opened is not None
    assert (opened.state, world.rows(runs)) == ("missed", [])


def test_every_occurrence_of_a_long_outage_is_written_down_and_the_last_is_taken_in(world: World) -> None:
    publish(world, EVERY_DAY)
    open_entry(world)
    assert watch(world, 3 * A_DAY + AN_HOUR) == ["2026-12-04T09:00"]
    missed = ("missed", "outage")
    assert written(world) == {
        "2026-12-01T09:00": ("open", None),
        "2026-12-02T09:00": missed,
        "2026-12-03T09:00": missed,
    }
    # Not past what is still to be taken in.
    until = watched_until(world)
    assert until is not None
    assert T0 + 2 * A_DAY <= until < T0 + 3 * A_DAY


def test_more_occurrences_than_one_round_takes_are_written_down_in_several(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wend.entries.watching.MOST_AT_ONCE", 3)
    publish(world, EVERY_DAY)
    counts = []
    for _ in range(4):
        assert watch(world, 8 * A_DAY + 2 * AN_HOUR) == []
        counts.append(len(written(world)))
    assert counts == [3, 6, 9, 9]


def test_a_start_is_never_too_late_unless_its_schedule_says_so(world: World) -> None:
    publish(world, ONCE)
    assert watch(world, 500 * A_DAY) == ["2026-12-01T09:00"]
    publish(world, ONCE | {"schedule": AT_NINE | {"catch_up": "PT2H"}})
    assert watch(world, 500 * A_DAY) == []
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}


def test_a_start_that_had_passed_at_the_publication_is_made(world: World) -> None:
    publish(world, ONCE | {"schedule": {"start": {"at": "2026-01-01T09:00"}}})
    assert watch(world, GRACE) == ["2026-01-01T09:00"]


def test_repetitions_that_had_passed_at_the_publication_are_not(world: World) -> None:
    world.now = T0 + 10 * A_DAY + AN_HOUR
    publish(world, EVERY_DAY)
    assert watch(world, 11 * A_DAY - A_SECOND) == []
    assert written(world) == {}


def test_looks_for_joiners_are_no_occurrences(world: World) -> None:
    publish(world, JOINERS)
    open_entry(world)
    assert watch(world, 5 * A_DAY) == []
    assert list(written(world)) == ["2026-12-01T09:00"]


def test_where_nothing_is_due_nothing_is_written(world: World) -> None:
    publish(world, EVERY_DAY)
    open_entry(world)
    watch(world, 2 * GRACE)
    until = watched_until(world)
    watcher = Watcher(world.database, world.versions)
    assert watcher.look_around(T0 + 12 * AN_HOUR) == []
    assert watched_until(world) == until


def test_what_was_opened_meanwhile_is_not_taken_in_twice(world: World) -> None:
    publish(world, EVERY_DAY)
    watcher = Watcher(world.database, world.versions)
    (found,) = watcher.look_around(T0 + GRACE)
    open_entry(world)
    assert watcher.settle(found, RUNNING, T0 + GRACE) == []
    assert watched_until(world) == T0


def test_whoever_is_slower_does_not_move_the_mark_back(world: World) -> None:
    publish(world, EVERY_DAY)
    open_entry(world)
    watcher = Watcher(world.database, world.versions)
    (slow,) = watcher.look_around(T0 + GRACE)
    watch(world, A_DAY - AN_HOUR)
    watcher.settle(slow, RUNNING, T0 + GRACE)
    assert watched_until(world) == T0 + A_DAY - AN_HOUR - GRACE


@pytest.mark.parametrize("ending", ["close", "stop"])
def test_a_journey_that_is_over_is_not_watched(world: World, ending: str) -> None:
    publish(world, EVERY_DAY)
    watcher = Watcher(world.database, world.versions)
    (found,) = watcher.look_around(T0 + 2 * AN_HOUR)
    getattr(world, ending)()
    assert watcher.look_around(T0 + 2 * AN_HOUR) == []
    assert watcher.settle(found, RUNNING, T0 + 2 * AN_HOUR) == []
    assert written(world) == {}


def test_several_that_watch_at_once_write_each_occurrence_down_once(world: World) -> None:
    publish(world, EVERY_DAY)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: watch(world, 5 * A_DAY + AN_HOUR), range(4)))
    assert all(each in (["2026-12-06T09:00"], []) for each in found)
    assert list(written(world).values()) == [("missed", "outage")] * 5


def test_a_journey_that_cannot_be_read_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(world, EVERY_DAY, key="broken")
    publish(world, EVERY_DAY)
    get = world.versions.get

    def refuse(connection: sa.Connection, journey: str, number: int) -> Any:
        if journey == "broken":
            raise ValueError("a definition of another time")
        return get(connection, journey, number)

    monkeypatch.setattr(world.versions, "get", refuse)
    with capture_logs() as logs:
        watch(world, 2 * AN_HOUR)
    assert [row.journey_key for row in world.rows(entries)] == ["trip"]
    assert [log["journey"] for log in logs if log["log_level"] == "error"] == ["broken"]


# -- a paused schedule --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [PAUSED, RESUMED], ids=["still paused", "resumed since"])
@pytest.mark.parametrize("entry", [ONCE, EVERY_DAY], ids=["once", "repeating"])
def test_a_paused_schedule_skips_and_resuming_does_not_back_fill(
    world: World, entry: dict[str, Any], held: Held
) -> None:
    publish(world, entry)
    assert watch(world, GRACE, held) == []
    assert written(world) == {"2026-12-01T09:00": ("skipped", "schedule_paused")}
    assert watch(world, 2 * GRACE, RUNNING) == []
    assert world.timetable.due("trip", T0 + 2 * GRACE) is None


@pytest.mark.parametrize(
    ("held", "skipped"),
    [
        (Held(paused=True, fired=frozenset({T0})), False),  # fired, and paused afterwards
        (Held(paused=True, fired=frozenset({T0 - A_DAY})), True),
        (Held(paused=True, fired=frozenset({T0 + A_SECOND}), all_fired=False), False),  # perhaps fired before those
        (Held(paused=True, fired=frozenset({T0 - A_DAY, T0 + A_DAY}), all_fired=False), True),
        (None, False),  # gone as a whole: nobody paused it
    ],
)
def test_what_was_fired_before_the_pause_was_not_skipped(world: World, held: Held | None, skipped: bool) -> None:
    publish(world, EVERY_DAY)
    assert watch(world, GRACE, held) == ([] if skipped else ["2026-12-01T09:00"])
    assert list(written(world).values()) == ([("skipped", "schedule_paused")] if skipped else [])


# -- the window ---------------------------------------------------------------------------------------------------


def test_an_occurrence_outside_of_the_window_is_skipped(world: World) -> None:
    publish(world, EVERY_DAY, window={"opens": "2026-12-03T00:00"})
    assert watch(world, 2 * A_DAY + GRACE, PAUSED) == []
    closed = ("skipped", "window_closed")
    assert written(world) == {
        "2026-12-01T09:00": closed,
        "2026-12-02T09:00": closed,
        "2026-12-03T09:00": ("skipped", "schedule_paused"),
    }


def test_a_window_that_has_ended_is_not_waited_for(world: World) -> None:
    """Nobody is taken in behind it, and its journey is to be closed: the last occurrence is accounted for at once."""
    publish(world, EVERY_DAY, window={"closes": "2026-12-01T09:00:10"})
    watcher = Watcher(world.database, world.versions)
    assert watcher.look_around(T0 + 10 * A_SECOND) == []
    now = T0 + 11 * A_SECOND
    (found,) = watcher.look_around(now)
    assert found.closing
    assert watcher.settle(found, RUNNING, now) == []
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}


# -- a new version ------------------------------------------------------------------------------------------------


def test_an_occurrence_counts_by_the_schedule_of_its_time(world: World) -> None:
    publish(world, EVERY_DAY)
    world.later(A_DAY + 12 * AN_HOUR)
    publish(world, EVERY_DAY | {"schedule": AT_NINE | {"every": "day", "at": "21:30"}})
    # 1 and 2 December at 09:00 by the first version, from then on 21:30 by the second.
    assert watch(world, 2 * A_DAY + 13 * AN_HOUR) == ["2026-12-03T21:30"]
    missed = ("missed", "outage")
    assert written(world) == dict.fromkeys(["2026-12-01T09:00", "2026-12-02T09:00", "2026-12-02T21:30"], missed)


def test_what_comes_due_at_the_publication_counts_by_the_new_version(world: World) -> None:
    publish(world, EVERY_DAY)
    open_entry(world)
    watch(world, GRACE)
    world.later(A_DAY)
    publish(world, EVERY_DAY | {"schedule": AT_NINE | {"every": "day", "at": "21:30"}})
    assert watch(world, A_DAY + 2 * AN_HOUR) == []
    assert list(written(world)) == ["2026-12-01T09:00"]
    # Earlier versions are done with.
    assert watched_until(world) == T0 + A_DAY + 2 * AN_HOUR - GRACE


def test_what_the_newest_version_holds_too_is_taken_in_late(world: World) -> None:
    publish(world, EVERY_DAY)
    world.later(timedelta(minutes=10))
    world.journey(DAY, MAIL, entry=EVERY_DAY)
    assert watch(world, timedelta(minutes=20)) == ["2026-12-01T09:00"]


def test_a_start_that_was_put_off_is_not_made_up_for(world: World) -> None:
    publish(world, ONCE)
    world.later(timedelta(minutes=10))
    publish(world, ONCE | {"schedule": {"start": {"at": "2026-12-05T09:00"}}})
    assert watch(world, timedelta(minutes=20)) == []
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}
    assert watch(world, 4 * A_DAY + GRACE) == ["2026-12-05T09:00"]


def test_what_a_version_without_entry_replaced_was_missed(world: World) -> None:
    publish(world, EVERY_DAY)
    world.later(timedelta(minutes=10))
    world.journey(DAY)
    assert watch(world, timedelta(minutes=20)) == []
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}
    assert watch(world, 3 * A_DAY) == []
    assert len(written(world)) == 1


# -- fired too late -----------------------------------------------------------------------------------------------


def test_a_firing_that_reaches_a_worker_too_late_is_written_down(world: World) -> None:
    publish(world, EVERY_DAY)
    watcher = Watcher(world.database, world.versions)
    assert not watcher.write_off_late("trip", FIRST, T0 + AN_HOUR)
    assert written(world) == {}
    assert watcher.write_off_late("trip", FIRST, T0 + AN_HOUR + A_SECOND)
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}
    assert not watcher.write_off_late("trip", FIRST, T0 + AN_HOUR + A_SECOND)


def test_an_attempt_to_read_that_goes_on_is_not_too_late(world: World) -> None:
    publish(world, EVERY_DAY)
    note_failure(world.database, "trip", FIRST, NotFound("segment", "everybody"), 1, T0)
    watcher = Watcher(world.database, world.versions)
    assert not watcher.write_off_late("trip", FIRST, T0 + A_DAY)
    assert watch(world, 2 * AN_HOUR) == []
    assert written(world) == {"2026-12-01T09:00": ("failing", None)}


# -- asked for after all ------------------------------------------------------------------------------------------


def ask(world: World, occurrence: str = "2026-12-01T09:00", after: timedelta = A_DAY) -> None:
    with world.database.write() as connection:
        take_in(connection, "trip", occurrence, T0 + after)


@pytest.mark.parametrize("held", [RUNNING, PAUSED], ids=["missed", "skipped"])
def test_what_was_missed_or_skipped_is_taken_in_if_somebody_asks(world: World, held: Held) -> None:
    publish(world, EVERY_DAY)
    watch(world, 2 * AN_HOUR, held)

    ask(world)

    assert written(world)["2026-12-01T09:00"][0] == "asked"
    with pytest.raises(NotMissed, match="it is being taken in"):
        ask(world)
    (parcel,) = world.rows(outbox, outbox.c.kind == "enter")
    assert (parcel.subject, parcel.payload["occurrence"]) == ("trip", "2026-12-01T09:00")
    assert datetime.fromisoformat(parcel.payload["due_at"]) == T0
    # It is not missed a second time before it is entered.
    assert watch(world, 5 * AN_HOUR) == []
    assert written(world)["2026-12-01T09:00"][0] == "asked"
    opened = world.desk.open("trip", FIRST, T0 + A_DAY)
    assert opened is not None
    assert (opened.state, opened.entered) == ("open", 2)


def test_an_occurrence_that_was_taken_in_is_not_taken_in_again(world: World) -> None:
    publish(world, EVERY_DAY)
    open_entry(world)
    with pytest.raises(NotMissed, match="it is open, neither missed nor skipped"):
        ask(world)
    assert world.waiting("enter") == []


def test_of_an_unknown_occurrence_or_journey_that_is_said(world: World) -> None:
    publish(world, EVERY_DAY)
    with pytest.raises(NotFound, match="no record of occurrence '2026-12-01T10:00'"):
        ask(world, "2026-12-01T10:00")
    with world.database.write() as connection, pytest.raises(NotFound, match="no journey 'tour'"):
        take_in(connection, "tour", "2026-12-01T09:00", T0)


def test_a_journey_that_takes_nobody_in_any_more_does_not_for_the_asking(world: World) -> None:
    publish(world, EVERY_DAY)
    watch(world, 2 * AN_HOUR)
    world.close()
    with pytest.raises(NotMissed, match="takes nobody in any more"):
        ask(world)
    assert written(world) == {"2026-12-01T09:00": ("missed", "outage")}


def test_nobody_is_taken_in_outside_of_the_window_for_the_asking(world: World) -> None:
    publish(world, EVERY_DAY, window={"opens": "2026-12-02T00:00"})
    watch(world, 2 * AN_HOUR)
    with pytest.raises(NotMissed, match="window"):
        ask(world)


def test_a_journey_without_entry_does_not_for_the_asking(world: World) -> None:
    publish(world, EVERY_DAY)
    watch(world, 2 * AN_HOUR)
    world.journey(DAY)
    with pytest.raises(NotMissed, match="has no entry"):
        ask(world)
