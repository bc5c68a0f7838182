"""What is answered about journeys."""

from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field

from api.errors import ProblemItem
from api.model import Out
from wend.entries.audience import Audience
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.reading import JourneySummary
from wend.profiles.model import Profile

State = Literal["draft", "scheduled", "live", "paused", "closed", "finished", "stopped"]

MOST_COMING: Final = 10

EXAMPLES: Final[dict[str, Any]] = {
    "the reference journey": {
        "key": "product-launch",
        "name": "Product launch announcement",
        "time_zone": "Europe/Paris",
        "entry": {
            "segment": "most-valuable-customers",
            "exclude": ["employees"],
            "namespace": "email",
            "frequency": "once",
            "schedule": {"start": {"after_publish": "PT1H"}},
            "rate": "500/s",
        },
        "steps": [
            {"id": "announce", "type": "send_email", "message": "product-announcement", "to": "email"},
            {
                "id": "interested",
                "type": "wait_for_click",
                "sent_by": "announce",
                "link": "product-details",
                "within": "P1D",
                "on_click": "launch-day",
                "on_timeout": "exit",
            },
            {"id": "launch-day", "type": "wait_until", "at": "2026-12-10T09:00"},
            {"id": "launched", "type": "send_sms", "message": "product-launched", "to": "phone"},
        ],
    }
}


class DraftSaved(Out):
    """The draft is saved; `problems` are what stands in the way of publishing it."""

    key: str
    revision: int
    problems: list[ProblemItem]


class Checked(Out):
    """Everything that stands in the way of publishing, and every warning."""

    publishable: bool
    problems: list[ProblemItem]


class PublishedOut(Out):
    """The newest version; `new` is false where the draft was what is published already."""

    journey: str
    version: int
    new: bool
    state: State
    warnings: list[ProblemItem]


class EndedOut(Out):
    """The journey's new state, and how many runs were inside."""

    journey: str
    state: State
    runs: int


class OccurrenceOut(Out):
    """One occasion on which members are taken in: its name, and its instant."""

    key: str
    at: datetime


class JourneyOut(Out):
    """A journey. `version` is the newest published one, 0 if there is none yet."""

    key: str
    name: str
    state: State
    version: int
    draft_revision: int
    first_published_at: datetime | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class JourneyWithOccurrences(JourneyOut):
    """A journey, and when it takes members in next."""

    next_occurrences: list[OccurrenceOut] = Field(description=f"At most {MOST_COMING}.")

    @classmethod
    def of(cls, journey: JourneySummary, coming: list[Occurrence]) -> Self:
        """Return how a journey is shown by itself."""
        shown = JourneyOut.model_validate(journey).model_dump()
        next_occurrences = [OccurrenceOut.model_validate(each) for each in coming[:MOST_COMING]]
        return cls(**shown, next_occurrences=next_occurrences)


class VersionOut(Out):
    """A published version, and the version of each message that it sends; it never changes."""

    version: int
    content_hash: str
    messages: dict[str, int]
    published_at: datetime


class VersionWithDefinition(VersionOut):
    """A published version with its definition."""

    definition: dict[str, Any] = Field(description="A journey definition: `/v1/schema/journey` is its schema.")


class StepFiguresOut(Out):
    """One step. `entered` = `here` + everything in `left`."""

    step: str
    entered: int
    here: int
    left: dict[str, int] = Field(description="Counted by why.")
    messages: dict[str, int] = Field(description="In the ledger, by state.")
    clicks: dict[str, int] = Field(description="`counted`, `late`, and those that do not count by why.")


class FiguresOut(Out):
    """The figures of a journey, or of one of its versions. `members` = `entered` + everything in `excluded`."""

    journey: str
    version: int | None
    state: State
    members: int = Field(description="Counted from the segment at each entry, and summed.")
    entered: int = Field(description="Runs.")
    excluded: dict[str, int] = Field(description="By reason.")
    pending: int = Field(description="Runs that have not made their first move.")
    inside: int
    outcomes: dict[str, int] = Field(description="Ended runs, by outcome and reason.")
    messages: dict[str, int] = Field(description="In the ledger, by state.")
    clicks: dict[str, int] = Field(description="`counted`, `late`, and those that do not count by why.")
    steps: list[StepFiguresOut]


class EntryOut(Out):
    """One occasion on which a journey took people in. `members` = `entered` + everything in `excluded`."""

    id: UUID
    journey: str
    version: int
    occurrence: str
    kind: Literal["segment", "api"]
    state: Literal["open", "done", "failed"] = Field(description="`open` until every run has its workflow.")
    due_at: datetime
    opened_at: datetime
    finished_at: datetime | None
    error: str | None
    members: int = Field(description="Counted from the segment itself.")
    entered: int = Field(description="Runs.")
    started: int = Field(description="Runs that have their workflow.")
    excluded: dict[str, int] = Field(description="By reason.")


class AudienceOut(Out):
    """Who would enter if the draft took its segment in now. `members` = `entering` + everything in `excluded`."""

    members: int
    entering: int
    excluded: dict[str, int] = Field(description="By reason.")
    sample: list[Profile] = Field(description="Some of those who would enter, drawn at random.")

    @classmethod
    def of(cls, audience: Audience, sample: list[Profile]) -> Self:
        """Return how an audience is shown."""
        return cls(members=audience.members, entering=audience.entering, excluded=audience.excluded, sample=sample)
