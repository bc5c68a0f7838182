"""How fast profiles start: the arithmetic, pure, and the rows that it counts in.

A rate (per second) is held by a small bucket: what was not used a fifth of a second ago is lost, so nothing starts in
a burst after a quiet hour. A ceiling is held by counts in windows of the journey's wall clock:

- A day begins at the first instant of its date and ends where the next one begins; it may have 23 or 25 hours.
- An hour lasts while the clock shows one hour with one offset: an hour that comes twice is two hours, one that is left
  out does not exist, and where clocks change by half an hour, that half hour is an hour with a ceiling of its own.

``spread`` holds the ceiling evenly in two ways at once: after the part t of a window at most ``ceil(limit * t)`` have
started, and nobody starts sooner after the one before than the window divided by the limit, so that an entry at six in
the evening does not start three quarters of the day's share at once.

Starts are counted once, when their run is claimed for the first time; a run that is claimed again, since whoever
claimed it died, uses the rate a second time and the ceiling never.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.definition import JourneyVersion
from wend.journeys.entry import Ceiling
from wend.journeys.schedule import WEEKDAYS
from wend.journeys.walltime import resolve
from wend.storage.database import insert_ignoring
from wend.storage.tables import paces

INSTALLATION: Final = "installation"
"""The scope of what all journeys start together."""

BUCKET: Final = timedelta(milliseconds=200)
"""What may start at once, as the time in which the rate lets as many through; at least one profile always may."""

LATE: Final = timedelta(seconds=1)
"""How late a spread start may come, at most, without the next one coming later too: timers are not exact."""

CLOCKS_APART: Final = timedelta(seconds=2)
"""An instant written further ahead than this was written by a clock that was wrong, and does not count."""

UTC: Final = ZoneInfo("UTC")

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of a scope's rate and ceilings has been used up; a row of ``paces``.

    Attributes:
        free_at: When the bucket of the rate is full again.
        even_at: When the next spread start is due.
        hour_at: The hour that ``hour_count`` counts in: when it began.
        day_at: The day that ``day_count`` counts in: when it began.
    """

    free_at: datetime
    even_at: datetime | None = None
    hour_at: datetime | None = None
    hour_count: int = 0
    day_at: datetime | None = None
    day_count: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds starts back.

    Attributes:
        rate: Profiles per second.
        zone: Whose hours and days the ceiling means.
    """

    rate: int
    ceiling: Ceiling | None = None
    zone: ZoneInfo = UTC

    @classmethod
    def of(cls, version: JourneyVersion, rate: int | None = None) -> "Limits | None":
        """Return the limits of a version's entry, at another rate if one is given; ``None`` if it has no entry."""
        entry = version.definition.entry
        return cls(rate or entry.rate, entry.ceiling, version.zone) if entry else None


@dataclass(frozen=True, slots=True)
class Hold:
    """Nobody may start until then, and why."""

    until: datetime
    why: str


# -- the arithmetic -----------------------------------------------------------------------------------------------


def in_rate(pace: Pace, rate: int, now: datetime) -> int:
    """Return how many profiles may start now as far as the rate goes."""
    return _flow(rate).room(pace.free_at, now)


def under_ceiling(pace: Pace, limits: Limits, now: datetime, most: int) -> int:
    """Return how many profiles may start now as far as the ceiling goes, at most ``most``."""
    now = _not_before(pace, now)
    if limits.ceiling is None:
        return most
    if not _opens_on(limits.ceiling, _day(now, limits.zone).date):
        return 0
    for window in _windows(pace, limits, now):
        most = min(most, window.room(now, limits.ceiling.spread))
    if (flow := _even_flow(pace, limits, now)) is not None:
        most = min(most, flow.room(pace.even_at, now))
    return max(most, 0)


def used(pace: Pace, limits: Limits, now: datetime, fresh: int, again: int = 0) -> Pace:
    """Return the pace after starts at ``now``.

    Args:
        fresh: Started for the first time; these count towards the ceiling.
        again: Started once more.
    """
    pace = replace(pace, free_at=_flow(limits.rate).after(pace.free_at, now, fresh + again))
    now = _not_before(pace, now)
    if (flow := _even_flow(pace, limits, now)) is not None:
        pace = replace(pace, even_at=flow.after(pace.even_at, now, fresh))
    hour, day = _hour(now, limits.zone), _day(now, limits.zone)
    hour_at, hour_count = _counted(pace.hour_at, pace.hour_count, hour, now)
    day_at, day_count = _counted(pace.day_at, pace.day_count, day, now)
    return replace(pace, hour_at=hour_at, hour_count=hour_count + fresh, day_at=day_at, day_count=day_count + fresh)


def held(pace: Pace, limits: Limits, now: datetime, wanted: int = 1) -> Hold | None:
    """Return until when nobody may start who never did before; ``None`` if somebody may now.

    Args:
        wanted: Where the rate alone holds back, it does so until as many may start at once as half a bucket holds, or
            this many if they are fewer: starting them one by one would take a transaction each.
    """
    until, why = _not_before(pace, now), ""
    while (hold := _held_by_ceiling(pace, limits, until)) is not None:
        until, why = hold.until, why or hold.why
    if in_rate(pace, limits.rate, until) < 1:
        until, why = _flow(limits.rate).when(pace.free_at, until, wanted), why or f"rate of {limits.rate}/s"
    return Hold(until, why) if why else None


def _held_by_ceiling(pace: Pace, limits: Limits, at: datetime) -> Hold | None:
    """Return until when one of the ceiling's limits lets nobody start, whatever the others say then."""
    ceiling = limits.ceiling
    if ceiling is None:
        return None
    day = _day(at, limits.zone)
    if not _opens_on(ceiling, day.date):
        return Hold(day.end, f"nobody starts but on {', '.join(ceiling.on or ())}")
    for window in _windows(pace, limits, at):
        if window.count >= window.limit:
            return Hold(window.end, f"ceiling of {window.limit} {window.each} reached")
        if ceiling.spread and (due := window.due()) > at:
            return Hold(due, f"{window.limit} {window.each}, spread evenly")
    if (flow := _even_flow(pace, limits, at)) is not None and flow.room(pace.even_at, at) < 1:
        return Hold(flow.when(pace.even_at, at, 1), "starts are spread evenly")
    return None


def _not_before(pace: Pace, now: datetime) -> datetime:
    """Return now, or the beginning of a window that somebody with a clock a little ahead has begun already."""
    begun = [at for at in (pace.hour_at, pace.day_at) if at is not None and at <= now + CLOCKS_APART]
    return max([now, *begun])


# -- rates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Flow:
    """``count`` in each ``per``; a bucket, told by the instant at which it is full. Times in microseconds."""

    count: int
    per: int
    bucket: int

    def room(self, full_at: datetime | None, now: datetime) -> int:
        """Return how many the bucket gives now."""
        return max((self.bucket - self._ahead(full_at, now)) * self.count // self.per, 0)

    def after(self, full_at: datetime | None, now: datetime, count: int) -> datetime:
        """Return when the bucket is full again after it has given so many."""
        return now + (self._ahead(full_at, now) + self._cost(count)) * _MICROSECOND

    def when(self, full_at: datetime | None, now: datetime, wanted: int) -> datetime:
        """Return when the bucket gives as many as are wanted, or half of what it holds."""
        holds = self.bucket * self.count // self.per
        wait = self._ahead(full_at, now) - self.bucket + self._cost(min(wanted, max(holds // 2, 1)))
        return now + max(wait, 0) * _MICROSECOND

    def _cost(self, count: int) -> int:
        return -(-count * self.per // self.count)

    def _ahead(self, full_at: datetime | None, now: datetime) -> int:
        if full_at is None:
            return 0
        ahead = (full_at - now) // _MICROSECOND
        # Nobody writes more than a bucket ahead but a clock that was wrong, or a version whose limits were others.
        return max(ahead, 0) if ahead <= self.bucket + CLOCKS_APART // _MICROSECOND else 0


def _flow(rate: int) -> _Flow:
    return _Flow(rate, 1_000_000, max(BUCKET // _MICROSECOND, -(-1_000_000 // rate)))


def _even_flow(pace: Pace, limits: Limits, now: datetime) -> _Flow | None:
    """Return the slower of the flows that an hour's and a day's ceiling ask for; ``None`` if nothing is spread."""
    if limits.ceiling is None or not limits.ceiling.spread:
        return None
    slowest = max(_windows(pace, limits, now), key=lambda window: window.length / window.limit)
    each = -(-(slowest.length // _MICROSECOND) // slowest.limit)
    # Who comes late by less is taken to have been on time: the bucket holds one, and not yet two.
    late = min(each // 2, LATE // _MICROSECOND)
    return _Flow(slowest.limit, slowest.length // _MICROSECOND, max(BUCKET // _MICROSECOND, each) + late)


# -- windows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Date(_Span):
    date: date


@dataclass(frozen=True, slots=True)
class _Window(_Span):
    """A window of a ceiling, and how many have started in it."""

    limit: int
    each: str
    count: int

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def room(self, now: datetime, spread: bool) -> int:
        """Return how many more may start in it up to now; below zero if the limit was higher once."""
        if not spread:
            return self.limit - self.count
        return -(-self.limit * ((now - self.start) // _MICROSECOND) // (self.length // _MICROSECOND)) - self.count

    def due(self) -> datetime:
        """Return the first instant at which the next one may start, if they are spread."""
        return self.start + (self.count * (self.length // _MICROSECOND) // self.limit + 1) * _MICROSECOND


def _windows(pace: Pace, limits: Limits, now: datetime) -> Iterator[_Window]:
    """Yield the windows of now that have a ceiling."""
    assert limits.ceiling is not None
    if (limit := limits.ceiling.per_day) is not None:
        day = _day(now, limits.zone)
        _, count = _counted(pace.day_at, pace.day_count, day, now)
        yield _Window(day.start, day.end, limit, "a day", count)
    if (limit := limits.ceiling.per_hour) is not None:
        hour = _hour(now, limits.zone)
        _, count = _counted(pace.hour_at, pace.hour_count, hour, now)
        yield _Window(hour.start, hour.end, limit, "an hour", count)


def _counted(counted_at: datetime | None, count: int, span: _Span, now: datetime) -> tuple[datetime, int]:
    """Return the window that is counted in at ``now``, and its count so far.

    A window that began later than ``span`` is that of another version, in another zone: it is counted on in.
    """
    if counted_at is not None and span.start <= counted_at <= now:
        return counted_at, count
    return span.start, 0


def _opens_on(ceiling: Ceiling, day: date) -> bool:
    return ceiling.on is None or WEEKDAYS[day.weekday()] in ceiling.on


def _day(at: datetime, zone: ZoneInfo) -> _Date:
    """Return the day that an instant lies in: from the first midnight of its date to that of the next."""
    day = at.astimezone(zone).date()
    while at < _midnight(day, zone):
        day -= _DAY
    while at >= _midnight(day + _DAY, zone):  # past midnight the clocks may go back to the day before
        day += _DAY
    return _Date(_midnight(day, zone), _midnight(day + _DAY, zone), day)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return resolve(datetime.combine(day, time()), zone)


def _hour(at: datetime, zone: ZoneInfo) -> _Span:
    """Return the hour that an instant lies in: for as long as the clock shows it with one offset."""
    local = at.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start, end = at - past, at - past + _HOUR
    if _offset(start, zone) != local.utcoffset():
        start = _change(start, at, zone)
    if _offset(end, zone) != local.utcoffset():
        end = _change(at, end, zone)
    return _Span(start, end)


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant in (low, high] that has the offset of ``high``; clocks change at full seconds."""
    target = _offset(high, zone)
    high = high.replace(microsecond=0)
    while (seconds := -((low - high) // _SECOND)) > 1:
        middle = low.replace(microsecond=0) + seconds // 2 * _SECOND
        if _offset(middle, zone) == target:
            high = middle
        else:
            low = middle
    return high


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


# -- the rows -----------------------------------------------------------------------------------------------------


def journey_scope(key: str) -> str:
    """Return the scope of what one journey starts, in all its entries."""
    return f"journey/{key}"


def read_pace(connection: Connection, scope: str, now: datetime) -> Pace:
    """Return a scope's pace, without locking it: for looking ahead."""
    return _read(connection, scope, now)


def lock_pace(connection: Connection, scope: str, now: datetime) -> Pace:
    """Return a scope's pace, locked until the transaction ends.

    Locks are taken in the order journey → its pace → profiles → runs. The installation's is taken alone, in a short
    transaction of its own: every claim of every journey waits for it.
    """
    connection.execute(insert_ignoring(connection, paces).values(scope=scope, free_at=now, hour_count=0, day_count=0))
    return _read(connection, scope, now, lock=True)


def write_pace(connection: Connection, scope: str, pace: Pace) -> None:
    """Write down what has been used up; the caller holds the lock."""
    values = {
        "free_at": pace.free_at,
        "even_at": pace.even_at,
        "hour_at": pace.hour_at,
        "hour_count": pace.hour_count,
        "day_at": pace.day_at,
        "day_count": pace.day_count,
    }
    connection.execute(sa.update(paces).where(paces.c.scope == scope).values(values))


def _read(connection: Connection, scope: str, now: datetime, *, lock: bool = False) -> Pace:
    query = sa.select(paces).where(paces.c.scope == scope)
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if row is None:
        return Pace(now)
    return Pace(row.free_at, row.even_at, row.hour_at, row.hour_count, row.day_at, row.day_count)
