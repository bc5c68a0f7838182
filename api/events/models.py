"""What is asked of events, and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from api.bodies import parse_as
from api.model import IdentityIn, In, Instant, Out, Properties
from api.parts import ApiParts
from wend.events.recording import RecordedEvent
from wend.journeys.state import CLICK

MOST_EVENTS: Final = 500

EXAMPLES: Final[dict[str, Any]] = {
    "one": {
        "id": "shop-order-A-17",
        "profile": {"namespace": "external_id", "value": "crm-1001"},
        "name": "order_placed",
        "occurred_at": "2026-12-01T09:00:00Z",
        "properties": {"total": 99.5},
    }
}


class EventIn(In):
    """Something that happened to a person."""

    id: str = Field(min_length=1, max_length=255, description="The sender's own; the same event again changes nothing.")
    profile_id: UUID | None = None
    profile: IdentityIn | None = None
    name: str = Field(min_length=1, max_length=200, examples=["order_placed"])
    occurred_at: Instant | None = Field(default=None, description="Kept and shown; decides nothing.")
    properties: Properties

    @field_validator("name")
    @classmethod
    def _is_not_ours(cls, name: str) -> str:
        if name == CLICK:
            raise ValueError(f"{CLICK!r} is the name of clicks on links in our own messages; choose another")
        return name

    @model_validator(mode="after")
    def _is_of_somebody(self) -> Self:
        if (self.profile_id is None) == (self.profile is None):
            raise ValueError("give either profile_id or profile")
        return self


Events = Annotated[list[EventIn], Field(min_length=1, max_length=MOST_EVENTS)]


def read_events(document: Any, parts: ApiParts) -> list[EventIn]:
    """Return the events in a body that holds a list of them or one.

    Raises:
        InvalidDocument: Every problem.
    """
    if isinstance(document, list):
        found: list[EventIn] = parse_as(Events, document, "The batch", named=EventIn)
        return found
    return [parse_as(EventIn, document, "The event")]


class EventOut(Out):
    """An event as it is stored; `new` is false where it had been before."""

    id: str
    event_id: UUID
    at: datetime = Field(description="Its stamp, which decides.")
    new: bool

    @classmethod
    def of(cls, event: RecordedEvent) -> Self:
        """Return how an event is shown."""
        return cls(id=event.key, event_id=event.id, at=event.at, new=event.new)


class EventsAnswer(Out):
    """One item for each event, in the order given."""

    items: list[EventOut]
