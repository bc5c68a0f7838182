"""Callers' retries: the same key and the same request get the same answer, and what was asked is done once."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import Conflict
from wend.journeys.definition import canonical_json
from wend.storage.database import insert_ignoring
from wend.storage.tables import idempotency


class KeyUsedOtherwise(Conflict):
    """The idempotency key came before, with another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The idempotency key {key!r} was used for another request. Give each request its own key.")
        self.key = key


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a request; ``again`` is true where it was given before."""

    answer: Mapping[str, Any]
    again: bool


def answer_once(
    connection: Connection,
    scope: str,
    key: str,
    request: Any,
    now: datetime,
    work: Callable[[], Mapping[str, Any]],
) -> Answered:
    """Do the work and keep its answer, or return the answer that was kept for this key.

    The key is claimed before the work begins, so of many requests at once one works and the others wait for its
    commit. Work that raises leaves no trace, and the key stays free.

    Args:
        connection: The transaction in which the work is done.
        scope: What the key belongs to; the same key elsewhere is another key.
        key: The caller's.
        request: What was asked, as JSON; only its hash is kept.
        now: The instant.
        work: Does what is asked, and returns its answer as JSON.

    Raises:
        KeyUsedOtherwise: The key belongs to another request.
    """
    asked = hashlib.sha256(canonical_json(request).encode()).hexdigest()
    this = (idempotency.c.scope == scope, idempotency.c.key == key)
    claimed = connection.execute(
        insert_ignoring(connection, idempotency).values(
            scope=scope, key=key, request_hash=asked, answer={}, created_at=now
        )
    )
    if claimed.rowcount == 0:
        known = connection.execute(sa.select(idempotency.c.request_hash, idempotency.c.answer).where(*this)).one()
        if known.request_hash != asked:
            raise KeyUsedOtherwise(key)
        return Answered(known.answer, again=True)
    answer = dict(work())
    connection.execute(sa.update(idempotency).where(*this).values(answer=answer))
    return Answered(answer, again=False)


def forget(connection: Connection, before: datetime) -> int:
    """Delete the keys that came before an instant; return how many."""
    return connection.execute(sa.delete(idempotency).where(idempotency.c.created_at < before)).rowcount
