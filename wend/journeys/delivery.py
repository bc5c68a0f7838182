"""The delivery policy: may this message go to this person now? Asked inside the transaction that claims the send."""

from dataclasses import dataclass
from typing import Literal

from wend.journeys.facts import ProfileView
from wend.journeys.steps.send import SendStep

SENDING_STATES = frozenset({"scheduled", "live", "closed"})
"""States of a journey in which its runs send; a scheduled one has runs that were started through the API."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The message may go to this address."""

    address: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """The message is not sent; the run goes on with this outcome."""

    outcome: Literal["no_address"]


@dataclass(frozen=True, slots=True)
class Ruled:
    """Nothing is sent, and the run does not go on by itself: the journey's state forbids it."""

    journey_state: str


def delivery_policy(step: SendStep, journey_state: str, profile: ProfileView) -> Allowed | Withheld | Ruled:
    """Return whether the step's message may be sent to the profile now, and to which address."""
    if journey_state not in SENDING_STATES:
        return Ruled(journey_state)
    address = profile.identities.get(step.to)
    return Allowed(address) if address else Withheld("no_address")
