"""``exit``: the run ends here, for a reason of the author's."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import StringConstraints

from wend.journeys.facts import Facts
from wend.journeys.results import Finish
from wend.journeys.steps.base import Here, Step


class Exit(Step):
    """Ends the run as ``exited(reason)``; without a reason as ``completed``."""

    type: Literal["exit"]
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] | None = None

    def targets(self) -> Mapping[str, str | None]:
        return {}


def leave(step: Exit, here: Here, facts: Facts) -> Finish:
    """End the run."""
    return Finish("exited", step.reason) if step.reason else Finish("completed")
