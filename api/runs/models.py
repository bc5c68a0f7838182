"""What is asked of runs, and what is answered."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from api.model import IdentityIn, In, Out, Properties
from wend.journeys.model import Key
from wend.runs.reading import RunPath, RunSummary

State = Literal["pending", "running", "completed", "exited", "stopped", "failed"]

EXAMPLES: Final[dict[str, Any]] = {
    "by the caller's id": {
        "profile": {"namespace": "external_id", "value": "crm-1001"},
        "properties": {"order": "A-17"},
    }
}


class StartIn(In):
    """Who enters, by Wend's id or by an identity that only they have; and what their run is given."""

    profile_id: UUID | None = None
    profile: IdentityIn | None = None
    properties: Properties

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if (self.profile_id is None) == (self.profile is None):
            raise ValueError("give either profile_id or profile")
        return self


class StartedOut(Out):
    """A run that is to start; its workflow follows within moments, or when Temporal is back."""

    id: UUID
    journey: str
    version: int
    profile_id: UUID
    entry_id: UUID
    entry_number: int = Field(description="Ordinal of the run per journey and profile, from 1.")


class RunOut(Out):
    """Where a run is. `step` is null before its first move and after its end."""

    id: UUID
    journey: str
    version: int
    profile_id: UUID
    entry_id: UUID
    entry_number: int
    state: State
    step: str | None
    parked_until: datetime | None
    reason: str | None
    error: str | None
    held_at: datetime | None = Field(
        description="Since when it waits for its journey's pause to end, or to be woken after that or after a move."
    )
    workflow_id: str = Field(
        description="In the Temporal UI.", examples=["run/product-launch/3f2b6c1e-8f0a-4f6e-9d3b-5a1c2e4f6a7b/1"]
    )
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, run: RunSummary) -> Self:
        """Return how a run is shown."""
        return cls.model_validate(run)


class TakeOut(In):
    """Of which journey somebody is taken out; an empty body: of all that they are in."""

    journey: Key | None = Field(default=None, description="Null: of all.", examples=["product-launch"])


class TakenOutOut(Out):
    """Who was taken out, and the runs that ended by it, as `exited` for the reason `taken_out`."""

    profile_id: UUID
    runs: list[UUID]


class MoveOut(Out):
    """One move; `from_step` is null at the entry, `to_step` is `exit` at the end."""

    number: int
    at: datetime
    from_step: str | None
    to_step: str
    why_kind: str = Field(examples=["clicked"])
    why: dict[str, Any] = Field(description="What it was decided on.")


class SentOut(Out):
    """One send, as the ledger has it."""

    id: UUID
    step: str
    visit: int
    message: str
    message_version: int
    channel: Literal["email", "sms"]
    state: Literal["claimed", "accepted", "refused", "uncertain", "released"]
    tries: int
    claimed_at: datetime
    settled_at: datetime | None
    reason: str | None
    detail: str | None
    reference: str | None = Field(description="The provider's own id.")


class ClickOut(Out):
    """One click on a message of the run."""

    id: UUID
    at: datetime
    message_id: UUID
    link: str | None
    counted: bool
    note: str | None = Field(description="Why it does not count: `head`, `bot`, …")
    late_by: timedelta | None = Field(description="By how much it missed its wait's deadline.")


class RunWithPath(RunOut):
    """A run with everything that is known of it."""

    properties: Mapping[str, Any]
    moves: list[MoveOut]
    messages: list[SentOut]
    clicks: list[ClickOut]

    @classmethod
    def of_path(cls, path: RunPath) -> Self:
        """Return how a run is shown with its path."""
        return cls(
            **RunOut.of(path.run).model_dump(),
            properties=path.properties,
            moves=[MoveOut.model_validate(each) for each in path.moves],
            messages=[SentOut.model_validate(each) for each in path.messages],
            clicks=[ClickOut.model_validate(each) for each in path.clicks],
        )
