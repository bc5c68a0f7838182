"""What a condition compares with: the values that fit each operator, and what to say of those that do not."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict

from wend.journeys.dates import parse_date
from wend.journeys.durations import Duration, read_duration

Op = Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "exists", "before", "after"]
OPS: Final[tuple[Op, ...]] = get_args(Op)

LARGEST_NUMBER: Final = 2**53
LONGEST_TEXT: Final = 1_000
LONGEST_LIST: Final = 1_000


class _FromNow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ago(_FromNow):
    """The instant this long before now."""

    ago: Duration


class Ahead(_FromNow):
    """The instant this long after now."""

    ahead: Duration


Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...] | Ago | Ahead


ABSENT: Final[Any] = object()
"""Stands for a value that was not given; null is a value."""


def read_value(op: Op, value: Any) -> Value:
    """Return the value that a condition with this operator holds.

    Raises:
        ValueError: It does not fit; the message says what would.
    """
    if value is ABSENT:
        raise ValueError(f"is required: what {op!r} compares with")
    match op:
        case "exists":
            if isinstance(value, bool):
                return value
            raise ValueError(f"'exists' takes true or false, not {_told(value)}")
        case "in":
            if not isinstance(value, list | tuple) or not value:
                raise ValueError(f"'in' takes a list of at least one value, not {_told(value)}")
            if len(value) > LONGEST_LIST:
                raise ValueError(f"lists {len(value)} values; at most {LONGEST_LIST} fit here: use a list segment")
            return tuple(_scalar(op, item) for item in value)
        case "before" | "after":
            return _date(op, value)
        case "lt" | "lte" | "gt" | "gte" if isinstance(value, bool):
            raise ValueError(f"{op!r} takes a number or a string; true and false have no order")
        case _:
            return _scalar(op, value)


def _scalar(op: Op, value: Any) -> Scalar:
    match value:
        case bool():
            return value
        case int() | float():
            if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:  # NaN is refused too
                raise ValueError(f"{value} is beyond ±{LARGEST_NUMBER} (2 to the 53rd), where numbers lose their units")
            return value
        case str():
            return read_text(value)
        case None:
            raise ValueError(
                f"{op!r} does not compare with null; ask for a missing attribute with op: exists, value: false"
            )
        case _:
            raise ValueError(f"{op!r} takes a string, number or boolean, not {_told(value)}")


def read_text(text: str) -> str:
    """Return text that something can be compared with.

    Raises:
        ValueError: It is too long, or no profile can hold it.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"is text of {len(text)} characters; at most {LONGEST_TEXT} are compared")
    if not is_storable(text):
        raise ValueError("is text with a NUL or half a surrogate pair, which no profile can hold")
    return text


def is_storable(text: str) -> bool:
    """Return whether both databases can hold the text: it has no NUL and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _date(op: Op, value: Any) -> str | Ago | Ahead:
    match value:
        case Ago() | Ahead():
            return value
        case date():  # as YAML reads one without quotes; a datetime is a date too
            return value.isoformat()
        case str() if parse_date(value):
            return value
        case str():
            raise ValueError(
                f"{value!r} is no date; write 2026-12-10, 2026-12-10T09:00Z, {{ago: P30D}} or {{ahead: P7D}}"
            )
        case {"ago": duration, **others} if not others:
            return Ago(ago=read_duration(duration))
        case {"ahead": duration, **others} if not others:
            return Ahead(ahead=read_duration(duration))
        case _:
            raise ValueError(f"{op!r} takes an ISO date, {{ago: P30D}} or {{ahead: P7D}}, not {_told(value)}")


def _told(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return repr(value)
