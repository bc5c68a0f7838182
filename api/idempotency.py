"""Callers' retries: the header that names a request, and what is done once for it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Header
from sqlalchemy import Connection

from api.model import In
from wend.idempotency import answer_once

IdempotencyKey = Annotated[
    str | None,
    Header(pattern="^[!-~]{1,255}$", description="Made by the caller: the same key and body, the same answer."),
]


def once(
    connection: Connection,
    scope: str,
    key: str | None,
    asked: In,
    now: datetime,
    work: Callable[[], Mapping[str, Any]],
) -> Mapping[str, Any]:
    """Do the work, or return the answer that was given for this key before; without a key, do it.

    Args:
        connection: The transaction in which the work is done.
        scope: What the key belongs to.
        key: The caller's, if there is one.
        asked: The request.
        now: The instant.
        work: Does what is asked, and returns its answer as JSON.

    Raises:
        KeyUsedOtherwise: The key belongs to another request.
    """
    if key is None:
        return work()
    return answer_once(connection, scope, key, asked.model_dump(mode="json"), now, work).answer
