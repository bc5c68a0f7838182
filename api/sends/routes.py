"""`/v1/sent-messages` and `/v1/provider-events`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.actor import UNNAMED, Actor
from api.bodies import MOST_BATCH_BYTES, reads
from api.errors import declares
from api.paging import MOMENTS, Page, Paging, moment
from api.parts import Parts
from api.sends.models import (
    EXAMPLES,
    SETTLE_EXAMPLES,
    KnownMessageOut,
    ProviderEventIn,
    ProviderEvents,
    ReceivedAnswer,
    ReceivedOut,
    SentMessageOut,
    SettleIn,
    read_provider_events,
)
from wend.errors import NotFound
from wend.journeys.model import KEY_PATTERN
from wend.lifecycle.reading import read_journey
from wend.sends.operating import NotResent, NotUncertain, ResendUnderWay, ask_resend, settle_send
from wend.sends.provider_events import record_provider_events
from wend.sends.reading import page_sent, read_sent
from wend.sends.standing import State

router = APIRouter(tags=["sent messages"])

ProviderEventsBody = reads(
    ProviderEventIn | ProviderEvents, parse=read_provider_events, most=MOST_BATCH_BYTES, examples=EXAMPLES
)


@router.post("/provider-events")
def record_what_providers_tell(
    events: Annotated[list[ProviderEventIn], ProviderEventsBody], parts: Parts
) -> ReceivedAnswer:
    """Take in what providers tell of messages: one event, or a list of up to 500, in any order, any number of times.

    A document that does not hold is refused whole. An event of a message that is not known is left out and says so,
    since webhooks repeat for ever what is refused. Events settle uncertain sends; they move no run.
    """
    told = [event.told() for event in events]
    with parts.database.write() as connection:
        received = record_provider_events(connection, told, parts.clock())
    return ReceivedAnswer(items=[ReceivedOut.of(each) for each in received])


@router.get("/sent-messages", responses=declares(NotFound))
def list_sent_messages(
    parts: Parts,
    paging: Paging,
    state: State | None = None,
    journey: Annotated[str | None, Query(pattern=KEY_PATTERN)] = None,
    run_id: UUID | None = None,
    profile_id: UUID | None = None,
) -> Page[SentMessageOut]:
    """List sent messages, the latest first, narrowed by whatever is given."""
    with parts.database.read() as connection:
        if journey is not None:
            read_journey(connection, journey)
        found = page_sent(
            connection,
            state=state,
            journey=journey,
            run_id=run_id,
            profile_id=profile_id,
            before=paging.after("sent-messages", MOMENTS),
            limit=paging.more,
        )
    return paging.page("sent-messages", found, lambda sent: moment(sent.claimed_at, sent.id), SentMessageOut.of)


@router.get("/sent-messages/{id}", responses=declares(NotFound))
def get_sent_message(id: UUID, parts: Parts) -> KnownMessageOut:
    """Return a sent message with what its provider told."""
    with parts.database.read() as connection:
        return KnownMessageOut.of_known(read_sent(connection, id))


@router.post("/sent-messages/{id}/settle", responses=declares(NotFound, NotUncertain))
def settle_sent_message(
    id: UUID,
    settling: Annotated[SettleIn, reads(SettleIn, examples=SETTLE_EXAMPLES)],
    parts: Parts,
    by: Actor = UNNAMED,
) -> KnownMessageOut:
    """Say how an uncertain send ended. What its provider tells later still counts more; its run is not moved."""
    with parts.database.write() as connection:
        settle_send(connection, id, settling.as_, parts.clock(), reason=settling.reason, by=by)
        return KnownMessageOut.of_known(read_sent(connection, id))


@router.post(
    "/sent-messages/{id}/resend", status_code=202, responses=declares(NotFound, NotUncertain, ResendUnderWay, NotResent)
)
def resend_message(id: UUID, parts: Parts, by: Actor = UNNAMED) -> KnownMessageOut:
    """Have an uncertain message sent once more, to the person as they are now: they may get it twice."""
    with parts.database.write() as connection:
        ask_resend(connection, id, parts.clock(), by=by)
        return KnownMessageOut.of_known(read_sent(connection, id))
