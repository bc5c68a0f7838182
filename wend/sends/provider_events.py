"""What providers tell of messages after they were sent: delivered, opened, clicked, bounced, rejected.

Stored as it came, each event once, and folded into the ledger as the earliest instant of each kind. Nothing of it
moves a run, and a click that a provider counted is none of ours.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.channels.scrub import scrub
from wend.sends.standing import EventKind, Standing, instant_of, stands, told
from wend.storage.database import chunks, insert_ignoring, lock_runs
from wend.storage.tables import provider_events, sent_messages

Channel = Literal["email", "sms"]

Reception = Literal["recorded", "known", "used_otherwise", "unknown_message", "ambiguous_reference"]
"""What became of an event.

``used_otherwise``: its id came before, with another event, which stays. ``unknown_message``: no send is called so; it
was not ours, or its provider was quicker than the outcome that names the reference. ``ambiguous_reference``: the
provider has called several messages so.
"""

_OUR_MESSAGE_ID: Final = re.compile(r"<?(?P<id>[0-9a-f]{32})@[^<>\s@]+>?", re.IGNORECASE)
_SMTP_CODES: Final = re.compile(r"(?:[245]\d\d\b[ -]?)?(?:[245]\.\d{1,3}\.\d{1,3}\b ?)?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One thing that a provider told.

    Attributes:
        key: Its own id of the event: the same one again changes nothing.
        message: Our id of the message; or the channel, and how the provider calls it there.
        kind: What happened to the message.
        occurred_at: When, as the provider says.
        detail: Its words; stored without addresses and quotations.
    """

    key: str
    message: UUID | tuple[Channel, str]
    kind: EventKind
    occurred_at: datetime
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What became of an event, and of which message it told."""

    key: str
    status: Reception
    message_id: UUID | None


def record_provider_events(connection: Connection, incoming: Sequence[ProviderEvent], now: datetime) -> list[Received]:
    """Store events and settle what they tell of; return what became of each, in the order given.

    An event of a message that nobody knows is left out and says so: a webhook that is refused is repeated for ever,
    and the rest of its batch with it.
    """
    named = _Named(connection, incoming)
    meant = [named.find(each.message) for each in incoming]
    ids = sorted({each for each in meant if isinstance(each, UUID)})
    # Under the runs' locks, by id, which whoever settles a send holds: an outcome and an event cannot miss each other.
    lock_runs(connection, _column(connection, sent_messages.c.run_id, sent_messages.c.id, ids))
    places = [place for place, message in enumerate(meant) if isinstance(message, UUID)]
    status: dict[int, Reception] = {}
    # In one order everywhere: two batches that share ids wait for each other once, and not in a circle.
    for place in sorted(places, key=lambda place: incoming[place].key):
        message = meant[place]
        assert isinstance(message, UUID)
        status[place] = _store(connection, incoming[place], message, now)
    told_of: dict[UUID, list[ProviderEvent]] = {}
    for place in places:
        message = meant[place]
        if isinstance(message, UUID) and status[place] == "recorded":
            told_of.setdefault(message, []).append(incoming[place])
    for some in chunks(sorted(told_of)):
        for row in connection.execute(sa.select(sent_messages).where(sent_messages.c.id.in_(some))).all():
            _fold(connection, row, told_of[row.id])
    return [
        Received(each.key, status[place], message) if isinstance(message, UUID) else Received(each.key, message, None)
        for place, (each, message) in enumerate(zip(incoming, meant, strict=True))
    ]


class _Named:
    """Which messages are meant by what providers call them."""

    def __init__(self, connection: Connection, incoming: Iterable[ProviderEvent]) -> None:
        ids: set[UUID] = set()
        references: set[str] = set()
        for each in incoming:
            if isinstance(each.message, UUID):
                ids.add(each.message)
                continue
            references.add(each.message[1])
            if (ours := _our_id(each.message[1])) is not None:
                ids.add(ours)
        self._ours: dict[UUID, str] = {}
        self._theirs: dict[tuple[str, str], set[UUID]] = {}
        columns = (sent_messages.c.id, sent_messages.c.channel, sent_messages.c.reference)
        for some in chunks(sorted(ids)):
            for row in connection.execute(sa.select(*columns).where(sent_messages.c.id.in_(some))):
                self._ours[row.id] = row.channel
        for called in chunks(sorted(references)):
            # Written out beside IN: SQLite uses the partial index only where the statement says its condition.
            there = (sent_messages.c.reference.is_not(None), sent_messages.c.reference.in_(called))
            for row in connection.execute(sa.select(*columns).where(*there)):
                self._theirs.setdefault((row.channel, row.reference), set()).add(row.id)

    def find(self, message: UUID | tuple[Channel, str]) -> UUID | Literal["unknown_message", "ambiguous_reference"]:
        if isinstance(message, UUID):
            return message if message in self._ours else "unknown_message"
        channel, reference = message
        ours = _our_id(reference)
        if ours is not None and self._ours.get(ours) == channel:
            return ours
        theirs = self._theirs.get((channel, reference), set())
        if len(theirs) > 1:
            return "ambiguous_reference"
        return next(iter(theirs), "unknown_message")


def _our_id(reference: str) -> UUID | None:
    """Return the id of the message that a Message-ID of ours, or an idempotency key given back, names."""
    if found := _OUR_MESSAGE_ID.fullmatch(reference):
        return UUID(found["id"])
    return UUID(reference) if _UUID.fullmatch(reference) else None


def _store(connection: Connection, event: ProviderEvent, message: UUID, now: datetime) -> Reception:
    inserted = connection.execute(
        insert_ignoring(connection, provider_events).values(
            key=event.key,
            message_id=message,
            kind=event.kind,
            occurred_at=event.occurred_at,
            received_at=now,
            detail=None if event.detail is None else _discreet(event.detail),
        )
    )
    if inserted.rowcount:
        return "recorded"
    known = connection.execute(sa.select(provider_events).where(provider_events.c.key == event.key)).one()
    same = (known.message_id, known.kind, known.occurred_at) == (message, event.kind, event.occurred_at)
    return "known" if same else "used_otherwise"


def _discreet(detail: str) -> str:
    """Return a provider's words without whom they are about; SMTP's codes in front, which look like numbers, stay."""
    code = _SMTP_CODES.match(detail)
    front = code[0] if code else ""
    return front + scrub(detail[len(front) :])


def _fold(connection: Connection, row: sa.Row[Any], events: Iterable[ProviderEvent]) -> None:
    """Write the earliest instants into a message's row of the ledger, and how the send stands by them."""
    earliest: dict[str, datetime] = {}
    for event in events:
        known = earliest.get(event.kind) or instant_of(row, event.kind)
        earliest[event.kind] = event.occurred_at if known is None else min(known, event.occurred_at)
    instants = {f"{kind}_at": at for kind, at in earliest.items()}
    of_row = sent_messages.c.id == row.id
    connection.execute(sa.update(sent_messages).where(of_row).values(**instants))
    after = connection.execute(sa.select(sent_messages).where(of_row)).one()
    was = Standing(after.state, after.reason, after.detail)
    known = stands(was, told(after))
    if known != was:
        values = {"state": known.state, "reason": known.reason, "detail": known.detail}
        connection.execute(sa.update(sent_messages).where(of_row).values(**values))


def _column(connection: Connection, wanted: sa.Column[UUID], by: sa.Column[UUID], ids: Sequence[UUID]) -> set[UUID]:
    return {each for some in chunks(ids) for each in connection.scalars(sa.select(wanted).where(by.in_(some)))}
