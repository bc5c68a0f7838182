"""Time that does not pass: while a journey is paused its waits may be frozen, and go on where they stood."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wend.journeys.walltime import FOREVER, later


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch in which waits do not pass; ``to_at`` is ``None`` while it lasts."""

    from_at: datetime
    to_at: datetime | None = None


def elapse(since: datetime, length: timedelta, freezes: Sequence[Freeze]) -> datetime:
    """Return when so much time has passed since an instant, frozen stretches left out.

    What is over at the very instant that a freeze begins is over.

    Args:
        since: From when.
        length: How much.
        freezes: In order, none overlapping another.

    Returns:
        ``FOREVER`` where a freeze that still lasts is in the way.
    """
    at, left = since, length
    for freeze in freezes:
        if freeze.to_at is not None and freeze.to_at <= at:
            continue
        end = later(at, left)
        if end <= freeze.from_at:
            return end
        if freeze.to_at is None:
            return FOREVER
        left -= max(freeze.from_at - at, timedelta(0))
        at = freeze.to_at
    return later(at, left)


def is_frozen(freezes: Sequence[Freeze]) -> bool:
    """Return whether a freeze lasts."""
    return bool(freezes) and freezes[-1].to_at is None
