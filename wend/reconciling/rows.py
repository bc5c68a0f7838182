"""Rows against rows: ledger, journal, outbox, entries and figures of one journey. Temporal is not asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.serial import load_state
from wend.journeys.state import WAS_SENT, message_id
from wend.lifecycle.figures import JourneyFigures, read_figures
from wend.reconciling.asking import RECENTLY
from wend.reconciling.findings import ONLY_COMPARED, Discrepancy, Kind
from wend.reconciling.work import AT_ONCE, YOUNG, Work
from wend.runs.settling import drop
from wend.sends.operating import FORGOTTEN_AFTER
from wend.storage.database import CHUNK, chunks, lock_journey, lock_profiles, lock_runs
from wend.storage.tables import entries, exclusions, journey_versions, moves, runs, sent_messages
from wend.storage.tables import outbox as parcels

CLAIM_OVER: Final = timedelta(minutes=2)
"""When an attempt at a send has certainly ended: it is given half a minute."""


async def compare_rows(work: Work) -> None:
    """Compare a journey's rows with each other."""
    await work.in_thread(lambda: compare_ledger(work))
    await work.beat("messages")
    for what, compare in _READING.items():
        await work.in_thread(partial(_compare, work, compare))
        await work.beat(what)


def _compare(work: Work, compare: Callable[[Connection, Work], Iterator[Discrepancy]]) -> None:
    with work.database.read() as connection:
        work.report.add(compare(connection, work))


# -- ledger -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _LeftSend:
    """A send that nobody will try any more, and that is not settled."""

    id: UUID
    run_id: UUID
    profile_id: UUID
    claim: UUID
    kind: Kind
    cause: str
    resend_asked_at: datetime | None = None


def compare_ledger(work: Work) -> None:
    """Settle sends that their attempts have left behind: what was claimed as uncertain, what waited as refused."""
    now = work.clock()
    with work.database.read() as connection:
        left = [*_left_claims(connection, work.journey, now), *_left_releases(connection, work.journey)]
    if not work.options.repair:
        work.report.add(Discrepancy(each.kind, str(each.id), each.cause, note=ONLY_COMPARED) for each in left)
        return
    for some in chunks(left, AT_ONCE):
        settled = _settle(work, some, now)
        work.report.add(
            Discrepancy(each.kind, str(each.id), each.cause, True, f"settled as {state}") for each, state in settled
        )


_SEND = (
    sent_messages.c.id,
    sent_messages.c.run_id,
    sent_messages.c.profile_id,
    sent_messages.c.claim,
    sent_messages.c.claimed_at,
    sent_messages.c.resend_asked_at,
    runs.c.ended_at,
    runs.c.kernel_state,
)

_APART = sent_messages.c.resend_asked_at.is_(None)
"""What is sent again is no affair of the run's."""


def _left_claims(connection: Connection, journey: str, now: datetime) -> Iterator[_LeftSend]:
    query = (
        sa.select(*_SEND)
        .join(runs, runs.c.id == sent_messages.c.run_id)
        .where(
            sent_messages.c.journey_key == journey,
            sent_messages.c.state == sa.literal_column("'claimed'"),  # the condition of an index, in its own words
            sent_messages.c.claimed_at <= now - CLAIM_OVER,
            sa.or_(_APART, sent_messages.c.claimed_at <= now - FORGOTTEN_AFTER),
        )
        .order_by(sent_messages.c.claimed_at)
    )
    for row in connection.execute(query):
        if row.resend_asked_at is not None:
            how = "nobody is sending it again any more"
        elif row.ended_at is not None:
            how = "its run has ended"
        elif not _stands_at(row.run_id, row.kernel_state, row.id):
            how = "its run has gone on"
        else:
            continue  # it is sent by the next attempt, or the run is stuck
        cause = f"claimed at {row.claimed_at:%Y-%m-%dT%H:%M:%SZ}, and {how}"
        yield _LeftSend(row.id, row.run_id, row.profile_id, row.claim, "claim_left", cause, row.resend_asked_at)


def _stands_at(run_id: UUID, kernel_state: Any, message: UUID) -> bool:
    """Return whether a run stands at the send of a message."""
    state = load_state(kernel_state)
    return state.step is not None and message_id(run_id, state.step, state.visit) == message


def _left_releases(connection: Connection, journey: str) -> Iterator[_LeftSend]:
    query = (
        sa.select(*_SEND)
        .join(runs, runs.c.id == sent_messages.c.run_id)
        .where(
            sent_messages.c.journey_key == journey,
            sent_messages.c.state == "released",
            runs.c.ended_at.is_not(None),
            _APART,
        )
        .order_by(sent_messages.c.id)
    )
    for row in connection.execute(query):
        cause = "it waits to be tried again, and its run has ended"
        yield _LeftSend(row.id, row.run_id, row.profile_id, row.claim, "release_left", cause)


def _settle(work: Work, left: Sequence[_LeftSend], now: datetime) -> list[tuple[_LeftSend, str]]:
    """Settle those that are still as they were found; return them, each with how it stands now."""
    settled: list[tuple[_LeftSend, str]] = []
    with work.database.write() as connection:
        lock_journey(connection, work.journey)
        lock_profiles(connection, [each.profile_id for each in left])
        by_id = {run.id: run for run in lock_runs(connection, [each.run_id for each in left])}
        query = sa.select(sent_messages).where(sent_messages.c.id.in_([each.id for each in left]))
        rows = {row.id: row for row in connection.execute(query)}
        for each in left:
            row, run = rows.get(each.id), by_id.get(each.run_id)
            if row is None or run is None or (row.claim, row.resend_asked_at) != (each.claim, each.resend_asked_at):
                continue
            wanted = "claimed" if each.kind == "claim_left" else "released"
            if row.state != wanted:
                continue
            if each.resend_asked_at is not None:
                # Also where its workflow is only late: that finds itself not asked for any more, and calls nobody.
                ended = sa.update(sent_messages).where(sent_messages.c.id == each.id)
                connection.execute(ended.values(resend_asked_at=None))
            elif run.ended_at is None and _stands_at(run.id, run.kernel_state, each.id):
                continue
            settled.append((each, drop(connection, row, None, now, "run_went_on")))
        for kind in sorted({each.kind for each, _ in settled}):
            work.note(connection, kind, sum(each.kind == kind for each, _ in settled), now)
    return settled


# -- journal ------------------------------------------------------------------------------------------------------


def compare_journal(connection: Connection, work: Work) -> Iterator[Discrepancy]:
    """Yield sends and moves by a send that do not know of each other; routinely those of runs that began lately."""
    mine = [runs.c.journey_key == work.journey]
    if work.options.routine:
        mine.append(runs.c.created_at > work.clock() - RECENTLY)
    told = moves.c.why["message_id"].as_string()
    moved = sa.exists(
        sa.select(moves.c.number).where(
            moves.c.run_id == runs.c.id,
            moves.c.why_kind == "message_settled",
            told == _as_text(connection, sent_messages.c.id),
        )
    )
    # Who was ended or moved while a provider had the message left its step without a word of it.
    left = sa.exists(
        sa.select(moves.c.number).where(
            moves.c.run_id == runs.c.id,
            moves.c.why_kind.in_(("ended", "moved_out")),
            moves.c.from_step == sent_messages.c.step,
        )
    )
    sends = (
        sa.select(sent_messages.c.id, sent_messages.c.run_id, sent_messages.c.step, runs.c.kernel_state)
        .join(runs, runs.c.id == sent_messages.c.run_id)
        .where(*mine, sent_messages.c.state == "accepted", ~moved, ~left)
    )
    for row in connection.execute(sends):
        # One that its run stands at is found accepted by the next attempt, and the run goes on.
        if not _stands_at(row.run_id, row.kernel_state, row.id):
            cause = f"run {row.run_id} left step {row.step!r} otherwise than by it"
            yield Discrepancy("send_unjournaled", str(row.id), cause, note=_BY_HAND)
    row_there = sa.exists(
        sa.select(sent_messages.c.id).where(
            sent_messages.c.run_id == runs.c.id, told == _as_text(connection, sent_messages.c.id)
        )
    )
    outcome = moves.c.why["outcome"].as_string()
    settled = (
        sa.select(runs.c.id, moves.c.number, moves.c.from_step, outcome.label("outcome"))
        .join(moves, moves.c.run_id == runs.c.id)
        .where(*mine, moves.c.why_kind == "message_settled", outcome.in_(sorted(WAS_SENT)), ~row_there)
    )
    for row in connection.execute(settled):
        cause = f"its move {row.number}, from {row.from_step!r}, says {row.outcome}, and the ledger has no such send"
        yield Discrepancy("send_unwritten", str(row.id), cause, note=_BY_HAND)


_CHANGED: Final = "a defect, or rows that somebody has changed by hand"
_BY_HAND: Final = "nobody can say which of the two is right; see them with: wend run"


def _as_text(connection: Connection, id: sa.ColumnElement[UUID]) -> sa.ColumnElement[str]:
    """Return SQL of an id as JSON has it: with its dashes."""
    if connection.dialect.name == "postgresql":
        return sa.cast(id, sa.Text)
    text = sa.type_coerce(id, sa.String)
    parts = [sa.func.substr(text, start, length) for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))]
    whole: sa.ColumnElement[str] = parts[0]
    for part in parts[1:]:
        whole = whole + "-" + part
    return whole


# -- outbox -------------------------------------------------------------------------------------------------------


def compare_outbox(connection: Connection, work: Work) -> Iterator[Discrepancy]:
    """Yield what the outbox has been holding for more than a minute, and why."""
    now = work.clock()
    # What is put off by those who wrote it has no error, and is not due.
    put_off = sa.and_(parcels.c.due_at > now, parcels.c.error.is_(None))
    query = sa.select(parcels).where(
        parcels.c.done_at.is_(None),
        parcels.c.created_at <= now - YOUNG,
        ~put_off,
        parcels.c.kind != "reconcile",  # one that waits for this one to end
    )
    # Some at a time: after an outage a million may wait, of all journeys.
    with connection.execute(query.order_by(parcels.c.id).execution_options(yield_per=CHUNK)) as rows:
        for some in rows.partitions():
            mine = _of_journey(connection, work.journey, [row.subject for row in some])
            for row in some:
                if row.subject in mine:
                    yield _say_waiting(row)


def _say_waiting(row: sa.Row[Any]) -> Discrepancy:
    cause = f"{row.kind.replace('_', ' ')}, since {row.created_at:%Y-%m-%dT%H:%M:%SZ}"
    if row.error:
        note = f"the relay has tried {row.attempts} time(s), the last: {row.error}"
    else:
        note = "the relay has not tried yet: does one run?"
    return Discrepancy("outbox_waiting", row.subject, cause, note=note)


def _of_journey(connection: Connection, journey: str, subjects: Sequence[str]) -> set[str]:
    """Return those subjects of the outbox's rows that are the journey, its runs, or their messages."""
    ids = [id for subject in subjects if (id := _read_id(subject)) is not None]
    mine = {journey}
    for table in (runs, sent_messages):
        query = sa.select(table.c.id).where(table.c.id.in_(ids), table.c.journey_key == journey)
        mine.update(str(id) for id in connection.scalars(query))
    return mine


def _read_id(subject: str) -> UUID | None:
    try:
        return UUID(subject)
    except ValueError:
        return None  # a journey's key


# -- entries and figures ------------------------------------------------------------------------------------------


def compare_entries(connection: Connection, work: Work) -> Iterator[Discrepancy]:
    """Yield entries whose members are not all runs or exclusions; routinely those that were due lately."""
    mine = [entries.c.journey_key == work.journey]
    if work.options.routine:
        mine.append(entries.c.due_at > work.clock() - RECENTLY)
    entered = sa.select(sa.func.count()).where(runs.c.entry_id == entries.c.id).scalar_subquery()
    excluded = sa.select(sa.func.count()).where(exclusions.c.entry_id == entries.c.id).scalar_subquery()
    query = sa.select(entries.c.id, entries.c.occurrence, entries.c.members, entered, excluded).where(
        *mine, entries.c.members != entered + excluded
    )
    for id, occurrence, members, ran, left_out in connection.execute(query):
        cause = f"{occurrence}: {members} members, but {ran} runs and {left_out} exclusions"
        yield Discrepancy("entry_uneven", str(id), cause, note=_CHANGED)


def compare_figures(connection: Connection, work: Work) -> Iterator[Discrepancy]:
    """Yield figures of a journey and of its versions that do not add up."""
    numbers = connection.scalars(
        sa.select(journey_versions.c.version)
        .where(journey_versions.c.journey_key == work.journey)
        .order_by(journey_versions.c.version)
    ).all()
    for number in (None, *(numbers if len(numbers) > 1 else ())):
        figures = read_figures(connection, work.journey, [], number)
        subject = work.journey if number is None else f"{work.journey}, version {number}"
        for cause in uneven(figures):
            yield Discrepancy("figures_uneven", subject, cause, note=_CHANGED)


def uneven(figures: JourneyFigures) -> Iterator[str]:
    """Yield in words what of the figures does not add up."""
    came, gone = figures.entered + figures.moved_in, sum(figures.outcomes.values()) + figures.moved_out
    if came != figures.inside + gone:
        yield f"{came} came in, but {figures.inside} are inside and {gone} have left"
    if figures.members != figures.entered + sum(figures.excluded.values()):
        excluded = sum(figures.excluded.values())
        yield f"{figures.members} members, but {figures.entered} entered and {excluded} were excluded"
    for step in figures.steps:
        if step.entered != step.here + sum(step.left.values()):
            left = sum(step.left.values())
            yield f"{step.entered} came to step {step.step!r}, but {step.here} are there and {left} have left it"


_READING: Final[Mapping[str, Callable[[Connection, Work], Iterator[Discrepancy]]]] = {
    "journal": compare_journal,
    "outbox": compare_outbox,
    "entries": compare_entries,
    "figures": compare_figures,
}
"""What is named and not repaired."""
