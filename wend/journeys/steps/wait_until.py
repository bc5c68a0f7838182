"""``wait_until``: a date-time, or a date in an attribute or in a property of the run, with an offset."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import model_validator

from wend.journeys.comparison import AttributePath, PropertyPath, look_up
from wend.journeys.dates import parse_date, read_date
from wend.journeys.durations import SignedDuration
from wend.journeys.facts import Facts, ProfileView
from wend.journeys.model import Key, WallTime, load_zone
from wend.journeys.results import Goto, NoDate, Park, Waited
from wend.journeys.steps.base import Here, StepWithNext
from wend.journeys.walltime import later, resolve


class WaitUntil(StepWithNext):
    """Waits until an instant; one that has passed is gone on from at once.

    Attributes:
        at: A date-time; without an offset it is wall time in the journey's zone.
        attribute: Path of an attribute that holds an ISO date (its midnight) or date-time. Without an offset of its
            own it is wall time in the profile's zone or, failing that, the journey's. It is read on arrival and
            again at every wake; so a date that moves counts when the run next looks, not before.
        property: Path of a property that the run was started with and that holds such a date; it never moves.
        offset: Added to that instant: ``-P3D`` is three days before.
        on_missing: Where to go when there is no date; required with ``attribute`` and ``property``.
    """

    type: Literal["wait_until"]
    at: WallTime | None = None
    attribute: AttributePath | None = None
    property: PropertyPath | None = None
    offset: SignedDuration | None = None
    on_missing: Key | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(form is not None for form in (self.at, self.attribute, self.property)) != 1:
            raise ValueError("needs one of 'at', 'attribute' and 'property'")
        if self.at is not None and (self.offset is not None or self.on_missing is not None):
            raise ValueError("'offset' and 'on_missing' go with 'attribute' or 'property', not with 'at'")
        if self.attribute is not None and self.on_missing is None:
            raise ValueError("'attribute' needs 'on_missing': where to go when the profile has no such date")
        if self.property is not None and self.on_missing is None:
            raise ValueError("'property' needs 'on_missing': where to go when the run was started without such a date")
        return self

    def targets(self) -> Mapping[str, str | None]:
        return {"next": self.next} | ({"on_missing": self.on_missing} if self.on_missing else {})

    def properties(self) -> Iterable[tuple[str, str]]:
        return [("property", self.property)] if self.property is not None else []


def wait_until(step: WaitUntil, here: Here, facts: Facts) -> Goto | Park:
    """Go on at the instant, or down ``on_missing`` where there is none."""
    if step.at is not None:
        until = resolve(step.at, here.zone)
    else:
        date = _date_of(_written(step, facts), facts.profile, here.zone)
        if date is None:
            return Goto(NoDate(step.attribute, step.property), to=step.on_missing)
        until = later(date, step.offset) if step.offset is not None else date
    if facts.now >= until:
        return Goto(Waited(until), to=step.next)
    return Park(until, "waits")


def _written(step: WaitUntil, facts: Facts) -> Any:
    """Return what stands where the date should be."""
    if step.property is not None:
        return look_up(facts.properties, step.property)
    assert step.attribute is not None
    return look_up(facts.profile.attributes, step.attribute) if facts.profile else None


def _date_of(value: Any, profile: ProfileView | None, journey_zone: ZoneInfo) -> datetime | None:
    """Return the instant that a value stands for; ``None`` where it is absent or no ISO date."""
    if not isinstance(value, str) or (wall := read_date(value)) is None:
        return None
    if wall.tzinfo is not None:
        return parse_date(value)
    return resolve(wall, _zone_of(profile, journey_zone))


def _zone_of(profile: ProfileView | None, journey_zone: ZoneInfo) -> ZoneInfo:
    """Return the profile's zone; the journey's where it has none, or one that this machine does not know."""
    if profile is None or profile.time_zone is None:
        return journey_zone
    try:
        return load_zone(profile.time_zone)
    except ValueError:
        return journey_zone
