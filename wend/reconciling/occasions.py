"""Runs that have no workflow yet: is there somebody who starts them?

Starts through the API are promised by a row of the outbox, those of a segment by its entry's workflow, and what
somebody has claimed and not started is the relay's to look after.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.entries.opening import OpenedEntry, read_entry
from wend.reconciling.findings import ONLY_COMPARED, Discrepancy, Kind
from wend.reconciling.work import YOUNG, Work
from wend.storage.database import chunks
from wend.storage.tables import entries, journeys, runs
from wend.storage.tables import outbox as parcels

YOUNG_ENTRY: Final = timedelta(minutes=2)
"""How soon after its opening an entry's workflow has certainly begun to start its runs."""

STALLED_AFTER: Final = timedelta(minutes=5)
"""How long somebody may have been starting a run: the relay takes it over after twenty seconds."""


async def compare_starts(work: Work) -> None:
    """Find runs that nobody starts."""
    await work.in_thread(lambda: _compare_api(work))
    await work.in_thread(lambda: _compare_claims(work))
    await work.beat("starts")
    under_way = {each.entry_id for each in await work.workflows.open_entries(work.journey)}
    candidates = await work.in_thread(lambda: _unfinished(work))
    for entry in candidates:
        work.report.count("entries to start", 1)
        if entry.opened.id not in under_way:
            await _look_after(work, entry)
            await work.beat("starts")


# -- through the API ----------------------------------------------------------------------------------------------


def _compare_api(work: Work) -> None:
    """Have runs started that were asked for through the API, and that nobody was told of."""
    now = work.clock()
    with work.database.read() as connection:
        forgotten = _forgotten(connection, work.journey, now)
    if work.options.repair:
        for some in chunks(forgotten):
            with work.database.write() as connection:
                outbox.put_all(connection, "start_run", [(str(id), {}) for id in some], now)
                work.note(connection, "start_forgotten", len(some), now)
    note = "it is started" if work.options.repair else ONLY_COMPARED
    cause = "asked for through the API, and nothing in the outbox has it started"
    work.report.add(Discrepancy("start_forgotten", str(id), cause, work.options.repair, note) for id in forgotten)


def _forgotten(connection: Connection, journey: str, now: datetime) -> list[UUID]:
    query = (
        sa.select(runs.c.id)
        .join(entries, entries.c.id == runs.c.entry_id)
        .join(journeys, journeys.c.key == runs.c.journey_key)
        .where(
            runs.c.journey_key == journey,
            runs.c.state == "pending",
            runs.c.started_at.is_(None),
            runs.c.claimed_at.is_(None),
            runs.c.created_at <= now - YOUNG,
            entries.c.kind == "api",
            journeys.c.state != "paused",  # they are started when it goes on
        )
        .order_by(runs.c.id)
    )
    ids = list(connection.scalars(query))
    if not ids:
        return []
    promised = sa.select(parcels.c.subject).where(parcels.c.done_at.is_(None), parcels.c.kind == "start_run")
    subjects = set(connection.scalars(promised))
    return [id for id in ids if str(id) not in subjects]


# -- claimed ------------------------------------------------------------------------------------------------------


def _compare_claims(work: Work) -> None:
    """Name runs that somebody has claimed for starting, and never started."""
    now = work.clock()
    query = (
        sa.select(runs.c.id, runs.c.claimed_at)
        .where(
            runs.c.journey_key == work.journey,
            runs.c.started_at.is_(None),
            runs.c.claimed_at.is_not(None),
            runs.c.claimed_at <= now - STALLED_AFTER,
        )
        .order_by(runs.c.id)
    )
    with work.database.read() as connection:
        stalled = connection.execute(query).all()
    note = "the relay starts what was claimed and not started: does one run, and does Temporal take its starts?"
    work.report.add(
        Discrepancy("start_stalled", str(row.id), f"claimed at {row.claimed_at:%Y-%m-%dT%H:%M:%SZ}", note=note)
        for row in stalled
    )


# -- of segments --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """An entry that should have somebody at it."""

    opened: OpenedEntry
    due_at: datetime
    left: int


def _unfinished(work: Work) -> list[_Unfinished]:
    """Return entries that are open, or have runs to start whatever they are."""
    now = work.clock()
    to_start = (
        sa.select(
            runs.c.entry_id,
            sa.func.count().label("left"),
            sa.func.sum(sa.case((runs.c.claimed_at.is_(None), 1), else_=0)).label("fresh"),
        )
        .where(runs.c.journey_key == work.journey, runs.c.started_at.is_(None), runs.c.ended_at.is_(None))
        .group_by(runs.c.entry_id)
        .subquery()
    )
    # What somebody has claimed is looked after by the relay, also when its entry is done.
    unfinished = sa.or_(entries.c.state == "open", sa.and_(entries.c.state == "done", to_start.c.fresh > 0))
    query = (
        sa.select(entries.c.id, entries.c.due_at, sa.func.coalesce(to_start.c.left, 0))
        .outerjoin(to_start, to_start.c.entry_id == entries.c.id)
        .where(
            entries.c.journey_key == work.journey,
            entries.c.kind != "api",
            entries.c.opened_at <= now - YOUNG_ENTRY,
            unfinished,
        )
        .order_by(entries.c.due_at, entries.c.id)
    )
    with work.database.read() as connection:
        return [
            _Unfinished(read_entry(connection, id), due_at, left)
            for id, due_at, left in connection.execute(query).all()
        ]


async def _look_after(work: Work, entry: _Unfinished) -> None:
    """Have an entry gone on with, or finished, that has no workflow."""
    id, repairs = entry.opened.id, work.options.repair
    if entry.left:
        if repairs:
            await work.workflows.go_on(entry.opened, entry.due_at)
            await work.in_thread(lambda: _write(work, "entry_abandoned"))
        cause = f"{entry.left} run(s) are to be started, and no workflow of the entry is open"
        note = "a new workflow goes on with it" if repairs else ONLY_COMPARED
        work.report.add([Discrepancy("entry_abandoned", str(id), cause, repairs, note)])
        return
    if repairs:
        await work.in_thread(lambda: _write(work, "entry_unfinished", id))
    cause = "all its runs have their workflow, and its own was lost before it wrote that down"
    note = "finished" if repairs else ONLY_COMPARED
    work.report.add([Discrepancy("entry_unfinished", str(id), cause, repairs, note)])


def _write(work: Work, kind: Kind, finished: UUID | None = None) -> None:
    """Write down what was repaired; finish an entry, if one is given."""
    now = work.clock()
    with work.database.write() as connection:
        if finished is not None:
            still = (entries.c.id == finished, entries.c.state == "open")
            connection.execute(sa.update(entries).where(*still).values(state="done", finished_at=now))
        work.note(connection, kind, 1, now)
