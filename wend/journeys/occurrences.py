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
from wend.journeys.walltime import ClockChange, clock_change, later, resolve, say_clock


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occasion to enter.

    Attributes:
        key: Names it for ever within its journey: the nominal local date and time for wall-clock times, the UTC
            instant for elapsed ones.
        at: Its instant, UTC, whole seconds.
        clock_change: That the clocks skip its nominal local time, or show it twice; of wall-clock times alone.
    """

    key: str
    at: datetime
    clock_change: ClockChange | None = None


def occurrences(
    schedule: Schedule, zone: ZoneInfo, published_at: datetime, *, since: datetime | None = None
) -> Iterator[Occurrence]:
    """Yield the occurrences in order; those not before ``since`` if it is given.

    Where the schedule ends after a number of ``times``, they are counted from its start, whatever ``since`` says.

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
        if since is None or occurrence.at >= since:
            yield occurrence


def next_occurrences(
    schedule: Schedule, zone: ZoneInfo, published_at: datetime, *, since: datetime, limit: int
) -> list[Occurrence]:
    """Return the next ones, at most ``limit``."""
    return list(islice(occurrences(schedule, zone, published_at, since=since), limit))


def say_clock_change(occurrence: Occurrence, zone: ZoneInfo) -> str | None:
    """Return what the clocks do at an occurrence and what follows from it, for people; ``None`` if they do nothing."""
    taken = f"is taken: {say_clock(occurrence.at, zone)}"
    match occurrence.clock_change:
        case None:
            return None
        case "skipped":
            return f"{_nominal_clock(occurrence)} is skipped that day; the first instant after {taken}"
        case "repeated":
            return f"{_nominal_clock(occurrence)} comes twice that day; the first {taken}"


def _nominal_clock(occurrence: Occurrence) -> str:
    return occurrence.key.partition("T")[2]


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
        yield _the_start(schedule, zone, start)
    elif isinstance(schedule.every, EveryHours):
        yield from _elapsed(timedelta(hours=schedule.every.hours), start, since, schedule.times)
    else:
        yield from _by_the_wall_clock(schedule, zone, start, since)


def _the_start(schedule: Schedule, zone: ZoneInfo, start: datetime) -> Occurrence:
    wall = _nominal_start(schedule)
    return _at_wall(wall, zone, start) if wall else Occurrence(_instant_key(start), start)


def _nominal_start(schedule: Schedule) -> datetime | None:
    """Return the start's wall time; ``None`` where an instant was given or follows from the publication."""
    wall = schedule.start.at if isinstance(schedule.start, AtTime) else None
    return wall if wall and wall.tzinfo is None else None


def _elapsed(step: timedelta, start: datetime, since: datetime, times: int | None) -> Iterator[Occurrence]:
    number = -((start - since) // step) if since > start else 0  # the first not before ``since``
    while times is None or number < times:
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
    # A day early: the nominal time of a skipped hour, or day, is before its instant. All of them, if they are counted:
    # how many there were follows from the clocks.
    begin = first.date() if schedule.times else max(first.date(), since.astimezone(zone).date() - timedelta(days=1))
    count = 0
    last: datetime | None = None
    for day in _days(schedule, first.date(), begin):
        wall = datetime.combine(day, clock)
        at = resolve(wall, zone)
        # A day that the clocks skip as a whole ends up at the next one's first instant: one occasion, not two.
        if at < start or at == last:
            continue
        last = at
        count += 1
        if at >= since:
            yield _at_wall(wall, zone, at)
        if count == schedule.times:
            return


def _days(schedule: Schedule, first: date, begin: date) -> Iterator[date]:
    """Yield the nominal days from ``begin`` on, counted from the ``first``; they end with the calendar."""
    assert schedule.calendar_step is not None
    unit, count = schedule.calendar_step
    match unit:
        case "month":
            numbers = [int(day) for day in schedule.on] if schedule.on else [first.day]
            return _days_of_months(count, numbers, first, begin)
        case "week":
            weekdays = {WEEKDAYS.index(str(day)) for day in schedule.on} if schedule.on else {first.weekday()}
            return _days_of_weeks(count, weekdays, first, begin)
        case "day":
            if schedule.on:
                return _days_of_weeks(1, {WEEKDAYS.index(str(day)) for day in schedule.on}, first, begin)
            return _stepped(first.toordinal(), count, begin.toordinal())


def _stepped(first: int, step: int, begin: int) -> Iterator[date]:
    """Yield every ``step``-th day from ``first``, days by their ordinals, that is not before ``begin``."""
    for ordinal in range(first + -(-(begin - first) // step) * step, date.max.toordinal() + 1, step):
        yield date.fromordinal(ordinal)


def _days_of_weeks(count: int, weekdays: set[int], first: date, begin: date) -> Iterator[date]:
    monday = first.toordinal() - first.weekday()
    step = 7 * count
    for week in range(monday + (begin.toordinal() - monday) // step * step, date.max.toordinal() + 1, step):
        for weekday in sorted(weekdays):
            if begin.toordinal() <= week + weekday <= date.max.toordinal():
                yield date.fromordinal(week + weekday)


def _days_of_months(count: int, numbers: list[int], first: date, begin: date) -> Iterator[date]:
    month = 12 * first.year + first.month - 1
    passed = (12 * begin.year + begin.month - 1 - month) // count * count
    for year, index in (divmod(each, 12) for each in range(month + passed, 12 * (date.max.year + 1), count)):
        last = calendar.monthrange(year, index + 1)[1]
        for number in sorted({min(number, last) for number in numbers}):
            day = date(year, index + 1, number)
            if day >= begin:
                yield day


def _at_wall(wall: datetime, zone: ZoneInfo, at: datetime) -> Occurrence:
    return Occurrence(_wall_key(wall), at, clock_change(wall, zone))


def _wall_key(wall: datetime) -> str:
    return wall.replace(tzinfo=None).isoformat(timespec="seconds" if wall.second else "minutes")


def _instant_key(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
