"""The one meaning of a comparison, for the conditions of journeys and the rules of segments.

What is compared stands at a path: in the attributes of a profile, in what a run was started with, in an event.

A comparison is true or false, never unknown. It is false when one of the two is missing, or when they are
not of one kind, also for ``ne``; its negation is then true. JSON's null counts as missing.

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


def read_path(path: str) -> str:
    """Return a dotted path that can be followed.

    Raises:
        ValueError: It has an empty name in it, one that no attribute can have, or too many.
    """
    names = path_names(path)
    for name in names:
        if not name or name != name.strip() or not name.isprintable() or '"' in name or "\\" in name or len(name) > 100:
            raise ValueError(
                f"{path!r} is no path; write names of up to 100 printable characters with a dot between them, such as "
                "plan or address.city"
            )
    if len(names) > DEEPEST_PATH:
        raise ValueError(f"{path!r} goes {len(names)} levels deep; at most {DEEPEST_PATH} are followed")
    return path


AttributePath = Annotated[str, AfterValidator(read_path)]
"""Where an attribute stands in a profile's attributes. A path leads through objects, not into arrays."""

PropertyPath = AttributePath
"""Where a property stands in what a run was started with."""


class RunProperty(BaseModel):
    """What the run was started with at this path, in the place of a value that was written down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    property: PropertyPath


class Comparison(BaseModel):
    """What every comparison is: something at a path, an ``op``, and the ``value`` that fits it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("value", mode="before", check_fields=False)
    @classmethod
    def _fits_op(cls, value: Any, info: ValidationInfo) -> Any:
        # Without an op, which has been told already, no value is right or wrong.
        return cls.read(op, value) if (op := info.data.get("op")) else True

    @classmethod
    def read(cls, op: Op, value: Any) -> Any:
        """Return the value as the comparison holds it.

        Raises:
            ValueError: It does not fit the op.
        """
        return read_value(op, value)


def default_value(data: Mapping[str, Any]) -> Any:
    """Return the value where none is given: true for ``exists``; anything else needs one."""
    return True if data.get("op") == "exists" else ABSENT


class AttributeCondition(Comparison):
    """A comparison of one attribute with a value that was written down.

    Attributes:
        attribute: Dotted path to the attribute.
        op: How they are compared.
        value: ``eq``, ``ne``, ``contains``: a string, number or boolean. ``lt``, ``lte``, ``gt``, ``gte``: a string
            or number. ``in``: a list of strings, numbers and booleans. ``before``, ``after``: an ISO date or
            date-time, or one relative to now: ``{ago: P30D}``, ``{ahead: P7D}``. ``exists``: true (the default)
            or false.
    """

    attribute: AttributePath
    op: Op
    value: Value = Field(default_factory=default_value, validate_default=True)


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
    return compares(look_up(attributes, condition.attribute), condition.op, condition.value, now)


def compares(found: Any, op: Op, value: Any, now: datetime) -> bool:
    """True if what was found compares so with a value: one that was written down, or any JSON from elsewhere.

    A value from elsewhere may be missing or of a kind that the op does not take; the comparison is then false.
    """
    match op:
        case "exists":
            return (found is not None) is value
        case "eq":
            return _equal(found, value)
        case "ne":
            return _alike(found, value) and found != value
        case "in":
            return isinstance(value, list | tuple) and any(_equal(found, item) for item in value)
        case "contains" if isinstance(found, str):
            return isinstance(value, str) and value in found
        case "contains":
            return isinstance(found, list | tuple) and any(_equal(item, value) for item in found)
        case "lt" | "lte" | "gt" | "gte":
            ordered = _alike(found, value) and not isinstance(found, bool)
            return ordered and bool(ORDERINGS[op](found, value))
        case "before" | "after":
            at, other = _instant(found, now), _instant(value, now)
            return at is not None and other is not None and bool(ORDERINGS[op](at, other))


def instant_of(condition: AttributeCondition, now: datetime) -> datetime:
    """Return the instant that ``before`` and ``after`` compare with."""
    at = _instant(condition.value, now)
    if at is None:
        raise TypeError(f"{condition.op!r} on {condition.attribute!r} compares with no instant")
    return at


def _instant(value: Any, now: datetime) -> datetime | None:
    match value:
        case Ago(ago=duration):
            return now - duration
        case Ahead(ahead=duration):
            return now + duration
        case str(text):
            return parse_date(text)
        case _:
            return None


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


def _alike(found: Any, value: Any) -> bool:
    return (kind := _kind(found)) is not None and kind == _kind(value)


def _equal(found: Any, value: Any) -> bool:
    return _alike(found, value) and bool(found == value)
