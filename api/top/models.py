"""What is answered about how everything stands."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, field_validator

from api.journeys.models import State
from api.model import Out


class StandingOut(Out):
    """How many runs are at a step."""

    step: str
    here: int


class AtWorkOut(Out):
    """A journey that is not over. `inside` = `pending` + all of `steps`."""

    key: str
    name: str
    state: State
    version: int = Field(description="The newest published one, 0 if there is none yet.")
    inside: int = Field(description="Runs that have not ended.")
    held: int = Field(
        description="Those of them that wait for the pause to end, or to be woken after it or after they were moved."
    )
    pending: int = Field(description="Those of them that have not made their first move.")
    steps: list[StandingOut] = Field(
        description="Where somebody is: in the newest version's order, then steps that only older versions have."
    )
    sent_last_minute: int = Field(description="Messages that went to a provider.")
    failed: int = Field(description="Runs that failed, ever.")
    overdue_seconds: float = Field(
        validation_alias="overdue",
        description="For how long the run is due that is due longest; 0 while none is for more than 5 seconds. "
        "Held ones do not count.",
    )
    missed: int = Field(description="Occurrences that took nobody in.")
    resume_at: datetime | None = Field(description="When it goes on by itself.")

    @field_validator("overdue_seconds", mode="before")
    @classmethod
    def _in_seconds(cls, overdue: Any) -> Any:
        return overdue.total_seconds() if isinstance(overdue, timedelta) else overdue


class TopOut(Out):
    """Every journey that is not over, by key."""

    at: datetime = Field(description="The instant that it is told of.")
    items: list[AtWorkOut]
