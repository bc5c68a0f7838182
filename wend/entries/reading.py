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

EntryState = Literal["failing", "asked", "open", "done", "failed", "missed", "skipped"]


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """One occasion on which a journey took people in.

    Attributes:
        occurrence: Names it within its journey.
        kind: ``segment``; ``joiners``, who were found between two occurrences; or ``api`` for a run that was started
            for one profile.
        state: ``failing`` while its segments cannot be read, which is tried again; ``open`` until every run has its
            workflow; ``done``; ``failed`` by a defect. Of occurrences that took nobody in: ``missed``, ``skipped``.
        opened_at: Or when it was written down.
        reason: Why it was missed or skipped.
        error: Of the last attempt to read its segments that failed.
        attempts: To read them, that failed.
        members: Counted from the segments themselves.
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
    reason: str | None
    error: str | None
    attempts: int
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
    state: EntryState | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[EntrySummary]:
    """Return a journey's entries, those that were due last first.

    Args:
        connection: A transaction.
        journey: The journey's key.
        kind: ``segment``: those of its segments, joiners included; ``api``: starts of one profile.
        state: Only those in this state.
        before: Only those behind this one: when it was due, and its id.
        limit: How many at most.
    """
    # Written out, not bound: SQLite uses a partial index only where the statement itself says the index's condition.
    through_api: sa.ColumnElement[str] = sa.literal_column("'api'")
    query = sa.select(entries).where(
        entries.c.journey_key == journey,
        entries.c.kind == through_api if kind == "api" else entries.c.kind != through_api,
    )
    if state is not None:
        query = query.where(entries.c.state == state)
    if before is not None:
        at, id = before
        query = query.where(entries.c.due_at <= at, sa.or_(entries.c.due_at < at, entries.c.id < id))
    rows = connection.execute(query.order_by(entries.c.due_at.desc(), entries.c.id.desc()).limit(limit)).all()
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
            row.reason,
            row.error,
            row.attempts,
            row.members,
            *counted.get(row.id, (0, 0)),
            excluded[row.id],
        )
        for row in rows
    ]
