"""``update_profile``: sets attributes, seen by later steps."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from wend.journeys.facts import Facts
from wend.journeys.results import Goto, SetAttributes, Updated
from wend.journeys.steps.base import Here, StepWithNext

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^.\x00-\x1f]+$")]


class UpdateProfile(StepWithNext):
    """Sets attributes of the profile at its top level; ``null`` removes one."""

    type: Literal["update_profile"]
    set: dict[AttributeName, Any] = Field(min_length=1, max_length=50)

    @field_validator("set")
    @classmethod
    def _json(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, each in value.items():
            if not isinstance(each, str | int | float | bool | list | dict | None):
                raise ValueError(f"{name!r} is no JSON value")
        return value


def update_profile(step: UpdateProfile, here: Here, facts: Facts) -> Goto | SetAttributes:
    """Have the attributes set once, then go on."""
    if here.state.done:
        return Goto(Updated(tuple(step.set)))
    return SetAttributes(step.set)
