"""``update_profile``: sets attributes, seen by later steps."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from wend.journeys.comparison import AttributePath
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
    """Sets attributes of the profile at its top level; ``null`` removes one."""

    type: Literal["update_profile"]
    set: dict[AttributeName, Any] = Field(min_length=1, max_length=50)

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


def update_profile(step: UpdateProfile, here: Here, facts: Facts) -> Goto | SetAttributes:
    """Have the attributes set once, then go on."""
    if here.state.done:
        return Goto(Updated(tuple(step.set)), to=step.next)
    return SetAttributes(step.set)
