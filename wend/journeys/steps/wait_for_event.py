"""``wait_for_event``: something that happens to the profile, with a time limit."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from wend.journeys.comparison import AttributePath, Comparison, RunProperty, compares, default_value, look_up, read_path
from wend.journeys.durations import PositiveDuration
from wend.journeys.facts import Facts, Happening
from wend.journeys.freezes import elapse
from wend.journeys.model import Key, Model
from wend.journeys.results import Events, Goto, Happened, Park, TimedOut
from wend.journeys.steps.base import Here, Step
from wend.journeys.values import Op, Value


class EventComparison(Comparison):
    """A comparison of one property of the event with a value: written down, or what the run was started with.

    Attributes:
        attribute: Dotted path into the event's properties.
        op: How they are compared.
        value: As in a comparison of an attribute; or ``{property: order.id}``: what the run was started with there. It
            is false where the run has none, or none that fits the op.
    """

    attribute: AttributePath
    op: Op
    value: Value | RunProperty = Field(default_factory=default_value, validate_default=True)

    @classmethod
    def read(cls, op: Op, value: Any) -> Any:
        match value:
            case RunProperty() | {"property": _} if op == "exists":
                raise ValueError("'exists' takes true or false, not a property of the run")
            case RunProperty():
                return value
            case {"property": str(path), **others} if not others:
                return RunProperty(property=read_path(path))
            case _:
                return super().read(op, value)

    def counts(self, event: Happening, properties: Mapping[str, Any]) -> bool:
        """True if it holds for the event, in a run that was started with these properties."""
        value = self.value
        if isinstance(value, RunProperty):
            value = look_up(properties, value.property)
        # Dates relative to now are measured from the event, so that waking later does not change the answer.
        return compares(look_up(event.properties, self.attribute), self.op, value, event.at)


class EventMatch(Model):
    """An event of the profile, by its name and what it has with it.

    Attributes:
        event: The event's name.
        where: Conditions on the event's properties; all must hold. The value of one may be ``{property: order.id}``:
            what the run was started with there.
    """

    event: str = Field(min_length=1, max_length=200)
    where: tuple[EventComparison, ...] = Field(default=(), max_length=20)

    def counts(self, event: Happening, properties: Mapping[str, Any]) -> bool:
        """True if it is such an event, in a run that was started with these properties."""
        return all(condition.counts(event, properties) for condition in self.where)


class WaitForEvent(Step):
    """Waits for an event of the profile.

    Attributes:
        event: The event's name.
        where: Conditions on the event's properties; all must hold. The value of one may be ``{property: order.id}``:
            what the run was started with there.
        within: The time limit, from arrival.
        since: Which events count: those after ``arrival`` at this step, or since the run's ``entry``.
        on_event: Where the event leads; the step that stands below by default.
        on_timeout: Where no event leads; the step that stands below by default.
    """

    type: Literal["wait_for_event"]
    event: str = Field(min_length=1, max_length=200)
    where: tuple[EventComparison, ...] = Field(default=(), max_length=20)
    within: PositiveDuration
    since: Literal["arrival", "entry"] = "arrival"
    on_event: Key | None = None
    on_timeout: Key | None = None

    def targets(self) -> Mapping[str, str | None]:
        return {"on_event": self.on_event, "on_timeout": self.on_timeout}

    def properties(self) -> Iterator[tuple[str, str]]:
        for number, condition in enumerate(self.where):
            if isinstance(condition.value, RunProperty):
                yield f"where.{number}.value", condition.value.property

    @property
    def waits(self) -> bool:
        return True


def wait_for_event(step: WaitForEvent, here: Here, facts: Facts) -> Goto | Park:
    """Go on at the first counted event, or at the deadline; else wait for either."""
    deadline = elapse(here.arrived_at, step.within, facts.freezes)
    after = here.arrived_at if step.since == "arrival" else here.entered_at
    for event in facts.events(step.event, after):
        if event.at <= deadline and _counts(step, event, after, here, facts):
            return Goto(Happened(event.id, event.name, event.at), to=step.on_event, consumed=event.mark)
    if facts.now >= deadline:
        return Goto(TimedOut(deadline), to=step.on_timeout)
    return Park(deadline, f"waits for {step.event}", Events(step.event))


def _counts(step: WaitForEvent, event: Happening, after: datetime, here: Here, facts: Facts) -> bool:
    if event.at <= after or (here.consumed is not None and event.mark <= here.consumed):
        return False
    return all(condition.counts(event, facts.properties) for condition in step.where)
