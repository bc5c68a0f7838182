"""``wait_for_event``: something that happens to the profile, with a time limit."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field, field_validator

from wend.journeys.comparison import AttributeCondition, holds
from wend.journeys.durations import Duration
from wend.journeys.facts import Facts, Happening
from wend.journeys.model import Key
from wend.journeys.results import Events, Goto, Happened, Park, TimedOut
from wend.journeys.steps.base import Here, Step
from wend.journeys.walltime import later


class WaitForEvent(Step):
    """Waits for an event of the profile.

    Attributes:
        event: The event's name.
        where: Conditions on the event's properties; all must hold.
        within: The time limit, from arrival.
        since: Which events count: those after ``arrival`` at this step, or since the run's ``entry``.
        on_event: Where the event leads; the step that stands below by default.
        on_timeout: Where no event leads; the step that stands below by default.
    """

    type: Literal["wait_for_event"]
    event: str = Field(min_length=1, max_length=200)
    where: tuple[AttributeCondition, ...] = Field(default=(), max_length=20)
    within: Duration
    since: Literal["arrival", "entry"] = "arrival"
    on_event: Key | None = None
    on_timeout: Key | None = None

    @field_validator("within")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be longer than nothing")
        return value

    def targets(self) -> Mapping[str, str | None]:
        return {"on_event": self.on_event, "on_timeout": self.on_timeout}

    @property
    def waits(self) -> bool:
        return True


def wait_for_event(step: WaitForEvent, here: Here, facts: Facts) -> Goto | Park:
    """Go on at the first counted event, or at the deadline; else wait for either."""
    deadline = later(here.arrived_at, step.within)
    after = here.arrived_at if step.since == "arrival" else here.entered_at
    for event in facts.events(step.event, after):
        if event.at <= deadline and _counts(step, event, after, here):
            return Goto(Happened(event.id, event.name, event.at), to=step.on_event, consumed=event.mark)
    if facts.now >= deadline:
        return Goto(TimedOut(deadline), to=step.on_timeout)
    return Park(deadline, f"waits for {step.event}", Events(step.event))


def _counts(step: WaitForEvent, event: Happening, after: datetime, here: Here) -> bool:
    if event.at <= after or (here.consumed is not None and event.mark <= here.consumed):
        return False
    # Dates relative to now are measured from the event, so that waking later does not change the answer.
    return all(holds(condition, event.properties, event.at) for condition in step.where)
