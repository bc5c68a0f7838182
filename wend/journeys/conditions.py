"""Conditions of a journey: evaluated on arrival, against the profile as it is then and what the run was started with.

Two-valued: a comparison with something missing or mistyped is false, and ``not`` of it is true.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from wend.journeys.comparison import (
    AttributeCondition,
    Comparison,
    PropertyPath,
    compares,
    default_value,
    holds,
    look_up,
)
from wend.journeys.durations import Duration
from wend.journeys.facts import Facts
from wend.journeys.model import Key, Model
from wend.journeys.values import Op, Value


class PropertyCondition(Comparison):
    """A comparison of one property of the run with a value that was written down.

    Attributes:
        property: Dotted path into what the run was started with. Members of a segment bring nothing.
        op: How they are compared.
        value: As in a comparison of an attribute.
    """

    property: PropertyPath
    op: Op
    value: Value = Field(default_factory=default_value, validate_default=True)


class SegmentCondition(Model):
    """The profile is in the segment now."""

    segment: Key


class EventCondition(Model):
    """The profile has had such an event within this long before now."""

    event: str = Field(min_length=1, max_length=200)
    within: Duration


class AllOf(Model):
    """Every one holds."""

    all: tuple["Condition", ...] = Field(min_length=1, max_length=100)


class AnyOf(Model):
    """At least one holds."""

    any: tuple["Condition", ...] = Field(min_length=1, max_length=100)


class NotOf(Model):
    """It does not hold."""

    not_: "Condition" = Field(alias="not")


_KINDS = ("attribute", "property", "segment", "event", "all", "any", "not")


def _kind(value: Any) -> str | None:
    """Return which condition this is, told by the field that only it has.

    In brackets, which no field's name is: problems_of leaves it out of paths.
    """
    if isinstance(value, Mapping):
        return next((f"[{kind}]" for kind in _KINDS if kind in value), None)
    return next((f"[{kind}]" for kind in _KINDS if hasattr(value, "not_" if kind == "not" else kind)), None)


Condition = Annotated[
    Annotated[AttributeCondition, Tag("[attribute]")]
    | Annotated[PropertyCondition, Tag("[property]")]
    | Annotated[SegmentCondition, Tag("[segment]")]
    | Annotated[EventCondition, Tag("[event]")]
    | Annotated[AllOf, Tag("[all]")]
    | Annotated[AnyOf, Tag("[any]")]
    | Annotated[NotOf, Tag("[not]")],
    Discriminator(
        _kind,
        custom_error_type="no_condition",
        custom_error_message=f"is no condition; write one of {', '.join(_KINDS)}",
    ),
]

AllOf.model_rebuild()
AnyOf.model_rebuild()
NotOf.model_rebuild()


def is_met(condition: Condition, facts: Facts, seen: dict[str, Any]) -> bool:
    """True if the condition holds now; notes in ``seen`` what it looked at."""
    match condition:
        case AttributeCondition():
            attributes = facts.profile.attributes if facts.profile else {}
            seen[condition.attribute] = look_up(attributes, condition.attribute)
            return holds(condition, attributes, facts.now)
        case PropertyCondition():
            found = look_up(facts.properties, condition.property)
            seen[f"property {condition.property}"] = found
            return compares(found, condition.op, condition.value, facts.now)
        case SegmentCondition():
            member = facts.is_member(condition.segment)
            seen[f"segment {condition.segment}"] = member
            return member
        case EventCondition():
            since = facts.now - condition.within
            happened = any(True for _ in facts.events(condition.event, since))
            seen[f"event {condition.event}"] = happened
            return happened
        case AllOf():
            return all(is_met(part, facts, seen) for part in condition.all)
        case AnyOf():
            return any(is_met(part, facts, seen) for part in condition.any)
        case NotOf():
            return not is_met(condition.not_, facts, seen)


def segments_of(condition: Condition) -> set[str]:
    """Return the segments that the condition asks for."""
    return {part.segment for part in _parts(condition) if isinstance(part, SegmentCondition)}


def events_of(condition: Condition) -> set[str]:
    """Return the events that the condition asks for."""
    return {part.event for part in _parts(condition) if isinstance(part, EventCondition)}


def properties_of(condition: Condition) -> set[str]:
    """Return the paths of the run's properties that the condition asks for."""
    return {part.property for part in _parts(condition) if isinstance(part, PropertyCondition)}


def _parts(condition: Condition) -> Iterator[Condition]:
    """Yield the condition and every condition within it."""
    yield condition
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts):
            for part in parts:
                yield from _parts(part)
        case NotOf(not_=part):
            yield from _parts(part)
        case _:
            pass  # has no parts
