"""One person's passage, as it is written down: every move with its reason, message and click."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.storage.tables import events, moves, runs, sent_messages
from wend.temporal import run_workflow_id


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Where a run is. ``step`` is ``None`` before its first move and after its end.

    ``held_at``: since when it waits for its journey's pause to end, or to be woken after it was moved.
    """

    id: UUID
    journey: str
    version: int
    profile_id: UUID
    entry_id: UUID
    entry_number: int
    state: str
    step: str | None
    parked_until: datetime | None
    reason: str | None
    error: str | None
    held_at: datetime | None
    workflow_id: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class MadeMove:
    """One move; ``why`` holds what it was decided on."""

    number: int
    at: datetime
    from_step: str | None
    to_step: str
    why_kind: str
    why: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One send of a run."""

    id: UUID
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


@dataclass(frozen=True, slots=True)
class MadeClick:
    """One click on a message of a run; ``late_by`` where it missed its wait's deadline."""

    id: UUID
    at: datetime
    message_id: UUID
    link: str | None
    counted: bool
    note: str | None
    late_by: timedelta | None


@dataclass(frozen=True, slots=True)
class RunPath:
    """A run with everything that is known of it."""

    run: RunSummary
    properties: dict[str, Any]
    moves: Sequence[MadeMove]
    messages: Sequence[LedgerEntry]
    clicks: Sequence[MadeClick]


def read_run(connection: Connection, run_id: UUID) -> RunPath:
    """Return a run with its whole path.

    Raises:
        NotFound: There is no such run.
    """
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise NotFound("run", run_id, "Runs of a journey are listed by: wend runs KEY")
    made = connection.execute(sa.select(moves).where(moves.c.run_id == run_id).order_by(moves.c.number))
    sent = connection.execute(
        sa.select(sent_messages).where(sent_messages.c.run_id == run_id).order_by(sent_messages.c.claimed_at)
    )
    its_messages = sa.select(sent_messages.c.id).where(sent_messages.c.run_id == run_id)
    clicked = connection.execute(
        sa.select(events).where(events.c.message_id.in_(its_messages)).order_by(events.c.at, events.c.id)
    )
    return RunPath(
        _summary(row),
        row.properties,
        [MadeMove(each.number, each.at, each.from_step, each.to_step, each.why_kind, each.why) for each in made],
        [
            LedgerEntry(
                each.id,
                each.step,
                each.visit,
                each.message_key,
                each.message_version,
                each.channel,
                each.state,
                each.tries,
                each.claimed_at,
                each.settled_at,
                each.reason,
                each.detail,
                each.reference,
            )
            for each in sent
        ],
        [
            MadeClick(
                each.id,
                each.at,
                each.message_id,
                each.link,
                each.counted,
                each.note,
                None if each.late_microseconds is None else timedelta(microseconds=each.late_microseconds),
            )
            for each in clicked
        ],
    )


def page_runs(
    connection: Connection,
    *,
    journey: str | None = None,
    profile_id: UUID | None = None,
    entry_id: UUID | None = None,
    state: str | None = None,
    step: str | None = None,
    entry_number: int | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[RunSummary]:
    """Return runs, the newest first, narrowed by whatever is given.

    Those of one instant (an entry makes them so) come by their ids, descending.

    Args:
        connection: Where they are.
        journey: Its key.
        profile_id: Whose.
        entry_id: Of this entry.
        state: Where they stand.
        step: At which step they are.
        entry_number: Ordinal of the run per journey and profile.
        before: ``created_at`` and ``id`` of a run: those behind it.
        limit: The most that are returned.
    """
    query = sa.select(runs).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)
    wanted = {
        runs.c.journey_key: journey,
        runs.c.profile_id: profile_id,
        runs.c.entry_id: entry_id,
        runs.c.state: state,
        runs.c.step: step,
        runs.c.entry_number: entry_number,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        at, run_id = before
        query = query.where(sa.or_(runs.c.created_at < at, sa.and_(runs.c.created_at == at, runs.c.id < run_id)))
    return [_summary(row) for row in connection.execute(query)]


def _summary(row: sa.Row[Any]) -> RunSummary:
    return RunSummary(
        row.id,
        row.journey_key,
        row.version,
        row.profile_id,
        row.entry_id,
        row.entry_number,
        row.state,
        row.step,
        row.parked_until,
        row.reason,
        row.error,
        row.held_at,
        run_workflow_id(row.journey_key, row.profile_id, row.entry_number),
        row.created_at,
        row.started_at,
        row.ended_at,
    )
