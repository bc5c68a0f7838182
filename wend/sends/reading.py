"""The ledger as operators read it: sends, the newest first, and one with all that is known of it. No address."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.storage.tables import provider_events, sent_messages


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One send.

    Attributes:
        step: Of the version that the run was on then.
        tries: How often its provider was called, or was about to be.
        claimed_at: When the last try began.
        settled_at: When the last try ended, or an operator settled it.
        reason: Why it stands so.
        reference: What its provider calls it.
        resend_asked_at: Since when it waits to be sent again, or is.
    """

    id: UUID
    run_id: UUID
    journey: str
    version: int
    profile_id: UUID
    step: str
    visit: int
    message: str
    message_version: int
    channel: str
    state: str
    tries: int
    claimed_at: datetime
    settled_at: datetime | None
    reason: str | None
    detail: str | None
    reference: str | None
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    bounced_at: datetime | None
    rejected_at: datetime | None
    resend_asked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """One event that the provider told of a message."""

    id: str
    kind: str
    occurred_at: datetime
    received_at: datetime
    detail: str | None


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """One send with the events that its provider told, in the order in which they came."""

    sent: SentMessage
    events: Sequence[ToldEvent]


def page_sent(
    connection: Connection,
    *,
    state: str | None = None,
    journey: str | None = None,
    run_id: UUID | None = None,
    profile_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[SentMessage]:
    """Return sends, the newest claim first, narrowed by whatever is given.

    Args:
        connection: Where they are.
        state: How they stand.
        journey: Its key.
        run_id: Of this run.
        profile_id: To whom.
        before: ``claimed_at`` and ``id`` of a send: those behind it.
        limit: The most that are returned.
    """
    query = sa.select(sent_messages).order_by(sent_messages.c.claimed_at.desc(), sent_messages.c.id.desc())
    wanted = {
        sent_messages.c.journey_key: journey,
        sent_messages.c.run_id: run_id,
        sent_messages.c.profile_id: profile_id,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if state is not None:
        # Written out, not bound: SQLite uses a partial index only where the statement itself says its condition.
        query = query.where(sent_messages.c.state == sa.bindparam("state", state, literal_execute=True))
    if before is not None:
        at, message_id = before
        same = sa.and_(sent_messages.c.claimed_at == at, sent_messages.c.id < message_id)
        query = query.where(sa.or_(sent_messages.c.claimed_at < at, same))
    return [_sent(row) for row in connection.execute(query.limit(limit))]


def read_sent(connection: Connection, message_id: UUID) -> KnownMessage:
    """Return a send with what its provider told.

    Raises:
        NotFound: There is no such message.
    """
    row = connection.execute(sa.select(sent_messages).where(sent_messages.c.id == message_id)).one_or_none()
    if row is None:
        raise NotFound("sent message", message_id, "Those that are uncertain: wend messages --uncertain")
    told = sa.select(provider_events).where(provider_events.c.message_id == message_id).order_by(provider_events.c.id)
    events = [
        ToldEvent(each.key, each.kind, each.occurred_at, each.received_at, each.detail)
        for each in connection.execute(told)
    ]
    return KnownMessage(_sent(row), events)


def _sent(row: sa.Row[Any]) -> SentMessage:
    return SentMessage(
        row.id,
        row.run_id,
        row.journey_key,
        row.version,
        row.profile_id,
        row.step,
        row.visit,
        row.message_key,
        row.message_version,
        row.channel,
        row.state,
        row.tries,
        row.claimed_at,
        row.settled_at,
        row.reason,
        row.detail,
        row.reference,
        row.delivered_at,
        row.opened_at,
        row.clicked_at,
        row.bounced_at,
        row.rejected_at,
        row.resend_asked_at,
    )
