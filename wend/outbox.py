"""What Temporal has yet to hear, written in the transaction that decided it.

Rows are drained by marking, never by a cursor over ids or instants: those commit out of order. A row is leased while
it is delivered, so a relay that dies leaves it to the next one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.storage.database import skip_locked
from wend.storage.tables import outbox

Kind = Literal[
    "start_run",
    "wake_run",
    "wake_ended_runs",
    "wake_held_runs",
    "ensure_schedule",
    "remove_schedule",
    "enter",
    "resend",
    "reconcile",
]

LEASE = timedelta(seconds=15)
"""How long one delivery may take; afterwards the row is anybody's again."""

SLOWEST = timedelta(seconds=30)
"""The longest pause between two attempts: a click reaches its run within a minute of Temporal's return."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing to tell Temporal. ``subject`` is a run's id or a journey's key."""

    id: int
    kind: Kind
    subject: str
    payload: Mapping[str, Any]
    attempts: int
    created_at: datetime | None = None


def put(
    connection: Connection, kind: Kind, subject: object, now: datetime, payload: Mapping[str, Any] | None = None
) -> None:
    """Write a row; it is due at once."""
    put_all(connection, kind, [(str(subject), payload or {})], now)


def put_later(
    connection: Connection, kind: Kind, subject: object, due_at: datetime, now: datetime, payload: Mapping[str, Any]
) -> None:
    """Write a row that is not due before an instant."""
    # A row that was never tried is due whatever its instant says, so this one begins as if it had been.
    connection.execute(
        sa.insert(outbox).values(
            kind=kind,
            subject=str(subject),
            payload=dict(payload),
            created_at=now,
            due_at=due_at,
            attempts=1,
        )
    )


def put_all(
    connection: Connection, kind: Kind, parcels: Sequence[tuple[str, Mapping[str, Any]]], now: datetime
) -> None:
    """Write rows of one kind: (subject, payload)."""
    if parcels:
        connection.execute(
            sa.insert(outbox),
            [
                {
                    "kind": kind,
                    "subject": subject,
                    "payload": dict(payload),
                    "created_at": now,
                    "due_at": now,
                    "attempts": 0,
                }
                for subject, payload in parcels
            ],
        )


def anything_due(connection: Connection, now: datetime) -> bool:
    """Return whether ``take`` would find a row."""
    return connection.execute(sa.select(outbox.c.id).where(*_due(now)).limit(1)).first() is not None


def take(connection: Connection, now: datetime, limit: int) -> list[Parcel]:
    """Lease the rows that have been due longest."""
    due = sa.select(outbox).where(*_due(now)).order_by(outbox.c.due_at, outbox.c.id).limit(limit)
    rows = connection.execute(skip_locked(due)).all()
    if rows:
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.id.in_([row.id for row in rows]))
            .values(due_at=now + LEASE, attempts=outbox.c.attempts + 1)
        )
    return [Parcel(row.id, row.kind, row.subject, row.payload, row.attempts + 1, row.created_at) for row in rows]


def _due(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    # What was never tried is due, whatever the clock of its writer said: a bell must not wait for clocks to agree.
    return (outbox.c.done_at.is_(None), sa.or_(outbox.c.attempts == 0, outbox.c.due_at <= now))


def mark_done(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Mark rows as delivered."""
    if ids:
        connection.execute(sa.update(outbox).where(outbox.c.id.in_(ids)).values(done_at=now, error=None))


def mark_failed(connection: Connection, parcel: Parcel, error: str, now: datetime) -> None:
    """Have a row tried again, later and later."""
    pause = min(timedelta(milliseconds=250) * 2 ** min(parcel.attempts, 10), SLOWEST)
    connection.execute(sa.update(outbox).where(outbox.c.id == parcel.id).values(due_at=now + pause, error=error[:2000]))


def give_back(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """End the leases of rows that were not delivered: whoever comes next may take them at once."""
    if ids:
        connection.execute(sa.update(outbox).where(outbox.c.id.in_(ids)).values(due_at=now))


def prune(connection: Connection, before: datetime) -> int:
    """Delete rows delivered before an instant; return how many."""
    return connection.execute(sa.delete(outbox).where(outbox.c.done_at < before)).rowcount


def waiting(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many rows are waiting, and since when the oldest one is."""
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.min(outbox.c.created_at)).where(outbox.c.done_at.is_(None))
    ).one()
    return row[0], row[1]
