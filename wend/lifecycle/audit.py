"""Who did what to a journey, and to whom: written in the transaction that does it, and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.storage.tables import audit

Action = Literal[
    "publish",
    "close",
    "finish",
    "stop",
    "pause",
    "resume",
    "move",
    "exit",
    "adjust",
    "take_in",
    "restore_draft",
    "settle",
    "resend",
    "reconcile",
]

ITSELF = "wend"
"""Who acts where nobody asked for it at that moment: a window that ends, a resumption that was planned."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One thing that somebody did.

    Attributes:
        by: Who, as the caller said it.
        detail: What was chosen, and how many it concerned.
    """

    id: int
    at: datetime
    by: str
    action: str
    journey: str | None
    version: int | None
    run_id: UUID | None
    profile_id: UUID | None
    detail: Mapping[str, Any]


def note(
    connection: Connection,
    by: str,
    action: Action,
    now: datetime,
    *,
    journey: str | None = None,
    version: int | None = None,
    run_id: UUID | None = None,
    profile_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write a record. ``detail`` holds ids, names and counts alone: no address, no attribute."""
    connection.execute(
        sa.insert(audit).values(
            at=now,
            by=by,
            action=action,
            journey_key=journey,
            version=version,
            run_id=run_id,
            profile_id=profile_id,
            detail=dict(detail or {}),
        )
    )


def page_audit(
    connection: Connection,
    *,
    journey: str | None = None,
    profile_id: UUID | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditRecord]:
    """Return records, the latest first, those older than ``before``."""
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if journey is not None:
        query = query.where(audit.c.journey_key == journey)
    if profile_id is not None:
        query = query.where(audit.c.profile_id == profile_id)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [AuditRecord(*row) for row in connection.execute(query)]
