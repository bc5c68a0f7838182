"""What is asked of sent messages, what providers tell of them, and what is answered."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from api.bodies import parse_as
from api.model import In, Instant, Out
from api.parts import ApiParts
from wend.sends.provider_events import ProviderEvent, Received, Reception
from wend.sends.reading import KnownMessage, SentMessage
from wend.sends.standing import EventKind, State

MOST_EVENTS: Final = 500

EXAMPLES: Final[dict[str, Any]] = {
    "by our id": {
        "id": "sendwell/01J9Z8",
        "message_id": "0f3a1c5e-6a0b-5c0d-9d5e-2f4b6c8d0e1f",
        "kind": "delivered",
        "occurred_at": "2026-12-01T09:00:07Z",
    },
    "by the provider's": [
        {
            "id": "textwell/8841/1",
            "channel": "sms",
            "reference": "SM8841",
            "kind": "rejected",
            "occurred_at": "2026-12-01T09:00:09Z",
            "detail": "30005",
        }
    ],
}

SETTLE_EXAMPLES: Final[dict[str, Any]] = {"it went out": {"as": "accepted", "reason": "seen in the provider's log"}}


class ProviderEventIn(In):
    """One thing that a provider told of a message: of ours by `message_id`, or by `channel` and `reference`."""

    id: str = Field(
        min_length=1, max_length=255, description="The provider's own; the same event again changes nothing."
    )
    message_id: UUID | None = Field(default=None, description="Ours: `X-Wend-Message`, or the idempotency key.")
    channel: Literal["email", "sms"] | None = None
    reference: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="What the provider calls the message; a Message-ID or an idempotency key of ours will do.",
    )
    kind: EventKind
    occurred_at: Instant = Field(description="As the provider says; the earliest of each kind is kept.")
    detail: str | None = Field(
        default=None, max_length=2_000, description="A code, or words; kept without addresses and quotations."
    )

    @model_validator(mode="after")
    def _is_of_some_message(self) -> Self:
        by_reference = (self.channel is not None, self.reference is not None)
        if any(by_reference) == (self.message_id is not None) or any(by_reference) != all(by_reference):
            raise ValueError("give either message_id, or channel and reference")
        return self

    def told(self) -> ProviderEvent:
        """Return the event as the ledger takes it in."""
        if self.message_id is not None:
            return ProviderEvent(self.id, self.message_id, self.kind, self.occurred_at, self.detail)
        assert self.channel is not None
        assert self.reference is not None
        named = (self.channel, self.reference)
        return ProviderEvent(self.id, named, self.kind, self.occurred_at, self.detail)


ProviderEvents = Annotated[list[ProviderEventIn], Field(min_length=1, max_length=MOST_EVENTS)]


def read_provider_events(document: Any, parts: ApiParts) -> list[ProviderEventIn]:
    """Return the events in a body that holds a list of them or one.

    Raises:
        InvalidDocument: Every problem.
    """
    if isinstance(document, list):
        found: list[ProviderEventIn] = parse_as(ProviderEvents, document, "The batch", named=ProviderEventIn)
        return found
    return [parse_as(ProviderEventIn, document, "The event")]


class ReceivedOut(Out):
    """What became of one event."""

    id: str
    status: Reception = Field(
        description="`recorded`; `known`: it had come before; `used_otherwise`: its id came before with another event, "
        "which stays; `unknown_message`, `ambiguous_reference`: none, or several, are called so, and it is left out."
    )
    message_id: UUID | None = Field(description="Of the message that it tells of.")

    @classmethod
    def of(cls, received: Received) -> Self:
        """Return how it is shown."""
        return cls(id=received.key, status=received.status, message_id=received.message_id)


class ReceivedAnswer(Out):
    """One item for each event, in the order given."""

    items: list[ReceivedOut]


class SettleIn(In):
    """How an uncertain send ended, as the operator knows."""

    as_: Literal["accepted", "refused"] = Field(alias="as")
    reason: str | None = Field(
        default=None, min_length=1, max_length=200, description="For the audit log; nothing of a person belongs there."
    )


class SentMessageOut(Out):
    """One send, as the ledger has it. No address is in it."""

    id: UUID
    run_id: UUID
    journey: str
    version: int
    profile_id: UUID
    step: str
    visit: int
    message: str
    message_version: int
    channel: Literal["email", "sms"]
    state: State
    tries: int
    claimed_at: datetime = Field(description="When the last try began.")
    settled_at: datetime | None = Field(description="When the last try ended, or an operator settled it.")
    reason: str | None = Field(description="Why it stands so.", examples=["timed_out", "told_by_provider"])
    detail: str | None
    reference: str | None = Field(description="The provider's own id.")
    delivered_at: datetime | None = Field(description="This and those below: the earliest that the provider told.")
    opened_at: datetime | None
    clicked_at: datetime | None = Field(description="By the provider's own count; none of Wend's clicks.")
    bounced_at: datetime | None
    rejected_at: datetime | None
    resend_asked_at: datetime | None = Field(description="Since when it is being sent again; null: it is not.")

    @classmethod
    def of(cls, sent: SentMessage) -> Self:
        """Return how a send is shown."""
        return cls.model_validate(sent)


class ToldOut(Out):
    """One event that the provider told."""

    id: str
    kind: EventKind
    occurred_at: datetime
    received_at: datetime
    detail: str | None


class KnownMessageOut(SentMessageOut):
    """A send with every event that its provider told, in the order in which they came."""

    events: list[ToldOut]

    @classmethod
    def of_known(cls, known: KnownMessage) -> Self:
        """Return how it is shown."""
        events = [ToldOut.model_validate(each) for each in known.events]
        return cls(**SentMessageOut.of(known.sent).model_dump(), events=events)
