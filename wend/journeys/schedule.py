"""When members are taken in: the models. ``occurrences.py`` turns a schedule into instants."""

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, field_validator, model_validator

from wend.journeys.durations import Duration
from wend.journeys.model import Model, WallTime

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _parse_clock(text: object) -> time:
    if isinstance(text, time):
        return text
    if not isinstance(text, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError(f"{text!r} is no time of day; write 09:00")
    return time.fromisoformat(text)


Clock = Annotated[
    time,
    BeforeValidator(_parse_clock, json_schema_input_type=str),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str),
]


class AfterPublish(Model):
    """So long after the journey was first published."""

    after_publish: Duration = timedelta(hours=1)


class AtTime(Model):
    """At a date-time; without an offset it is wall time in the journey's zone."""

    at: WallTime


class EveryHours(Model):
    """Elapsed time, counted from the start: 24 hours are 24 hours, also when the clocks change."""

    hours: int = Field(ge=1, le=24 * 366, strict=True)


class EveryDays(Model):
    """Every so many days by the clocks of the journey's zone, counted from the start's day."""

    days: int = Field(ge=1, le=3660, strict=True)


class EveryWeeks(Model):
    """Every so many weeks from Monday to Sunday, counted from the one with the start's day in it."""

    weeks: int = Field(ge=1, le=520, strict=True)


class EveryMonths(Model):
    """Every so many months, counted from the start's month."""

    months: int = Field(ge=1, le=120, strict=True)


# The tags of these unions stand in brackets, which no field's name does: problems_of leaves them out of paths.


def _start_kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return "[at]" if "at" in value else "[after_publish]"
    return "[at]" if isinstance(value, AtTime) else "[after_publish]" if isinstance(value, AfterPublish) else None


Start = Annotated[
    Annotated[AfterPublish, Tag("[after_publish]")] | Annotated[AtTime, Tag("[at]")],
    Discriminator(
        _start_kind,
        custom_error_type="no_start",
        custom_error_message="is no start; write {after_publish: PT1H} or {at: 2026-12-01T09:00}",
    ),
]

Calendar = Literal["day", "week", "month"]

_UNITS: Mapping[type[Model], str] = {
    EveryHours: "[hours]",
    EveryDays: "[days]",
    EveryWeeks: "[weeks]",
    EveryMonths: "[months]",
}


def _every_kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        named = [unit for unit in _UNITS.values() if unit[1:-1] in value]
        return named[0] if len(named) == 1 else None
    if isinstance(value, str):
        return "[calendar]" if value in get_args(Calendar) else None
    return _UNITS.get(type(value))


Every = Annotated[
    Annotated[Calendar, Tag("[calendar]")]
    | Annotated[EveryHours, Tag("[hours]")]
    | Annotated[EveryDays, Tag("[days]")]
    | Annotated[EveryWeeks, Tag("[weeks]")]
    | Annotated[EveryMonths, Tag("[months]")],
    Discriminator(
        _every_kind,
        custom_error_type="no_every",
        custom_error_message=(
            "is no repetition; write day, week, month, {days: 3}, {weeks: 2}, {months: 3} or {hours: 6}"
        ),
    ),
]

DayOfMonth = Annotated[int, Field(ge=1, le=31, strict=True)]


def _days_kind(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return None
    return "[numbers]" if any(isinstance(day, int) for day in value) else "[weekdays]"


Days = Annotated[
    Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7), Tag("[weekdays]")]
    | Annotated[tuple[DayOfMonth, ...], Field(min_length=1, max_length=31), Tag("[numbers]")],
    Discriminator(
        _days_kind,
        custom_error_type="no_days",
        custom_error_message="is no list of days; write [mon, thu] or, for a month, [1, 15]",
    ),
]


SHORTEST_CATCH_UP = timedelta(minutes=1)
"""A firing on its way takes a moment; a shorter window would have a slow minute count as an outage."""

MOST_TIMES = 100_000


class Schedule(Model):
    """When members are taken in.

    Attributes:
        start: The first instant; a repeating schedule begins at its first occurrence not before it.
        every: Repeats by the wall clock of the journey's zone (``day``, ``week``, ``month``, or ``{days: 3}``,
            ``{weeks: 2}``, ``{months: 3}``, counted from the start's own day, week from Monday to Sunday, or month) or
            by elapsed time (``{hours: 6}``; ``{hours: 24}`` is a day of 24 hours, whatever the clocks do).
        on: Days: weekdays of weeks (or of ``day``), day numbers of months; the last day of a shorter month stands in
            for a missing one. The start's own by default.
        at: Time of day; the start's own by default.
        until: The last instant, itself included.
        times: Ends after so many occurrences, counted from the start whether anybody was taken in or not; with
            ``until``, whichever comes first.
        catch_up: How late an occurrence may still be taken in after an outage, at least ``PT1M``; a later one is
            recorded as missed. An hour for a repeating entry by default, without limit for the others.
    """

    start: Start = AfterPublish()
    every: Every | None = None
    on: Days | None = None
    at: Clock | None = None
    until: WallTime | None = None
    times: int | None = Field(default=None, ge=1, le=MOST_TIMES, strict=True)
    catch_up: Duration | None = None

    @property
    def calendar_step(self) -> tuple[Calendar, int] | None:
        """The unit that a wall-clock repetition counts in, and how many it takes; ``None`` if it is none."""
        match self.every:
            case None | EveryHours():
                return None
            case EveryDays(days=count):
                return "day", count
            case EveryWeeks(weeks=count):
                return "week", count
            case EveryMonths(months=count):
                return "month", count
            case unit:
                return unit, 1

    @field_validator("catch_up")
    @classmethod
    def _no_race(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < SHORTEST_CATCH_UP:
            raise ValueError("must be at least PT1M")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.every is None and any(given is not None for given in (self.on, self.at, self.until, self.times)):
            raise ValueError("'on', 'at', 'until' and 'times' go with 'every'")
        if isinstance(self.every, EveryHours) and (self.on is not None or self.at is not None):
            raise ValueError("'on' and 'at' go with day, week and month; elapsed hours count from the start")
        if self.on is not None and self.calendar_step is not None:
            _check_days(self.on, *self.calendar_step)
        return self


def _check_days(on: tuple[Weekday, ...] | tuple[int, ...], unit: Calendar, count: int) -> None:
    if unit == "day" and count > 1:
        raise ValueError(f"'on' does not go with every {count} days; weekdays go with day and with {{weeks: 2}}")
    numbers = all(isinstance(day, int) for day in on)
    if unit == "month" and not numbers:
        raise ValueError("'on' of a month takes day numbers such as [1, 15]")
    if unit != "month" and numbers:
        raise ValueError(f"'on' of a {unit} takes weekdays such as [mon, thu]")
