"""How rows of the ledger end, also those of sends that nobody will try again."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.storage.tables import sent_messages

LOST = ("attempt_lost", "the attempt ended without an outcome")


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
    if state == "refused":
        values["only_key"] = None  # whoever shares the address may have the message
    connection.execute(sa.update(sent_messages).where(sent_messages.c.id == message_id).values(**values))


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
        sent_messages.c.run_id == run_id, sent_messages.c.state.in_(("claimed", "released"))
    )
    for row in connection.execute(query).all():
        if row.id != kept:
            drop(connection, row, attempt, now, "run_went_on")


def drop(
    connection: Connection, row: sa.Row[Any], attempt: UUID | None, now: datetime, reason: str
) -> Literal["uncertain", "refused"]:
    """Settle a send that will not be tried again, and return how: uncertain where another attempt died with it."""
    if row.state == "claimed" and row.claim != attempt:
        settle(connection, row.id, "uncertain", now, *LOST)
        return "uncertain"
    settle(connection, row.id, "refused", now, reason, row.reason)
    return "refused"
