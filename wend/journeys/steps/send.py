"""``send_email`` and ``send_sms``: at most one message per visit."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from wend.journeys.facts import Facts
from wend.journeys.model import Key, Namespace
from wend.journeys.results import Finish, Goto, MessageSettled, Send
from wend.journeys.steps.base import Here, StepWithNext


class SendStep(StepWithNext):
    """Sends a message to the profile's address; a profile without one skips it and goes on.

    Attributes:
        message: Key of the message, which must be ready.
        to: Namespace of the identity that holds the address.
        on_failure: Where to go when the message was refused for good or the retries are used up; without it the
            run ends ``failed``.
        delivery: What to do when it is unknown whether the provider took the message: leave it uncertain and go
            on, or send again.
        retries: How often a send that was surely not accepted is tried again: after 5 s, 1 min, 12 min, then every
            hour. By default it outlasts a provider that is away for a day.
        once_per_address: Within the journey or within one entry, an address gets this message from one run only.
    """

    message: Key
    to: Namespace
    on_failure: Key | None = None
    delivery: Literal["at_most_once", "at_least_once"] = "at_most_once"
    retries: int = Field(default=30, ge=0, le=1000, strict=True)
    once_per_address: Literal["journey", "entry"] | None = None

    def targets(self) -> Mapping[str, str | None]:
        return {"next": self.next} | ({"on_failure": self.on_failure} if self.on_failure else {})


class SendEmail(SendStep):
    """Sends an e-mail."""

    type: Literal["send_email"]
    to: Namespace = "email"


class SendSms(SendStep):
    """Sends a text message."""

    type: Literal["send_sms"]
    to: Namespace = "phone"


def send(step: SendEmail | SendSms, here: Here, facts: Facts) -> Goto | Send | Finish:
    """Send, until the ledger says how it ended; then go on."""
    settled = here.settled
    if settled is None:
        channel: Literal["email", "sms"] = "email" if isinstance(step, SendEmail) else "sms"
        return Send(step.id, here.state.visit, here.message_id, channel, step.message)
    why = MessageSettled(settled.outcome, here.message_id, settled.detail)
    if settled.outcome in ("refused", "gave_up"):
        if step.on_failure is None:
            return Finish("failed", f"message_{settled.outcome}", settled.detail)
        return Goto(why, to=step.on_failure)
    return Goto(why, to=step.next)
