"""How rows of the ledger end, also those of sends that nobody will try again."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.sends.standing import KINDS, TOLD, Ended, Standing, stands, told
from wend.storage.tables import sent_messages

LOST = ("attempt_lost", "the attempt ended without an outcome")

_TELLING = [sent_messages.c[f"{kind}_at"] for kind in KINDS]

TOLD_OF = sa.or_(*(column.is_not(None) for column in _TELLING))
"""Of the ledger's rows: the provider has told something of them."""


def settle(
    connection: Connection,
    message_id: UUID,
    state: str,
    now: datetime,
    reason: str | None = None,
    detail: str | None = None,
    reference: str | None = None,
) -> None:
    """Write down how a send stands."""
    values: dict[str, Any] = {"state": state, "settled_at": now, "reason": reason, "detail": detail}
    if reference is not None:
        values["reference"] = reference
    if state == "refused" and reason != TOLD:  # what a provider told it may still take back
        values["only_key"] = None  # whoever shares the address may have the message
    connection.execute(sa.update(sent_messages).where(sent_messages.c.id == message_id).values(**values))


def settle_unknown(
    connection: Connection, message_id: UUID, now: datetime, reason: str | None, detail: str | None = None
) -> Ended:
    """Write down that no attempt knows how a send ended: uncertain, unless the provider has told meanwhile.

    The caller holds the run's lock, as whoever takes in what providers tell does.
    """
    row = connection.execute(sa.select(*_TELLING).where(sent_messages.c.id == message_id)).one()
    known = stands(Standing("uncertain", reason, detail), told(row))
    settle(connection, message_id, known.state, now, known.reason, known.detail)
    assert known.state != "claimed"
    assert known.state != "released"
    return known.state


def drop_others(connection: Connection, run_id: UUID, kept: UUID | None, attempt: UUID | None, now: datetime) -> None:
    """Settle what a run has begun to send and left behind, so that nothing stays claimed or released for ever.

    Args:
        connection: The transaction that holds the run's lock.
        run_id: The run.
        kept: The message that it is to send, or is held at.
        attempt: Whose claims are surely not with a provider; nobody's if it is ``None``.
        now: The instant.
    """
    query = sa.select(sent_messages).where(
        sent_messages.c.run_id == run_id,
        sent_messages.c.state.in_(("claimed", "released")),
        sent_messages.c.resend_asked_at.is_(None),  # what is sent again is no affair of the run's
    )
    for row in connection.execute(query).all():
        if row.id != kept:
            drop(connection, row, attempt, now, "run_went_on")


def drop(connection: Connection, row: sa.Row[Any], attempt: UUID | None, now: datetime, reason: str) -> Ended:
    """Settle a send that will not be tried again, and return how: uncertain where another attempt died with it.

    Where the provider has told of a try of before, that is how it ended.
    """
    if row.state == "claimed" and row.claim != attempt:
        return settle_unknown(connection, row.id, now, *LOST)
    if told(row) == "accepted":
        return settle_unknown(connection, row.id, now, reason, row.reason)
    settle(connection, row.id, "refused", now, reason, row.reason)
    return "refused"
