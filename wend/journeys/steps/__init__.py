"""The step types, one module each: a frozen model, and a pure function that is called on arrival and at every wake."""

from typing import Annotated, assert_never

from pydantic import Field

from wend.journeys.facts import Facts
from wend.journeys.results import StepAnswer
from wend.journeys.steps.base import Here
from wend.journeys.steps.exit_ import Exit, leave
from wend.journeys.steps.if_ import If, choose
from wend.journeys.steps.send import SendEmail, SendSms, send
from wend.journeys.steps.update_profile import UpdateProfile, update_profile
from wend.journeys.steps.wait import Wait, wait
from wend.journeys.steps.wait_for_click import WaitForClick, wait_for_click
from wend.journeys.steps.wait_for_event import WaitForEvent, wait_for_event
from wend.journeys.steps.wait_until import WaitUntil, wait_until

__all__ = [
    "AnyStep",
    "Exit",
    "Here",
    "If",
    "SendEmail",
    "SendSms",
    "UpdateProfile",
    "Wait",
    "WaitForClick",
    "WaitForEvent",
    "WaitUntil",
    "look",
]

AnyStep = Annotated[
    SendEmail | SendSms | Wait | WaitUntil | WaitForClick | WaitForEvent | If | UpdateProfile | Exit,
    Field(discriminator="type"),
]


def look(step: AnyStep, here: Here, facts: Facts) -> StepAnswer:
    """Return what the step says now."""
    match step:
        case SendEmail() | SendSms():
            return send(step, here, facts)
        case Wait():
            return wait(step, here, facts)
        case WaitUntil():
            return wait_until(step, here, facts)
        case WaitForClick():
            return wait_for_click(step, here, facts)
        case WaitForEvent():
            return wait_for_event(step, here, facts)
        case If():
            return choose(step, here, facts)
        case UpdateProfile():
            return update_profile(step, here, facts)
        case Exit():
            return leave(step, here, facts)
        case _:
            assert_never(step)
