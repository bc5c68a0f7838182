"""Who enters a journey, and when: the models. ``occurrences.py`` turns a schedule into instants."""

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, model_validator

from wend.journeys.durations import Duration
from wend.journeys.model import Key, Model, Namespace, WallTime

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


class AfterPublish(Model):
    """So long after the journey was first published."""

    after_publish: Duration = timedelta(hours=1)


class AtTime(Model):
    """At a date-time; without an offset it is wall time in the journey's zone."""

    at: WallTime


class EveryHours(Model):
    """Elapsed time: 24 hours are 24 hours, also when the clocks change."""

    hours: int = Field(ge=1, le=24 * 366, strict=True)


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


def _every_kind(value: Any) -> str | None:
    if isinstance(value, Mapping | EveryHours):
        return "[hours]"
    return "[calendar]" if value in get_args(Calendar) else None


Every = Annotated[
    Annotated[Calendar, Tag("[calendar]")] | Annotated[EveryHours, Tag("[hours]")],
    Discriminator(
        _every_kind,
        custom_error_type="no_every",
        custom_error_message="is no repetition; write day, week, month or {hours: 6}",
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


class Schedule(Model):
    """When members are taken in.

    Attributes:
        start: The first instant; a repeating schedule begins at its first occurrence not before it.
        every: Repeats by the wall clock of the journey's zone (``day``, ``week``, ``month``) or by elapsed hours.
        on: Days: weekdays of a ``week`` (or of ``day``), day numbers of a ``month``; the last day of a shorter month
            stands in for a missing one.
        at: Time of day; the start's own by default.
        until: The last instant, itself included.
    """

    start: Start = AfterPublish()
    every: Every | None = None
    on: Days | None = None
    at: Clock | None = None
    until: WallTime | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.every is None and (self.on is not None or self.at is not None or self.until is not None):
            raise ValueError("'on', 'at' and 'until' go with 'every'")
        if isinstance(self.every, EveryHours) and (self.on is not None or self.at is not None):
            raise ValueError("'on' and 'at' go with day, week and month; elapsed hours count from the start")
        if self.on is not None:
            numbers = all(isinstance(day, int) for day in self.on)
            if self.every == "month" and not numbers:
                raise ValueError("'on' of a month takes day numbers such as [1, 15]")
            if self.every in ("day", "week") and numbers:
                raise ValueError(f"'on' of a {self.every} takes weekdays such as [mon, thu]")
        return self


class Entry(Model):
    """Whom the journey takes in, how often, and when.

    Attributes:
        segment: Whose members enter.
        exclude: Segments whose members do not enter; checked at entry only.
        namespace: Members without this identity do not enter, and are counted.
        frequency: ``once``: the members at the start, never anyone later. ``once_and_joiners``: those and whoever
            joins later, each once ever. ``repeating``: at each occurrence all members of that moment.
        schedule: When.
        rate: Ceiling on profiles entering per second.
    """

    segment: Key
    exclude: tuple[Key, ...] = Field(default=(), max_length=50)
    namespace: Namespace | None = None
    frequency: Literal["once", "once_and_joiners", "repeating"] = "once"
    schedule: Schedule = Schedule()
    rate: Rate = Field(default=5000, json_schema_extra={"default": "5000/s"})

    @model_validator(mode="after")
    def _repeats_where_it_says_so(self) -> Self:
        if self.frequency == "repeating" and self.schedule.every is None:
            raise ValueError("a repeating entry needs schedule.every")
        if self.frequency != "repeating" and self.schedule.every is not None:
            raise ValueError(f"schedule.every goes with frequency: repeating, not with {self.frequency}")
        return self
