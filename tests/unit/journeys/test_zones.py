"""Every zone whose clocks change in the years to come, held against a walk through the minutes of UTC.

The walk only ever asks what the clocks of a zone show at an instant; what a time on the clocks means follows from
where it was seen. Nothing here knows of gaps, overlaps, folds, or of the code that it checks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

import pytest

from wend.journeys.occurrences import Occurrence, occurrences
from wend.journeys.schedule import Schedule
from wend.journeys.walltime import clock_change, resolve

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
MINUTE, HALF_HOUR, HOUR, DAY = timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)

MIDNIGHTS = [FIRST + number * DAY for number in range(1, (LAST - FIRST).days + 1)]
DAYS = [(midnight, midnight.replace(tzinfo=None)) for midnight in MIDNIGHTS]
"""Midnights of UTC from the second on, and what its own clocks show then."""

AROUND = 3 * HOUR
"""How far before and after a change, by the clocks, schedules are tried."""

MINUTES = [number * MINUTE for number in range(-6 * 60, 6 * 60)]
"""Of a walk: six hours before and after."""


def shown(zone: ZoneInfo, minute: datetime) -> datetime:
    """Return what the clocks of a zone show at an instant."""
    return minute.astimezone(zone).replace(tzinfo=None)


def offset(zone: ZoneInfo, minute: datetime) -> timedelta:
    """Return by how much the clocks of a zone are ahead of UTC's."""
    return shown(zone, minute) - minute.replace(tzinfo=None)


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """Yield every minute at which a zone's offset is another one than the minute before."""
    before = offset(zone, FIRST)
    for day, by_utc in DAYS:
        now = day.astimezone(zone).replace(tzinfo=None) - by_utc  # offset(), half a million times
        if now != before:
            hours = (day - DAY + number * HOUR for number in range(24))
            hour = next(each for each in hours if _changes(zone, each, HOUR))
            minutes = (hour + number * MINUTE for number in range(60))
            yield next(each + MINUTE for each in minutes if _changes(zone, each, MINUTE))
        before = now


def _changes(zone: ZoneInfo, since: datetime, within: timedelta) -> bool:
    return offset(zone, since) != offset(zone, since + within)


def half_hours(zone: ZoneInfo, change: datetime) -> list[datetime]:
    """Return the half hours by the clocks from three hours before to three hours after what they show at a change."""
    after = shown(zone, change)
    before = shown(zone, change - MINUTE) + MINUTE
    first = min(before, after) - AROUND
    first -= timedelta(minutes=first.minute % 30)
    return [first + number * HALF_HOUR for number in range((max(before, after) + AROUND - first) // HALF_HOUR + 1)]


class Walk:
    """What the clocks of a zone show in every minute of the six hours before and after an instant."""

    def __init__(self, zone: ZoneInfo, around: datetime) -> None:
        self._shown = [(minute, minute.astimezone(zone)) for minute in (around + each for each in MINUTES)]
        self._half_hours: dict[datetime, list[datetime]] = {}
        for minute, clocks in self._shown:
            if clocks.minute % 30 == 0:
                self._half_hours.setdefault(clocks.replace(tzinfo=None), []).append(minute)

    def occurrence(self, wall: datetime) -> Occurrence:
        """Return the occurrence of a half hour: the first minute that shows it or, if it is skipped, a later one."""
        assert min(self._half_hours) <= wall <= max(self._half_hours), "the walk does not reach that far"
        match self._half_hours.get(wall):
            case None:
                at = next(minute for minute, clocks in self._shown if clocks.replace(tzinfo=None) > wall)
                return Occurrence(f"{wall:%Y-%m-%dT%H:%M}", at, "skipped")
            case [at]:
                return Occurrence(f"{wall:%Y-%m-%dT%H:%M}", at)
            case [at, _]:
                return Occurrence(f"{wall:%Y-%m-%dT%H:%M}", at, "repeated")
            case more:
                raise AssertionError(f"{wall} comes {len(more)} times")


@dataclass
class Table:
    """What was tried, and what came out differently from what the walk says."""

    zones: int = 0
    changes: int = 0
    schedules: int = 0
    skipped: int = 0
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)

    def try_zone(self, name: str) -> None:
        """Try daily schedules around each change of a zone, if it has any."""
        zone = ZoneInfo(name)
        found = list(changes(zone))
        self.zones += bool(found)
        self.changes += len(found)
        for change in found:
            walks = [Walk(zone, change + number * DAY) for number in (-1, 0, 1)]
            for wall in half_hours(zone, change):
                days = zip(walks, (wall - DAY, wall, wall + DAY), strict=True)
                self._try_daily(zone, [walk.occurrence(each) for walk, each in days])

    def _try_daily(self, zone: ZoneInfo, expected: list[Occurrence]) -> None:
        date, clock = expected[0].key.split("T")
        daily = Schedule.model_validate({"start": {"at": f"{date}T00:00"}, "every": "day", "at": clock})
        # As many as there are days: one too many on a day, or none, moves those that follow.
        found = [*islice(occurrences(daily, zone, FIRST), len(expected))]
        self.schedules += 1
        self.skipped += sum(each.clock_change == "skipped" for each in expected)
        self.repeated += sum(each.clock_change == "repeated" for each in expected)
        if found != expected:
            self.wrong.append(f"{zone.key} daily at {clock}\n  expected {_said(expected)}\n  found    {_said(found)}")


def _said(listed: list[Occurrence]) -> str:
    return ", ".join(f"{each.key} at {each.at:%dT%H:%M:%SZ} ({each.clock_change or 'shown once'})" for each in listed)


def test_a_daily_schedule_has_one_occurrence_each_day_around_every_change_of_every_zone(
    record_property: Callable[[str, object], None],
) -> None:
    names, table = sorted(available_timezones()), Table()
    for name in names:
        table.try_zone(name)
    record_property(
        "figure",
        f"{table.zones} zones (of {len(names)}, the others change nothing) × {table.changes:,} changes"
        f" × {table.schedules / table.changes:.1f} half hours = {table.schedules:,} daily schedules"
        f" of three days; {table.skipped:,} times skipped, {table.repeated:,} shown twice",
    )
    assert not table.wrong, f"{len(table.wrong)} of {table.schedules}, among them\n" + "\n".join(table.wrong[:10])
    assert table.zones >= 100
    assert table.skipped >= table.zones
    assert table.repeated >= table.zones


def _by_the_offset_before(wall: datetime, zone: ZoneInfo) -> datetime:
    """Read the clocks as Python does by itself: beyond a gap by as much as into it, and first of two."""
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _by_the_offset_after(wall: datetime, zone: ZoneInfo) -> datetime:
    """Read them with the offset after a change: before a gap by as much as short of its end, and second of two."""
    return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _a_minute_late(wall: datetime, zone: ZoneInfo) -> datetime:
    """Read them rightly but in a gap, and there a minute late."""
    return resolve(wall, zone) + (MINUTE if clock_change(wall, zone) == "skipped" else 0 * MINUTE)


NEW_YORK, LORD_HOWE, BEIRUT, NUUK = "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "America/Nuuk"


@pytest.mark.parametrize(
    ("misread", "noticed"),
    [
        # Of the half hours, Lord Howe's gap holds 02:00 alone: nothing into it, so that its end is where Python lands.
        pytest.param(_by_the_offset_before, [NEW_YORK, BEIRUT, NUUK], id="by the offset before"),
        pytest.param(_by_the_offset_after, [NEW_YORK, LORD_HOWE, BEIRUT, NUUK], id="by the offset after"),
        pytest.param(_a_minute_late, [NEW_YORK, LORD_HOWE, BEIRUT, NUUK], id="a minute late"),
    ],
)
def test_clocks_that_are_read_wrongly_are_noticed(
    misread: Callable[[datetime, ZoneInfo], datetime], noticed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wend.journeys.occurrences.resolve", misread)
    table = Table()
    for name in (NEW_YORK, LORD_HOWE, BEIRUT, NUUK):
        table.try_zone(name)
    assert list(dict.fromkeys(each.split()[0] for each in table.wrong)) == noticed
