"""``exit``: the run ends here, for a reason of the author's."""

from collections.abc import Mapping
from typing import Literal

from wend.journeys.facts import Facts
from wend.journeys.model import Key
from wend.journeys.results import Finish
from wend.journeys.steps.base import Here, Step


class Exit(Step):
    """Ends the run as ``exited(reason)``; without a reason as ``completed``."""

    type: Literal["exit"]
    reason: Key | None = None

    def targets(self) -> Mapping[str, str | None]:
        return {}

    @property
    def can_end(self) -> bool:
        return True


def leave(step: Exit, here: Here, facts: Facts) -> Finish:
    """End the run."""
    return Finish("exited", step.reason) if step.reason else Finish("completed")
