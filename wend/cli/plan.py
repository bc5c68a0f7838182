"""What a demo is: how many people, how short the waits."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from wend.cli.ports import LOCAL, listen
from wend.cli.sampling import REFERENCE, read_sample, step
from wend.cli.state import StateDirectory, write_json
from wend.cli.tally import WAIT
from wend.documents import parse_definition
from wend.errors import Conflict
from wend.journeys.definition import JourneyDefinition

START_DELAY = timedelta(seconds=2)

STARTS_PER_SECOND = 18
"""About what a development server and two cores manage, each run with its first mail; sets when the launch is."""


class OtherPlan(Conflict):
    """The directory has a demo with another number of people."""

    def __init__(self, directory: Path, members: int) -> None:
        super().__init__(
            f"The demo in {str(directory)!r} was begun with {members} members. "
            f"Go on with it (--members {members}), or take another directory."
        )


@dataclass(frozen=True)
class Plan:
    """What a demo is, for as long as its directory is there.

    Attributes:
        members: People in the segment.
        window: Seconds that they have to click.
        port: The API's; it is in the links of mails.
    """

    members: int
    window: int
    port: int

    @classmethod
    def of(cls, state: StateDirectory, members: int, window: int, port: int) -> Self:
        """Return the plan that was begun in this directory, or begin one.

        Raises:
            OtherPlan: The one that was begun has another number of members.
        """
        file = _plan_file(state)
        if file.exists():
            plan = cls.read(state)
            if plan.members != members:
                raise OtherPlan(state.path, plan.members)
            return plan
        plan = cls(members, window, port or _free_port())
        write_json(file, asdict(plan))
        return plan

    @classmethod
    def read(cls, state: StateDirectory) -> Self:
        """Return the plan that was begun in this directory."""
        return cls(**json.loads(_plan_file(state).read_text()))

    @property
    def patience(self) -> float:
        """Seconds after which a demo is stuck: far more than it takes, also with a process killed on the way."""
        return 150 + 2 * self.window + self.members / 3

    def journey(self, now: datetime) -> JourneyDefinition:
        """Return the reference journey with short waits, to be published now."""
        document = read_sample(f"{REFERENCE}.journey")
        document["entry"]["schedule"]["start"] = {"after_publish": f"PT{START_DELAY.seconds}S"}
        step(document, WAIT)["within"] = f"PT{self.window}S"
        launch = now + START_DELAY + timedelta(seconds=5 + self.members / STARTS_PER_SECOND)
        step(document, "launch-day")["at"] = f"{launch:%Y-%m-%dT%H:%M:%SZ}"
        return parse_definition(document)


def _plan_file(state: StateDirectory) -> Path:
    return state.path / "demo.json"


def _free_port() -> int:
    with listen(LOCAL, 0) as listener:
        port: int = listener.getsockname()[1]
        return port
