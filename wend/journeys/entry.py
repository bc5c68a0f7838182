"""Who enters a journey, how often, and how fast: the models. When: ``schedule.py``."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, field_validator, model_validator

from wend.journeys.durations import Duration
from wend.journeys.model import Key, Model, Namespace, WallTime
from wend.journeys.schedule import Schedule, Weekday
from wend.journeys.walltime import resolve

MOST_SEGMENTS = 50

SHORTEST_REFRESH = timedelta(seconds=10)
LONGEST_REFRESH = timedelta(days=1)


def _parse_rate(text: object) -> int:
    if not isinstance(text, str) or not (found := re.fullmatch(r"([0-9]{1,6})/s", text)) or int(found[1]) < 1:
        raise ValueError(f"{text!r} is no rate; write 500/s: so many profiles per second, from 1/s to 999999/s")
    return int(found[1])


Rate = Annotated[
    int,
    BeforeValidator(_parse_rate, json_schema_input_type=str),
    PlainSerializer(lambda value: f"{value}/s", return_type=str),
]
"""Profiles per second."""


def _segments_kind(value: Any) -> str | None:
    """Return whether one segment is named or several; in brackets, which problems_of leaves out of paths."""
    return "[one]" if isinstance(value, str) else "[several]" if isinstance(value, list | tuple) else None


Segments = Annotated[
    Annotated[Key, Tag("[one]")]
    | Annotated[tuple[Key, ...], Field(min_length=1, max_length=MOST_SEGMENTS), Tag("[several]")],
    Discriminator(
        _segments_kind,
        custom_error_type="no_segments",
        custom_error_message="names no segment; write customers, or [customers, subscribers]",
    ),
]


class Ceiling(Model):
    """At most so many profiles start in each hour or day of the journey's zone; the others wait for the next.

    Attributes:
        per_hour: In each hour by the clock.
        per_day: In each day by the calendar.
        on: Only on these weekdays.
        spread: Evenly over the hour or the day, not as early in it as the rate allows.
    """

    per_hour: int | None = Field(default=None, ge=1, le=10_000_000, strict=True)
    per_day: int | None = Field(default=None, ge=1, le=100_000_000, strict=True)
    on: tuple[Weekday, ...] | None = Field(default=None, min_length=1, max_length=7)
    spread: bool = False

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.per_hour is None and self.per_day is None and self.on is None:
            raise ValueError("limits nothing; give per_hour, per_day or on")
        if self.spread and self.per_hour is None and self.per_day is None:
            raise ValueError("'spread' goes with per_hour or per_day: what is to be spread evenly")
        return self


class Entry(Model):
    """Whom the journey takes in by itself, how often, and when.

    Attributes:
        segment: Whose members enter; of several, whoever is in at least one, once.
        exclude: Segments whose members do not enter; checked at entry only.
        namespace: Members without this identity do not enter, and are counted.
        frequency: ``once``: the members at the start, never anyone later. ``once_and_joiners``: those and whoever
            joins later, each once ever. ``repeating``: at each occurrence.
        read: Of ``repeating``: ``all`` members of the moment, those of earlier occurrences too, or the ``joiners``
            since the last occurrence that was taken in.
        refresh: Of ``once_and_joiners``: how often joiners are looked for, ``PT1M`` by default.
        rejoin: Of ``once_and_joiners``: who was seen to leave and to come back enters once more.
        backfill: Where joiners are looked for: whether those who are members at the first look enter too, as they do
            by default.
        schedule: When.
        rate: Ceiling on profiles entering per second.
        ceiling: Ceilings per hour and day, and the days on which profiles start.
        api: Whether runs can be started through the API too. Where they cannot, the journey finishes by itself once its
            schedule has run out and nobody is inside any more.
    """

    segment: Segments
    exclude: tuple[Key, ...] = Field(default=(), max_length=MOST_SEGMENTS)
    namespace: Namespace | None = None
    frequency: Literal["once", "once_and_joiners", "repeating"] = "once"
    read: Literal["all", "joiners"] | None = None
    refresh: Duration | None = None
    rejoin: bool | None = None
    backfill: bool | None = None
    schedule: Schedule = Schedule()
    rate: Rate = Field(default=5000, json_schema_extra={"default": "5000/s"})
    ceiling: Ceiling | None = None
    api: bool = True

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments whose members enter."""
        return (self.segment,) if isinstance(self.segment, str) else self.segment

    @property
    def is_once(self) -> bool:
        """Whether a profile enters once ever."""
        return self.frequency != "repeating"

    @property
    def looks_for_joiners(self) -> bool:
        """Whether it matters who was a member at the look before."""
        return self.frequency == "once_and_joiners" or self.read == "joiners"

    @property
    def refreshes_every(self) -> timedelta | None:
        """How often joiners are looked for between occurrences; ``None`` if they are not."""
        return (self.refresh or timedelta(minutes=1)) if self.frequency == "once_and_joiners" else None

    @field_validator("segment")
    @classmethod
    def _each_once(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not isinstance(value, str) and len(set(value)) < len(value):
            raise ValueError("names a segment twice")
        return value

    @field_validator("refresh")
    @classmethod
    def _bearable(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and not SHORTEST_REFRESH <= value <= LONGEST_REFRESH:
            raise ValueError("must be from PT10S to P1D")
        if value is not None and value % timedelta(seconds=1):
            raise ValueError("must be in whole seconds")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.frequency == "repeating" and self.schedule.every is None:
            raise ValueError("a repeating entry needs schedule.every")
        if self.frequency != "repeating" and self.schedule.every is not None:
            raise ValueError(f"schedule.every goes with frequency: repeating, not with {self.frequency}")
        if self.read is not None and self.frequency != "repeating":
            raise ValueError(f"'read' goes with frequency: repeating, not with {self.frequency}")
        if self.frequency != "once_and_joiners" and (self.refresh is not None or self.rejoin is not None):
            raise ValueError(f"'refresh' and 'rejoin' go with frequency: once_and_joiners, not with {self.frequency}")
        if self.backfill is not None and not self.looks_for_joiners:
            raise ValueError("'backfill' goes with frequency: once_and_joiners, or with read: joiners")
        return self


class Reentry(Model):
    """Whether a profile that has been in the journey enters it again: by its segment, or by a start through the API.

    Attributes:
        still_inside: Who is inside when they would enter: ``skip``: does not enter. ``restart``: the run inside ends as
            ``exited(restarted)``, and a new one begins. ``overlap``: a further run begins beside it.
        after: So long after the last run no new one begins.
        since: ``after`` counts from the last run's ``start``, or from its ``end``.
        limit: Runs of one profile in all; 1 is none but the first.
    """

    still_inside: Literal["skip", "restart", "overlap"] = "skip"
    after: Duration | None = None
    since: Literal["start", "end"] | None = None
    limit: int | None = Field(default=None, ge=1, le=1_000_000, strict=True)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.since is not None and self.after is None:
            raise ValueError("'since' goes with 'after'")
        if self.still_inside != "skip" and self.since == "end":
            raise ValueError(f"'since: end' waits for the end of the run inside, and {self.still_inside!r} does not")
        return self


class Window(Model):
    """Nobody enters outside of it, by the segment or through the API.

    Attributes:
        opens: From this instant on; without an offset it is wall time in the journey's zone.
        closes: Up to this instant, itself included; the journey is closed then.
        inside: Whoever is inside at the close goes on to ``finish``, or leaves as ``exited(journey_closed)``.
    """

    opens: WallTime | None = None
    closes: WallTime | None = None
    inside: Literal["finish", "exit"] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.opens is None and self.closes is None:
            raise ValueError("needs 'opens' or 'closes'")
        if self.inside is not None and self.closes is None:
            raise ValueError("'inside' goes with 'closes'")
        return self


@dataclass(frozen=True, slots=True)
class Opening:
    """A window as instants; ``None`` where it has no such end."""

    opens_at: datetime | None = None
    closes_at: datetime | None = None

    @classmethod
    def of(cls, window: Window | None, zone: ZoneInfo) -> Self:
        """Return the window's instants; a journey without a window is always open."""
        if window is None:
            return cls()
        opens_at = resolve(window.opens, zone) if window.opens is not None else None
        closes_at = resolve(window.closes, zone) if window.closes is not None else None
        return cls(opens_at, closes_at)

    def is_open(self, at: datetime) -> bool:
        """Whether anybody may enter at this instant; the ends themselves are inside."""
        return (self.opens_at is None or at >= self.opens_at) and (self.closes_at is None or at <= self.closes_at)
