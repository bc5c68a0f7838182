"""``wait``: for a duration, from arrival or from an earlier instant."""

from typing import Literal

from pydantic import Field

from wend.journeys.durations import PositiveDuration
from wend.journeys.facts import Facts
from wend.journeys.freezes import elapse
from wend.journeys.results import Goto, Park, Waited
from wend.journeys.steps.base import Here, StepWithNext


class Wait(StepWithNext):
    """Waits for a duration. There is no upper limit; a wait of nothing is refused.

    Attributes:
        for_: How long.
        since: From when: ``arrival`` at this step, the run's ``entry``, or when the profile ``joined`` the segment that
            it came in by; where that is not known, and for starts through the API, the entry counts. What is over
            already is gone on from at once.
    """

    type: Literal["wait"]
    for_: PositiveDuration = Field(alias="for")
    since: Literal["arrival", "entry", "joined"] = "arrival"

    @property
    def waits(self) -> bool:
        # The others have passed for good once they have: the second time round nobody waits.
        return self.since == "arrival"


def wait(step: Wait, here: Here, facts: Facts) -> Goto | Park:
    """Go on once the duration has passed."""
    match step.since:
        case "arrival":
            since = here.arrived_at
        case "entry":
            since = here.entered_at
        case "joined":
            since = facts.joined_at or here.entered_at
    until = elapse(since, step.for_, facts.freezes)
    if facts.now >= until:
        return Goto(Waited(until), to=step.next)
    return Park(until, "waits")
