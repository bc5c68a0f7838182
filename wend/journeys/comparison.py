"""The one meaning of a comparison with an attribute, for the conditions of journeys and the rules of segments.

A comparison is true or false, never unknown. It is false when the attribute is missing or not of the kind that it is
compared with, also for ``ne``; its negation is then true. JSON's null counts as missing.

- Numbers compare with numbers: 1 equals 1.0, and true is no number. A value in a condition lies within ±2⁵³, where
  integers and doubles agree; what a profile holds may be larger.
- Strings compare by code point, and booleans by ``eq``, ``ne`` and ``in`` alone.
- ``before`` and ``after`` read ISO dates (``wend.journeys.dates``); any other text is mistyped.
- ``contains`` looks for text within a string, or for an element of an array.

The SQL in ``wend.segments`` says the same in two dialects; one suite holds the three together.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from wend.journeys.dates import parse_date
from wend.journeys.values import ABSENT, Ago, Ahead, Op, Value, read_value

ORDERINGS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "before": operator.lt,
    "after": operator.gt,
}
"""What each op asks of two things of one kind, in memory and of columns alike."""

DEEPEST_PATH: Final = 10


def path_names(path: str) -> tuple[str, ...]:
    """Return the names along a dotted path: ``address.city`` is ``city`` within ``address``."""
    return tuple(path.split("."))


def _read_path(path: str) -> str:
    names = path_names(path)
    for name in names:
        if not name or name != name.strip() or not name.isprintable() or '"' in name or "\\" in name or len(name) > 100:
            raise ValueError(
                f"{path!r} is no path to an attribute; write names of up to 100 printable characters with a dot "
                "between them, such as plan or address.city"
            )
    if len(names) > DEEPEST_PATH:
        raise ValueError(f"{path!r} goes {len(names)} levels deep; at most {DEEPEST_PATH} are followed")
    return path


AttributePath = Annotated[str, AfterValidator(_read_path)]
"""Where an attribute stands in a profile's attributes. A path leads through objects, not into arrays."""


class AttributeCondition(BaseModel):
    """A comparison of one attribute with a value that was written down.

    Attributes:
        attribute: Dotted path to the attribute.
        op: How they are compared.
        value: ``eq``, ``ne``, ``contains``: a string, number or boolean. ``lt``, ``lte``, ``gt``, ``gte``: a string
            or number. ``in``: a list of strings, numbers and booleans. ``before``, ``after``: an ISO date or
            date-time, or one relative to now: ``{ago: P30D}``, ``{ahead: P7D}``. ``exists``: true (the default)
            or false.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute: AttributePath
    op: Op
    value: Value = Field(
        default_factory=lambda data: True if data.get("op") == "exists" else ABSENT, validate_default=True
    )

    @field_validator("value", mode="before")
    @classmethod
    def _fits_op(cls, value: Any, info: ValidationInfo) -> Value:
        # Without an op, which has been told already, no value is right or wrong.
        return read_value(op, value) if (op := info.data.get("op")) else True


def look_up(attributes: Mapping[str, Any], path: str) -> Any:
    """Return what stands at the path, or None where nothing (or null) does."""
    here: Any = attributes
    for name in path_names(path):
        if not isinstance(here, Mapping):
            return None
        here = here.get(name)
    return here


def holds(condition: AttributeCondition, attributes: Mapping[str, Any], now: datetime) -> bool:
    """True if the comparison holds for these attributes, with dates relative to ``now``."""
    found = look_up(attributes, condition.attribute)
    value = condition.value
    match condition.op:
        case "exists":
            return (found is not None) is value
        case "eq":
            return _equal(found, value)
        case "ne":
            return _kind(found) == _kind(value) and found != value
        case "in":
            assert isinstance(value, tuple)
            return any(_equal(found, item) for item in value)
        case "contains" if isinstance(found, str):
            return isinstance(value, str) and value in found
        case "contains":
            return isinstance(found, list | tuple) and any(_equal(item, value) for item in found)
        case "lt" | "lte" | "gt" | "gte":
            return _kind(found) == _kind(value) and bool(ORDERINGS[condition.op](found, value))
        case "before" | "after":
            at = parse_date(found) if isinstance(found, str) else None
            return at is not None and bool(ORDERINGS[condition.op](at, instant_of(condition, now)))


def instant_of(condition: AttributeCondition, now: datetime) -> datetime:
    """Return the instant that ``before`` and ``after`` compare with."""
    match condition.value:
        case Ago(ago=duration):
            return now - duration
        case Ahead(ahead=duration):
            return now + duration
        case str(text) if at := parse_date(text):
            return at
        case _:
            raise TypeError(f"{condition.op!r} on {condition.attribute!r} compares with no instant")


def _kind(value: Any) -> str | None:
    """Return what a scalar compares with; None for anything else and for NaN, which equals nothing."""
    match value:
        case bool():
            return "boolean"
        case int() | float() if value == value:
            return "number"
        case str():
            return "string"
        case _:
            return None


def _equal(found: Any, value: Any) -> bool:
    return _kind(found) == _kind(value) and found == value
