"""What is answered about journeys."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from api.errors import ProblemItem
from api.model import In, Out
from wend.entries.audience import MOST_COMING, Audience
from wend.entries.reading import EntryState
from wend.entries.timetable import Ahead
from wend.journeys.occurrences import Occurrence, say_clock_change
from wend.journeys.walltime import ClockChange
from wend.lifecycle.reading import JourneySummary
from wend.profiles.model import Profile

State = Literal["draft", "scheduled", "live", "paused", "closed", "finished", "stopped"]

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
    """One occasion on which members are taken in."""

    key: str = Field(
        description="Its name: nominal local time of wall-clock times, the instant of elapsed ones.",
        examples=["2027-03-28T02:30"],
    )
    at: datetime = Field(description="Its instant, UTC.", examples=["2027-03-28T01:00:00Z"])
    local: datetime = Field(description="What the clocks of its zone show.", examples=["2027-03-28T03:00:00+02:00"])
    time_zone: str = Field(description="The journey's.", examples=["Europe/Paris"])
    clock_change: ClockChange | None = Field(description="The clocks skip its nominal time that day, or show it twice.")
    note: str | None = Field(description="What follows from that, in words.")

    @classmethod
    def of(cls, occurrence: Occurrence, zone: ZoneInfo) -> Self:
        """Return how an occurrence is shown."""
        return cls(
            key=occurrence.key,
            at=occurrence.at,
            local=occurrence.at.astimezone(zone),
            time_zone=zone.key,
            clock_change=occurrence.clock_change,
            note=say_clock_change(occurrence, zone),
        )


class PauseOut(Out):
    """What was chosen for a pause."""

    entries: Literal["drop", "queue"] = Field(description="What becomes of whoever would enter meanwhile.")
    waits: Literal["run", "freeze"] = Field(description="What waits for a duration do meanwhile.")
    rate: int = Field(description="Held runs woken per second when the journey goes on.")
    since: datetime | None = Field(description="When it began.")


def _say_rate(rate: object) -> object:
    return f"{rate}/s" if isinstance(rate, int) else rate


class JourneyOut(Out):
    """A journey. `version` is the newest published one, 0 if there is none yet."""

    key: str
    name: str
    description: str
    state: State
    version: int
    draft_revision: int
    rate: Annotated[str | None, BeforeValidator(_say_rate)] = Field(
        description="Profiles starting per second, where that was changed since the newest version; null: as it says.",
        examples=["100/s"],
    )
    pause: PauseOut | None = Field(description="While it is paused.")
    resume_at: datetime | None = Field(description="When it goes on by itself.")
    first_published_at: datetime | None
    closes_at: datetime | None = Field(description="When its window ends, and it closes by itself.")
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class JourneyWithOccurrences(JourneyOut):
    """A journey, and when it takes members in next."""

    next_occurrences: list[OccurrenceOut] = Field(description=f"At most {MOST_COMING}.")

    @classmethod
    def of(cls, journey: JourneySummary, ahead: Ahead | None) -> Self:
        """Return how a journey is shown by itself."""
        shown = JourneyOut.model_validate(journey).model_dump()
        coming = [OccurrenceOut.of(each, ahead.version.zone) for each in ahead.coming[:MOST_COMING]] if ahead else []
        return cls(**shown, next_occurrences=coming)


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
    moved_in: int = Field(
        description="Runs moved here from another version: with `entered`, they are inside, at an end, or moved on."
    )
    moved_out: int = Field(description="Runs moved to another version.")
    held: int = Field(description="Runs that wait for the journey's pause to end.")
    pending: int = Field(description="Runs that have not made their first move.")
    inside: int
    outcomes: dict[str, int] = Field(description="Ended runs, by outcome and reason.")
    messages: dict[str, int] = Field(description="In the ledger, by state.")
    clicks: dict[str, int] = Field(description="`counted`, `late`, and those that do not count by why.")
    steps: list[StepFiguresOut]


class EntryOut(Out):
    """One occasion on which a journey took people in, or did not. `members` = `entered` + everything in `excluded`."""

    id: UUID
    journey: str
    version: int
    occurrence: str
    kind: Literal["segment", "joiners", "api"] = Field(
        description="`joiners`: those who were found between two occurrences; `api`: a start of one profile."
    )
    state: EntryState = Field(
        description="`failing`: its segments cannot be read, and are tried again; `open` until every run has its "
        "workflow; `done`; `failed` by a defect. `missed`, `skipped`: it took nobody in."
    )
    due_at: datetime
    opened_at: datetime = Field(description="Or when it was written down.")
    finished_at: datetime | None
    reason: str | None = Field(description="Why it was missed or skipped.")
    error: str | None = Field(description="Of the last attempt to read its segments that failed.")
    attempts: int = Field(description="To read its segments, that failed.")
    members: int = Field(description="Counted from the segments themselves.")
    entered: int = Field(description="Runs.")
    started: int = Field(description="Runs that have their workflow.")
    excluded: dict[str, int] = Field(description="By reason.")


class TakeIn(In):
    """An occurrence that was missed or skipped, and is to be taken in after all."""

    occurrence: str = Field(
        pattern=r"^[A-Za-z0-9/:+-]{1,100}$", description="As its entry names it.", examples=["2026-12-01T09:00"]
    )


class TakenIn(Out):
    """The occurrence is taken in within moments, or when Temporal is back; its entry is made then."""

    journey: str
    occurrence: str


class AudienceOut(Out):
    """Who would enter if the draft took its segments in now, and when. `members` = `entering` + all of `excluded`."""

    members: int = Field(description="Where joiners are looked for: those whom the journey has not seen yet.")
    entering: int
    excluded: dict[str, int] = Field(description="By reason.")
    sample: list[Profile] = Field(description="Some of those who would enter, drawn at random.")
    as_if_published_at: datetime | None = Field(
        description="The journey was never published; its occurrences are told as if it were at this instant."
    )
    next_occurrences: list[OccurrenceOut] = Field(
        description=f"At most {MOST_COMING}. An only occurrence whose instant has passed is due at once."
    )

    @classmethod
    def of(cls, audience: Audience, sample: list[Profile], zone: ZoneInfo, now: datetime) -> Self:
        """Return how an audience is shown."""
        return cls(
            members=audience.members,
            entering=audience.entering,
            excluded=audience.excluded,
            sample=sample,
            as_if_published_at=now if audience.published_at is None else None,
            next_occurrences=[OccurrenceOut.of(each, zone) for each in audience.coming],
        )
