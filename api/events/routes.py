"""`/v1/events`."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from api.bodies import MOST_BATCH_BYTES, reads
from api.errors import declares
from api.events.models import EXAMPLES, EventIn, EventOut, Events, EventsAnswer, read_events
from api.parts import ApiParts, Parts
from wend.errors import NotFound
from wend.events.recording import EventIdUsedOtherwise, IncomingEvent
from wend.profiles.resolving import AmbiguousIdentity, resolve

router = APIRouter(prefix="/events", tags=["events"])

EventsBody = reads(EventIn | Events, parse=read_events, most=MOST_BATCH_BYTES, examples=EXAMPLES)


@router.post("", responses=declares(NotFound, AmbiguousIdentity, EventIdUsedOtherwise))
def record_events(events: Annotated[list[EventIn], EventsBody], parts: Parts) -> EventsAnswer:
    """Take events in: one, or a list of up to 500; all of them or none."""
    people = _resolve(events, parts)
    incoming = [
        IncomingEvent(event.id, person, event.name, event.occurred_at, event.properties)
        for event, person in zip(events, people, strict=True)
    ]
    return EventsAnswer(items=[EventOut.of(event) for event in parts.events.record(incoming)])


def _resolve(events: Sequence[EventIn], parts: ApiParts) -> list[UUID]:
    """Return whose events they are."""
    found: dict[tuple[str, str], UUID] = {}
    with parts.database.read() as connection:
        for event in events:
            if event.profile_id is None and (named := _named(event)) not in found:
                found[named] = resolve(connection, *named, parts.default_region)
    return [event.profile_id or found[_named(event)] for event in events]


def _named(event: EventIn) -> tuple[str, str]:
    assert event.profile is not None, "one of the two is given"
    return event.profile.namespace, event.profile.value
