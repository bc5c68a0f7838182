"""``wait``: for a duration, from arrival."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from wend.journeys.durations import Duration
from wend.journeys.facts import Facts
from wend.journeys.results import Goto, Park, Waited
from wend.journeys.steps.base import Here, StepWithNext
from wend.journeys.walltime import later


class Wait(StepWithNext):
    """Waits for a duration. There is no upper limit; a wait of nothing is refused."""

    type: Literal["wait"]
    for_: Duration = Field(alias="for")

    @field_validator("for_")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be longer than nothing; leave the step out to go on at once")
        return value

    @property
    def waits(self) -> bool:
        return True


def wait(step: Wait, here: Here, facts: Facts) -> Goto | Park:
    """Go on once the duration has passed since arrival."""
    until = later(here.arrived_at, step.for_)
    if facts.now >= until:
        return Goto(Waited(until), to=step.next)
    return Park(until, "waits")
