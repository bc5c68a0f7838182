"""Lengths of time: ISO 8601 text outside, ``timedelta`` inside.

Only units that are always equally long are read: weeks, days (24 hours), hours, minutes, seconds. A month has no
length of its own, so that a duration never depends on the day it is counted from.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

LONGEST: Final = timedelta(days=365_000)
"""About a thousand years: any instant of our time, plus or minus a duration, is still an instant."""

_ISO = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,9})W)?(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,12}(?:\.[0-9]{1,6})?)S)?)?"
)
_CALENDAR = re.compile(r"P[0-9.,]*[YM]|P[^T]*[0-9][YM]")
_EXAMPLES = "PT30M, PT1H30M, P1D or P2W"


def parse_duration(text: str) -> timedelta:
    """Return the length that ISO 8601 text such as ``P1D`` or ``PT1H30M`` stands for.

    Weeks may stand beside other units; only seconds take a fraction, of up to six digits.

    Raises:
        ValueError: The text is no such duration, names months or years, is negative, or exceeds ``LONGEST``.
    """
    if _CALENDAR.match(text):
        raise ValueError(
            f"{text!r} counts months or years, which are not always equally long; "
            "count in days or weeks, such as P30D or P52W"
        )
    if text.startswith(("-", "+", "P-", "PT-")):
        raise ValueError(f"{text!r} has a sign; a duration is a length and has none, such as {_EXAMPLES}")
    found = _ISO.fullmatch(text)
    if found is None or not any(found.groupdict().values()):
        raise ValueError(f"{text!r} is no ISO 8601 duration, such as {_EXAMPLES}")
    parts = found.groupdict(default="0")
    whole, _, fraction = parts.pop("seconds").partition(".")
    length = {unit: int(amount) for unit, amount in parts.items()}
    try:
        duration = timedelta(**length, seconds=int(whole), microseconds=int(fraction.ljust(6, "0")))
    except OverflowError:
        duration = timedelta.max
    return _within_bounds(duration, text)


def format_duration(duration: timedelta) -> str:
    """Return the ISO 8601 text of a length that is not negative: ``P1DT1H30M``, ``PT0.5S``, ``PT0S``."""
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{duration.microseconds:06}".rstrip("0") if duration.microseconds else ""
    date = f"{duration.days}D" if duration.days else ""
    time = "".join(
        (
            f"{hours}H" if hours else "",
            f"{minutes}M" if minutes else "",
            f"{seconds}{fraction}S" if seconds or fraction else "",
        )
    )
    if not date and not time:
        return "PT0S"
    return f"P{date}T{time}" if time else f"P{date}"


def format_signed_duration(duration: timedelta) -> str:
    """Return the ISO 8601 text of a length with a direction: ``P2D``, ``-P3D``."""
    return f"-{format_duration(-duration)}" if duration < timedelta(0) else format_duration(duration)


def _within_bounds(duration: timedelta, given: object) -> timedelta:
    if duration > LONGEST:
        raise ValueError(f"{given} is longer than {format_duration(LONGEST)}, the longest duration")
    return duration


def read_duration(given: Any) -> timedelta:
    """Return the length that a definition gives: ISO 8601 text, or a ``timedelta`` from code.

    Raises:
        ValueError: It is neither, is negative, or exceeds ``LONGEST``.
    """
    match given:
        case timedelta() if given < timedelta(0):
            raise ValueError("a duration is a length and cannot be negative")
        case timedelta():
            return _within_bounds(given, given)
        case str():
            return parse_duration(given)
        case _:
            raise ValueError(f"a duration is ISO 8601 text, such as {_EXAMPLES}, not {type(given).__name__}: {given!r}")


def _read_signed(given: Any) -> timedelta:
    match given:
        case timedelta() if given < timedelta(0):
            return -read_duration(-given)
        case str() if given.startswith("-"):
            return -parse_duration(given[1:])
        case _:
            return read_duration(given)


_SCHEMA = {"type": "string", "format": "duration"}
_UNITS = "ISO 8601, of weeks, days, hours, minutes and seconds"

Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_SCHEMA | {"description": f"{_UNITS}.", "examples": ["PT30M", "P1D", "P2W"]}),
]
"""A length of time in a definition: from zero to ``LONGEST``."""


def _longer_than_nothing(length: timedelta) -> timedelta:
    if not length:
        raise ValueError("must be longer than nothing")
    return length


PositiveDuration = Annotated[Duration, AfterValidator(_longer_than_nothing)]
"""A length of time in a definition: more than zero, at most ``LONGEST``."""

SignedDuration = Annotated[
    timedelta,
    BeforeValidator(_read_signed),
    PlainSerializer(format_signed_duration, return_type=str, when_used="json"),
    WithJsonSchema(_SCHEMA | {"description": f"{_UNITS}; with - before it, earlier.", "examples": ["P2D", "-P3D"]}),
]
"""A shift in time in a definition: ``-P3D`` is three days earlier. At most ``LONGEST`` either way."""
