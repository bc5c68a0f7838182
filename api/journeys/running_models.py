"""What is asked of and answered about journeys that run: pauses, light changes, moves."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.journeys.models import State
from api.model import In, Instant, Out
from wend.journeys.differing import Difference
from wend.journeys.entry import Rate
from wend.journeys.model import Key
from wend.lifecycle import moving, pausing
from wend.lifecycle.moving import MovedRuns, Moving
from wend.lifecycle.pausing import Pause, PausedJourney

WakeRate = Annotated[int, Field(ge=1, le=999_999)]
"""Runs woken per second."""

_Number = Annotated[int, Field(ge=1, le=2**31 - 1)]

PAUSE_EXAMPLES: Final[Mapping[str, Any]] = {
    "until somebody resumes it": {},
    "over the holidays": {
        "entries": "queue",
        "waits": "freeze",
        "rate": 50,
        "resume_at": "2027-01-04T08:00:00Z",
    },
}
RESUME_EXAMPLES: Final[Mapping[str, Any]] = {
    "now, gently": {"rate": 20},
    "later": {"at": "2027-01-04T08:00:00Z"},
}
CHANGE_EXAMPLES: Final[Mapping[str, Any]] = {
    "its rate": {"rate": "100/s"},
    "what it is called": {"name": "Product launch, second wave", "description": "For those who asked."},
}
MOVE_EXAMPLES: Final[Mapping[str, Any]] = {
    "everybody": {"to": 2},
    "those who have not come far": {
        "to": 3,
        "from_versions": [1],
        "at_or_before": "interested",
        "steps": {"interested": "still-interested"},
        "rate": 50,
    },
}


class PauseIn(In):
    """How a journey is paused; an empty body pauses it as the defaults say."""

    entries: Literal["drop", "queue"] = Field(
        default="drop", description="Whoever would enter meanwhile does not (`drop`), or starts afterwards (`queue`)."
    )
    waits: Literal["run", "freeze"] = Field(
        default="run", description="Waits for a duration go on, or stand still meanwhile; dates stay dates."
    )
    rate: WakeRate = Field(
        default=pausing.DEFAULT_RATE, description="Held runs woken per second when the journey goes on."
    )
    resume_at: Instant | None = Field(default=None, description="When it goes on by itself.")

    def chosen(self) -> Pause:
        """Return what was chosen."""
        return Pause(self.entries, self.waits, self.rate)


class ResumeIn(In):
    """How a journey goes on; an empty body lets it go on now, at the rate that was chosen with the pause."""

    rate: WakeRate | None = Field(default=None, description="Held runs woken per second, instead of the pause's.")
    at: Instant | None = Field(default=None, description="When it is to go on; it stays paused until then.")

    @model_validator(mode="after")
    def _is_now_or_later(self) -> Self:
        if self.rate is not None and self.at is not None:
            raise ValueError("give either rate or at: a later resumption takes the rate of the pause")
        return self


class PausedOut(Out):
    """The journey's state now, and how many runs are inside, and held."""

    journey: str
    state: State
    inside: int
    held: int = Field(description="Runs that wait for the pause to end, or to be woken now that it has.")
    resume_at: datetime | None = Field(description="When it goes on by itself.")

    @classmethod
    def of(cls, paused: PausedJourney, resume_at: datetime | None) -> Self:
        """Return how a paused or resumed journey is shown."""
        return cls.model_validate({**asdict(paused), "resume_at": resume_at})


class ChangeIn(In):
    """Light changes: what is not given, or null, stays. Publishing puts the new version's own in their place."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=4000)
    rate: Rate | None = Field(default=None, description="Profiles starting per second.", examples=["100/s"])

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.name is None and self.description is None and self.rate is None:
            raise ValueError("give at least one of name, description and rate")
        return self


class ChoiceIn(In):
    """The version of a message that is sent from now on."""

    version: _Number = Field(description="A ready version of the message.")


class ChoiceOut(Out):
    """Which version of a message is sent from now on."""

    journey: str
    message: str
    version: int
    versions: int = Field(description="How many of the journey's versions send it.")


class DifferenceOut(Out):
    """One thing that differs."""

    path: str = Field(description="Where: field names and the ids of steps.", examples=["steps.announce.message"])
    kind: Literal["added", "removed", "changed", "moved"] = Field(
        description="`moved`: another step stands below it, and it leads there where it has no `next`."
    )
    before: Any = Field(description="In the one; null where it was added. Of `moved`: the step below.")
    after: Any = Field(description="In the other; null where it was removed. Of `moved`: the step below.")


_Side = int | Literal["draft"]


def _read_side(text: str) -> _Side:
    return "draft" if text == "draft" else int(text)


class DiffOut(BaseModel):
    """What has to be changed in the one to make it the other."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    from_: _Side = Field(alias="from")
    to: _Side
    differences: list[DifferenceOut]

    @classmethod
    def of(cls, one: str, other: str, found: list[Difference]) -> Self:
        """Return how the differences are shown between what the query calls ``one`` and ``other``."""
        return cls(
            from_=_read_side(one), to=_read_side(other), differences=[DifferenceOut.model_validate(d) for d in found]
        )


class MoveIn(In):
    """Which runs are to be moved to another version, and where to."""

    to: _Number = Field(description="The version.")
    from_versions: tuple[_Number, ...] = Field(
        default=(), max_length=1000, description="Only runs on these; empty: on all others."
    )
    at_or_before: Key | None = Field(
        default=None, description="Only runs at this step, or at one from which it can still be reached."
    )
    steps: dict[Key, Key] = Field(
        default_factory=dict,
        max_length=1000,
        description="Where a step is gone: its id → the id of the one that takes its place.",
    )
    rate: WakeRate = Field(default=moving.DEFAULT_RATE, description="Moved runs woken per second.")

    def chosen(self) -> Moving:
        """Return what was chosen."""
        return Moving(self.to, self.from_versions, self.at_or_before, dict(self.steps))


class MovingOut(Out):
    """Runs that are moved from one place."""

    version: int
    step: str | None = Field(description="Null: they have not begun.")
    runs: int


class MovedOut(Out):
    """What was moved, or would be."""

    journey: str
    to: int
    runs: int = Field(description="All of `moving`.")
    moving: list[MovingOut]
    sending: int = Field(
        description="Runs that fit and are sending at this moment: they stay, and can be moved once they wait."
    )

    @classmethod
    def of(cls, moved: MovedRuns) -> Self:
        """Return how a move is shown."""
        places = [MovingOut(version=version, step=step, runs=count) for version, step, count in moved.moving]
        return cls(journey=moved.journey, to=moved.to, runs=moved.count, moving=places, sending=moved.sending)
