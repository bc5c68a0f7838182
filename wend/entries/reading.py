"""Entries as they stand, for people to read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.storage.tables import entries, exclusions, runs


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """One occasion on which a journey took people in.

    Attributes:
        occurrence: Names it within its journey.
        kind: ``segment``, or ``api`` for a run that was started for one profile.
        state: ``open`` until every run has its workflow; ``done``; ``failed``.
        members: Counted from the segment itself.
        entered: Runs.
        started: Runs that have their workflow.
        excluded: Members without a run, by reason; ``members`` = ``entered`` + their sum.
    """

    id: UUID
    journey: str
    version: int
    occurrence: str
    kind: str
    state: str
    due_at: datetime
    opened_at: datetime
    finished_at: datetime | None
    error: str | None
    members: int
    entered: int
    started: int
    excluded: dict[str, int] = field(default_factory=dict)


def read_entry(connection: Connection, journey: str, entry_id: UUID) -> EntrySummary:
    """Return an entry of a journey.

    Raises:
        NotFound: The journey has no such entry.
    """
    query = sa.select(entries).where(entries.c.journey_key == journey, entries.c.id == entry_id)
    rows = connection.execute(query).all()
    if not rows:
        raise NotFound("entry", entry_id, f"Entries are listed by: wend entries {journey}")
    return _summaries(connection, rows)[0]


def page_entries(
    connection: Connection,
    journey: str,
    *,
    kind: Literal["segment", "api"] = "segment",
    before: str | None = None,
    limit: int = 100,
) -> list[EntrySummary]:
    """Return a journey's entries of one kind, the latest occurrence first, those behind ``before``."""
    query = sa.select(entries).where(entries.c.journey_key == journey, entries.c.kind == kind)
    if before is not None:
        query = query.where(entries.c.occurrence < before)
    rows = connection.execute(query.order_by(entries.c.occurrence.desc()).limit(limit)).all()
    return _summaries(connection, rows)


def _summaries(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[EntrySummary]:
    ids = [row.id for row in rows]
    by_run = (
        sa.select(runs.c.entry_id, sa.func.count(), sa.func.count(runs.c.started_at))
        .where(runs.c.entry_id.in_(ids))
        .group_by(runs.c.entry_id)
    )
    counted = {entry_id: (entered, started) for entry_id, entered, started in connection.execute(by_run)}
    by_reason = (
        sa.select(exclusions.c.entry_id, exclusions.c.reason, sa.func.count())
        .where(exclusions.c.entry_id.in_(ids))
        .group_by(exclusions.c.entry_id, exclusions.c.reason)
        .order_by(exclusions.c.reason)
    )
    excluded: dict[UUID, dict[str, int]] = {entry_id: {} for entry_id in ids}
    for entry_id, reason, count in connection.execute(by_reason):
        excluded[entry_id][reason] = count
    return [
        EntrySummary(
            row.id,
            row.journey_key,
            row.version,
            row.occurrence,
            row.kind,
            row.state,
            row.due_at,
            row.opened_at,
            row.finished_at,
            row.error,
            row.members,
            *counted.get(row.id, (0, 0)),
            excluded[row.id],
        )
        for row in rows
    ]
