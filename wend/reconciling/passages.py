"""Runs against their workflows: what is open here and not there, and the other way round.

The list of open workflows may be behind, so it only raises suspicions. Rows are read after it, a suspect's workflow is
looked at after its row, and the row is looked at once more, under its lock, before anything is done about it: a run's
row ends before its workflow does, so a row that is still open after its workflow was seen to have ended is wrong.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from wend import outbox
from wend.lifecycle.ending import Ending, end_runs
from wend.reconciling.findings import ONLY_COMPARED, Discrepancy, Kind
from wend.reconciling.port import Closed, Missing, Open, Passage
from wend.reconciling.work import AT_ONCE, YOUNG, Work
from wend.runs.starting import StartOrder
from wend.storage.database import chunks, lock_journey, lock_profiles, lock_runs
from wend.storage.tables import journey_versions, runs
from wend.storage.tables import outbox as parcels
from wend.temporal import run_workflow_id

PAGE: Final = 2_000
"""Open runs compared at once."""

GONE: Final = "Temporal does not have its workflow: its state was lost or replaced"

_CAUSES: Final = {
    "completed": "its workflow has come to its end: the database is older than Temporal",
    "canceled": "its workflow was cancelled",
    "terminated": "its workflow was terminated",
    "timed_out": "its workflow timed out",
    "continued_as_new": "its workflow did not go on as a new one",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A run as its row has it."""

    id: UUID
    profile_id: UUID
    number: int
    version: int
    entry_id: UUID
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def passage(self) -> Passage:
        return self.profile_id, self.number


_COLUMNS = (
    runs.c.id,
    runs.c.profile_id,
    runs.c.entry_number,
    runs.c.version,
    runs.c.entry_id,
    runs.c.started_at,
    runs.c.ended_at,
)

LOST: Final = "lost"
"""Why a run failed whose workflow is gone."""


async def compare_runs(work: Work) -> None:
    """Compare every open run with its workflow, and every open workflow with its run."""
    overlapping = await work.in_thread(lambda: _has_overlapping(work))
    told = await work.in_thread(lambda: _being_told(work))  # before any run is ended here
    after: UUID | None = None
    while True:
        upto = await work.in_thread(partial(_end_of_page, work, after, overlapping))
        listed = await work.workflows.open_runs(work.journey, after, upto)
        rows = await work.in_thread(partial(_open_rows, work, after, upto, overlapping))
        now = work.clock()
        work.report.count("runs", len(rows))
        work.report.count("workflows", len(listed))
        await work.beat("runs")
        await _suspect_rows(work, [row for row in rows if _is_suspect(row, listed, now)], now)
        await _suspect_workflows(work, sorted(listed - {row.passage for row in rows}), told, now)
        if upto is None:
            return
        after = upto


def _is_suspect(row: _Row, listed: set[Passage], now: datetime) -> bool:
    return row.started_at is not None and row.started_at <= now - YOUNG and row.passage not in listed


# -- rows without an open workflow --------------------------------------------------------------------------------


async def _suspect_rows(work: Work, suspects: Sequence[_Row], now: datetime) -> None:
    found = await work.look_at([row.passage for row in suspects], "runs")
    lost = [row for row, workflow in zip(suspects, found, strict=True) if isinstance(workflow, Missing)]
    closed = [
        (row, _say_closed(workflow))
        for row, workflow in zip(suspects, found, strict=True)
        if isinstance(workflow, Closed)
    ]
    if work.options.lost == "revive":
        await _revive(work, lost)
    else:
        await _end(work, "workflow_lost", [(row, GONE) for row in lost], now)
    await _end(work, "workflow_closed", closed, now)


def _say_closed(workflow: Closed) -> str:
    if workflow.status == "failed":
        return f"its workflow has failed: {workflow.failure or 'for a reason that Temporal does not tell'}"
    return _CAUSES[workflow.status]


async def _revive(work: Work, lost: Sequence[_Row]) -> None:
    """Start the workflows of open runs anew: each begins by asking its row where it stands."""
    still = await work.in_thread(lambda: _still_open(work, lost))
    if not work.options.repair:
        work.report.add(Discrepancy("workflow_lost", str(row.id), GONE, note=ONLY_COMPARED) for row in still)
        return
    orders = await work.in_thread(lambda: _orders(work, still))
    for some in chunks(orders, AT_ONCE):
        await work.each(some, work.workflows.start_run, "runs that are started anew")
        await work.in_thread(partial(_note, work, "workflow_lost", len(some)))
    told = "goes on by a new workflow, where its row says that it stands"
    work.report.add(Discrepancy("workflow_lost", str(row.id), GONE, True, told) for row in still)


def _still_open(work: Work, rows: Sequence[_Row]) -> list[_Row]:
    """Return those that have not ended meanwhile, by what was told of their workflows."""
    with work.database.read() as connection:
        ids: set[UUID] = set()
        for some in chunks([row.id for row in rows]):
            query = sa.select(runs.c.id).where(runs.c.id.in_(some), runs.c.ended_at.is_(None))
            ids.update(connection.scalars(query))
    return [row for row in rows if row.id in ids]


def _orders(work: Work, rows: Sequence[_Row]) -> list[StartOrder]:
    with work.database.read() as connection:
        return [
            StartOrder(
                row.id,
                work.journey,
                row.version,
                row.profile_id,
                row.entry_id,
                row.number,
                None,
                work.versions.get(connection, work.journey, row.version),
            )
            for row in rows
        ]


async def _end(work: Work, kind: Kind, suspects: Sequence[tuple[_Row, str]], now: datetime) -> None:
    if not work.options.repair:
        still = await work.in_thread(lambda: _still_open(work, [row for row, _ in suspects]))
        causes = {row.id: cause for row, cause in suspects}
        work.report.add(Discrepancy(kind, str(row.id), causes[row.id], note=ONLY_COMPARED) for row in still)
        return
    for some in chunks(suspects, AT_ONCE):
        ended = await work.in_thread(partial(_end_some, work, kind, some))
        told = "ended as failed(lost), where it stood"
        work.report.add(Discrepancy(kind, str(row.id), cause, True, told) for row, cause in ended)
        await work.beat("runs that are ended")


def _end_some(work: Work, kind: Kind, suspects: Sequence[tuple[_Row, str]]) -> list[tuple[_Row, str]]:
    """End those runs that are still open, as ``failed(lost)`` with the cause as their error; return them."""
    now = work.clock()
    with work.database.write() as connection:
        lock_journey(connection, work.journey)
        lock_profiles(connection, [row.profile_id for row, _ in suspects])
        locked = lock_runs(connection, [row.id for row, _ in suspects])
        still = {run.id for run in locked if run.ended_at is None}
        ended = [(row, cause) for row, cause in suspects if row.id in still]
        for cause in sorted({cause for _, cause in ended}):
            ids = [row.id for row, of in ended if of == cause]
            end_runs(connection, work.journey, Ending("failed", LOST, cause), now, runs.c.id.in_(ids))
        if ended:
            work.note(connection, kind, len(ended), now)
    return ended


# -- open workflows without an open row ---------------------------------------------------------------------------


async def _suspect_workflows(
    work: Work, passages: Sequence[Passage], told: Callable[[UUID], bool], now: datetime
) -> None:
    rows = await work.in_thread(lambda: _rows_of(work, passages))
    unknown = [passage for passage in passages if passage not in rows]
    ended = [
        row for row in rows.values() if row.ended_at is not None and row.ended_at <= now - YOUNG and not told(row.id)
    ]
    looked = await work.look_at([*unknown, *(row.passage for row in ended)], "workflows")
    of_nobody = [
        passage for passage, found in zip(unknown, looked[: len(unknown)], strict=True) if isinstance(found, Open)
    ]
    work.report.add(
        Discrepancy(
            "workflow_unknown",
            run_workflow_id(work.journey, *passage),
            "its run is not in the database, which was lost, replaced or restored from a backup",
            note="nobody knows any more what it has done; look at its history, and terminate it in Temporal",
        )
        for passage in of_nobody
    )
    # One that has an activity under way comes by its row when that has ended.
    idle = [
        (row, found)
        for row, found in zip(ended, looked[len(unknown) :], strict=True)
        if isinstance(found, Open) and not found.is_busy
    ]
    await _wake_ended(work, idle)


async def _wake_ended(work: Work, idle: Sequence[tuple[_Row, Open]]) -> None:
    now = work.clock()
    waking = [row.id for row, found in idle if not waits_for_worker(found, now)]
    if work.options.repair and waking:
        await work.in_thread(lambda: wake(work, "workflow_left", waking))
    cause = "its run has ended, and it was not woken to find that, or did not look"
    for row, found in idle:
        if waits_for_worker(found, now):
            work.report.add([Discrepancy("workflow_left", str(row.id), cause, note=say_waiting(found))])
        else:
            note = "woken, to find its end in its row" if work.options.repair else ONLY_COMPARED
            work.report.add([Discrepancy("workflow_left", str(row.id), cause, work.options.repair, note)])


def waits_for_worker(found: Open, now: datetime) -> bool:
    """Return whether a workflow has been woken already, and nobody does its task."""
    return found.task_since is not None and found.task_since <= now - YOUNG


def say_waiting(found: Open) -> str:
    """Return why waking it again would do nothing."""
    assert found.task_since is not None
    since = f"{found.task_since:%Y-%m-%dT%H:%M:%SZ}"
    if found.task_attempt > 1:
        return f"its workflow task has failed {found.task_attempt - 1} time(s) since {since}: see the worker's log"
    return f"its workflow task waits for a worker since {since}: does one run for its task queue?"


# -- what is read and written ---------------------------------------------------------------------------------------


def wake(work: Work, kind: Kind, ids: Iterable[UUID]) -> None:
    """Have runs woken to look at their rows, and write down who had it done."""
    with work.database.write() as connection:
        now = work.clock()
        told = [(str(id), {"reason": "reconciled"}) for id in ids]
        outbox.put_all(connection, "wake_run", told, now)
        work.note(connection, kind, len(told), now)


def _note(work: Work, kind: Kind, count: int) -> None:
    with work.database.write() as connection:
        work.note(connection, kind, count, work.clock())


def _being_told(work: Work) -> Callable[[UUID], bool]:
    """Return whether a run's workflow is still to hear from the outbox that the run has ended."""
    subjects = (sa.and_(parcels.c.kind == "wake_ended_runs", parcels.c.subject == work.journey),)
    query = sa.select(parcels.c.subject).where(
        parcels.c.done_at.is_(None), sa.or_(parcels.c.kind == "wake_run", *subjects)
    )
    with work.database.read() as connection:
        waiting = set(connection.scalars(query))
    return lambda run_id: work.journey in waiting or str(run_id) in waiting


def _has_overlapping(work: Work) -> bool:
    # Version by version, as the index on runs begins: those that have ended are not looked at.
    versions = sa.select(journey_versions.c.version).where(journey_versions.c.journey_key == work.journey)
    query = sa.select(runs.c.id).where(
        runs.c.journey_key == work.journey,
        runs.c.version.in_(versions),
        runs.c.state.in_(("pending", "running")),
        runs.c.overlapping,
    )
    with work.database.read() as connection:
        return connection.execute(query.limit(1)).first() is not None


_ALONE: Final[sa.ColumnElement[bool]] = sa.literal_column("NOT runs.overlapping")
"""The condition of the index on open runs, in its own words: those that have ended, however many, are left out."""


def _open_of(work: Work, overlapping: bool) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [runs.c.journey_key == work.journey, runs.c.ended_at.is_(None)]
    return wanted if overlapping else [*wanted, _ALONE]


def _end_of_page(work: Work, after: UUID | None, overlapping: bool) -> UUID | None:
    """Return the last profile of the page of open runs behind ``after``; ``None`` if it is the last page."""
    query = sa.select(runs.c.profile_id).where(*_open_of(work, overlapping))
    if after is not None:
        query = query.where(runs.c.profile_id > after)
    with work.database.read() as connection:
        return connection.scalar(query.order_by(runs.c.profile_id).offset(PAGE - 1).limit(1))


def _open_rows(work: Work, after: UUID | None, upto: UUID | None, overlapping: bool) -> list[_Row]:
    query = sa.select(*_COLUMNS).where(*_open_of(work, overlapping))
    if after is not None:
        query = query.where(runs.c.profile_id > after)
    if upto is not None:
        query = query.where(runs.c.profile_id <= upto)
    with work.database.read() as connection:
        return [_Row(*row) for row in connection.execute(query)]


def _rows_of(work: Work, passages: Sequence[Passage]) -> dict[Passage, _Row]:
    """Return the rows of these passages, as far as there are any."""
    wanted = set(passages)
    found = {}
    with work.database.read() as connection:
        for some in chunks(sorted({profile_id for profile_id, _ in passages})):
            query = sa.select(*_COLUMNS).where(runs.c.journey_key == work.journey, runs.c.profile_id.in_(some))
            for row in connection.execute(query):
                each = _Row(*row)
                if each.passage in wanted:
                    found[each.passage] = each
    return found
