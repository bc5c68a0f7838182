"""Wall time into instants, and instants into words."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

FOREVER = datetime.max.replace(tzinfo=UTC)
"""The end of the calendar: a wait that reaches it is one that never ends by itself."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""The calendar's beginning."""


@lru_cache(maxsize=4096)  # the launch date of a journey is asked for at every wake of every run
def resolve(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of a wall time in a zone, in UTC; an aware one is returned as it is.

    A wall time that the clocks skip becomes the first instant after the gap; one that they show twice, the first
    of the two. What an offset carries out of the years 1 to 9999 becomes ``LONG_AGO`` or ``FOREVER``.
    """
    try:
        return _resolve(wall, zone)
    except OverflowError:
        return FOREVER if wall.year > 1 else LONG_AGO


def _resolve(wall: datetime, zone: ZoneInfo) -> datetime:
    if wall.tzinfo is not None:
        return wall.astimezone(UTC)
    wall = wall.replace(fold=0)
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap: fold=0 reads the wall time with the offset before it (lands after the gap), fold=1 with the one after.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _first_after_change(before, instant, zone)


def _first_after_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first whole second in (before, after] with the offset of ``after``."""
    target = after.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == target:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


ClockChange = Literal["skipped", "repeated"]
"""What the clocks do to a wall time: they never show it, or they show it twice."""


def clock_change(wall: datetime, zone: ZoneInfo) -> ClockChange | None:
    """Return what the clocks of a zone do to a wall time; ``None`` if they show it once, or an instant is given."""
    if wall.tzinfo is not None:
        return None
    # The offsets before and after the change; the same one where there is none.
    before, after = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0) for fold in (0, 1))
    if before == after:
        return None
    return "skipped" if before < after else "repeated"


def later(at: datetime, by: timedelta) -> datetime:
    """Return ``at + by``, within ``LONG_AGO`` and ``FOREVER``: a wait has no upper limit."""
    try:
        return at + by
    except OverflowError:
        return FOREVER if by > timedelta(0) else LONG_AGO


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def say_instant(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant as an operator reads it in the zone: ``Tue 2 Dec 2026 09:00 CET``."""
    if at >= FOREVER - timedelta(days=2):
        return "the end of time"
    local = at.astimezone(zone)
    return f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year} {say_clock(at, zone)}"


def say_clock(at: datetime, zone: ZoneInfo) -> str:
    """Return the time of day that the clocks of the zone show at an instant: ``09:00 CET``."""
    local = at.astimezone(zone)
    clock = f"{local:%H:%M}" if local.second == 0 else f"{local:%H:%M:%S}"
    return f"{clock} {local.tzname()}"
