"""The instants at which members are taken in.

Temporal's calendar specs skip a wall time that falls into a gap and fire one that the clocks show twice at both or
at the second; so the instants are computed here and handed over as dates.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from wend.journeys.schedule import WEEKDAYS, AfterPublish, AtTime, EveryHours, Schedule
from wend.journeys.walltime import later, resolve


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occasion to enter.

    Attributes:
        key: Names it for ever within its journey: the nominal local date and time for wall-clock times, the UTC
            instant for elapsed ones.
        at: Its instant, UTC, whole seconds.
    """

    key: str
    at: datetime


def occurrences(
    schedule: Schedule, zone: ZoneInfo, published_at: datetime, *, since: datetime | None = None
) -> Iterator[Occurrence]:
    """Yield the occurrences in order; those not before ``since`` if it is given.

    Args:
        schedule: The entry's schedule.
        zone: The journey's zone.
        published_at: When the journey was first published.
        since: Instants before it are left out; without it everything from the start on comes.
    """
    start = start_of(schedule, zone, published_at)
    until = resolve(schedule.until, zone) if schedule.until is not None else None
    for occurrence in _from(schedule, zone, start, max(start, since) if since else start):
        if until is not None and occurrence.at > until:
            return
        if occurrence.at >= start and (since is None or occurrence.at >= since):
            yield occurrence


def next_occurrences(
    schedule: Schedule, zone: ZoneInfo, published_at: datetime, *, since: datetime, limit: int
) -> list[Occurrence]:
    """Return the next ones, at most ``limit``."""
    return list(islice(occurrences(schedule, zone, published_at, since=since), limit))


def start_of(schedule: Schedule, zone: ZoneInfo, published_at: datetime) -> datetime:
    """Return the instant from which the schedule runs, in whole seconds: a Temporal Schedule knows no finer ones."""
    match schedule.start:
        case AfterPublish():
            exact = later(published_at, schedule.start.after_publish)
            return exact if exact.microsecond == 0 else exact.replace(microsecond=0) + timedelta(seconds=1)
        case AtTime():
            return resolve(schedule.start.at, zone)


def _from(schedule: Schedule, zone: ZoneInfo, start: datetime, since: datetime) -> Iterator[Occurrence]:
    if schedule.every is None:
        yield _the_start(schedule, start)
    elif isinstance(schedule.every, EveryHours):
        yield from _elapsed(timedelta(hours=schedule.every.hours), start, since)
    else:
        yield from _by_the_wall_clock(schedule, zone, start, since)


def _the_start(schedule: Schedule, start: datetime) -> Occurrence:
    wall = _nominal_start(schedule)
    return Occurrence(_wall_key(wall) if wall else _instant_key(start), start)


def _nominal_start(schedule: Schedule) -> datetime | None:
    """Return the start's wall time; ``None`` where an instant was given or follows from the publication."""
    wall = schedule.start.at if isinstance(schedule.start, AtTime) else None
    return wall if wall and wall.tzinfo is None else None


def _elapsed(step: timedelta, start: datetime, since: datetime) -> Iterator[Occurrence]:
    number = -((start - since) // step) if since > start else 0  # the first not before ``since``
    while True:
        try:
            at = start + number * step
        except OverflowError:
            return
        yield Occurrence(_instant_key(at), at)
        number += 1


def _by_the_wall_clock(schedule: Schedule, zone: ZoneInfo, start: datetime, since: datetime) -> Iterator[Occurrence]:
    # The nominal start: one that falls into a gap keeps its own time of day on the days after.
    first = _nominal_start(schedule) or start.astimezone(zone).replace(tzinfo=None)
    clock = schedule.at or first.time()
    # A day early: the nominal time of a skipped hour, or day, is before its instant.
    begin = max(first.date(), since.astimezone(zone).date() - timedelta(days=1))
    last: datetime | None = None
    for day in _days(schedule, first.date(), begin):
        wall = datetime.combine(day, clock)
        at = resolve(wall, zone)
        # A day that the clocks skip as a whole ends up at the next one's first instant: one occasion, not two.
        if at != last:
            yield Occurrence(_wall_key(wall), at)
        last = at


def _days(schedule: Schedule, first: date, begin: date) -> Iterator[date]:
    if schedule.every == "month":
        yield from _days_of_months(schedule, first, begin)
        return
    weekdays = {WEEKDAYS.index(str(day)) for day in schedule.on} if schedule.on else None
    if schedule.every == "week" and weekdays is None:
        weekdays = {first.weekday()}
    day = begin
    while True:
        if weekdays is None or day.weekday() in weekdays:
            yield day
        try:
            day += timedelta(days=1)
        except OverflowError:
            return


def _days_of_months(schedule: Schedule, first: date, begin: date) -> Iterator[date]:
    numbers = [int(day) for day in schedule.on] if schedule.on else [first.day]
    year, month = begin.year, begin.month
    while year <= 9999:
        last = calendar.monthrange(year, month)[1]
        for number in sorted({min(number, last) for number in numbers}):
            day = date(year, month, number)
            if day >= begin:
                yield day
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _wall_key(wall: datetime) -> str:
    return wall.replace(tzinfo=None).isoformat(timespec="seconds" if wall.second else "minutes")


def _instant_key(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
