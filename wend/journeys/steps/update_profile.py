"""``update_profile``: sets attributes, seen by later steps."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from wend.journeys.comparison import AttributePath, RunProperty, look_up
from wend.journeys.facts import Facts
from wend.journeys.results import Goto, SetAttributes, Updated
from wend.journeys.steps.base import Here, StepWithNext

LARGEST_SET = 65_536
"""Bytes of the attributes that one step sets, as JSON: what a profile takes at once."""


def _at_the_top(path: str) -> str:
    if "." in path:
        raise ValueError(f"{path!r} has a dot; attributes are set at the top level, so give the whole object")
    return path


AttributeName = Annotated[AttributePath, AfterValidator(_at_the_top)]


class UpdateProfile(StepWithNext):
    """Sets attributes of the profile at its top level; ``null`` removes one.

    Attributes:
        set: Attribute names and their new values: any JSON. ``null`` removes an attribute.
        set_from: Attribute names and where their new values come from: ``{property: order.id}`` is what the run was
            started with there. What the run was started without leaves the attribute as it is, and the move says so.
    """

    type: Literal["update_profile"]
    set: dict[AttributeName, Any] = Field(default={}, max_length=50)
    set_from: dict[AttributeName, RunProperty] = Field(default={}, max_length=50)

    @field_validator("set")
    @classmethod
    def _json(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"holds what JSON has no word for: {error}") from error
        if size > LARGEST_SET:
            raise ValueError(f"is {size:,} bytes of JSON; at most {LARGEST_SET:,} are set at once")
        return value

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if not self.set and not self.set_from:
            raise ValueError("sets nothing; give 'set' or 'set_from'")
        if twice := sorted(self.set.keys() & self.set_from.keys()):
            raise ValueError(f"{twice[0]!r} is in 'set' and in 'set_from'; which of the two is meant?")
        return self

    def properties(self) -> Iterator[tuple[str, str]]:
        for name, source in self.set_from.items():
            yield f"set_from.{name}", source.property


def update_profile(step: UpdateProfile, here: Here, facts: Facts) -> Goto | SetAttributes:
    """Have the attributes set once, then go on."""
    found = {name: look_up(facts.properties, source.property) for name, source in step.set_from.items()}
    attributes = {**step.set, **{name: value for name, value in found.items() if value is not None}}
    if attributes and not here.state.done:
        return SetAttributes(attributes)
    missing = tuple(name for name, value in found.items() if value is None)
    return Goto(Updated(tuple(attributes), missing), to=step.next)
