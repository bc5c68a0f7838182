"""``wait_for_click``: a click on a link of a message of this run, with a time limit."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from wend.journeys.durations import PositiveDuration
from wend.journeys.facts import Facts
from wend.journeys.freezes import elapse
from wend.journeys.model import Key, LinkName
from wend.journeys.results import Clicked, Clicks, Goto, NothingSent, Park, TimedOut
from wend.journeys.steps.base import Here, Step


class WaitForClick(Step):
    """Waits for a click.

    A click counts from the moment that the message was sent, also if it comes before the run gets here; it counts if
    its stamp is not after the deadline. Where nothing was sent the run goes on to ``on_timeout`` at once.

    Attributes:
        sent_by: The sending step whose message is listened to.
        link: The link's name; any tracked link of the message where it is left out.
        within: The time limit, from arrival.
        on_click: Where a click leads; the step that stands below by default.
        on_timeout: Where no click leads; the step that stands below by default.
        copy: Of a message that this run sent more than once: clicks on ``any`` copy count, or on the ``latest``.
    """

    type: Literal["wait_for_click"]
    sent_by: Key
    link: LinkName | None = None
    within: PositiveDuration
    on_click: Key | None = None
    on_timeout: Key | None = None
    copy_: Literal["any", "latest"] = Field(default="any", alias="copy")

    def targets(self) -> Mapping[str, str | None]:
        return {"on_click": self.on_click, "on_timeout": self.on_timeout}

    @property
    def waits(self) -> bool:
        return True


def wait_for_click(step: WaitForClick, here: Here, facts: Facts) -> Goto | Park:
    """Go on at the first counted click, or at the deadline; else wait for either."""
    messages = here.messages(step.sent_by, latest=step.copy_ == "latest")
    if not messages:
        return Goto(NothingSent(step.sent_by), to=step.on_timeout)
    deadline = elapse(here.arrived_at, step.within, facts.freezes)
    for click in facts.clicks(messages):
        wanted = step.link is None or click.link == step.link
        if wanted and click.at <= deadline and (here.consumed is None or click.mark > here.consumed):
            why = Clicked(click.id, click.link, click.at, click.message_id)
            return Goto(why, to=step.on_click, consumed=click.mark)
    if facts.now >= deadline:
        return Goto(TimedOut(deadline, step.sent_by, step.link), to=step.on_timeout)
    return Park(deadline, f"waits for a click on {step.link or 'any link'}", Clicks(messages, step.link))
