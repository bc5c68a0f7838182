"""Moving the runs inside to another version: where they stand, with their past, and asked anew.

Rows are written in one transaction, so that figures are true when it answers; the workflows are woken afterwards, at a
rate. A run that is moved is evaluated by the new version from then on: its wait is timed anew from when it arrived, and
by what the new version says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import Conflict, InvalidDocument, Problem
from wend.journeys.definition import JourneyVersion
from wend.journeys.graph import Graph
from wend.journeys.problems import did_you_mean
from wend.journeys.results import MovedIn, MovedOut
from wend.journeys.serial import dump_state, dump_why, load_state
from wend.journeys.state import EXIT, Mark, RunState
from wend.lifecycle import audit
from wend.lifecycle.publishing import IllegalTransition
from wend.lifecycle.versions import load_version
from wend.storage.database import chunks, hold_journey
from wend.storage.tables import moves, runs

MOVING_STATES = frozenset({"scheduled", "live", "paused", "closed"})

DEFAULT_RATE = 100
"""Moved runs woken per second, where nobody says another."""


class NothingToMove(Conflict):
    """The runs are where they are to be."""

    def __init__(self, journey: str, version: int) -> None:
        super().__init__(
            f"No run of journey {journey!r} can be moved to version {version}: none that fits waits inside."
        )
        self.journey = journey


@dataclass(frozen=True, slots=True)
class Moving:
    """Which runs are to be moved, and where to.

    Attributes:
        to: The version.
        from_versions: Only runs on these; on all others if it is empty.
        at_or_before: Only runs at this step, or at one from which it can still be reached.
        steps: Where a step is gone: its id → the id of the one that takes its place.
    """

    to: int
    from_versions: tuple[int, ...] = ()
    at_or_before: str | None = None
    steps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MovedRuns:
    """What a move does, or would do.

    Attributes:
        moving: Runs by version and step; those that have not begun stand at ``None``.
        sending: Runs that fit and are sending at this moment: they stay, and can be moved once they wait.
    """

    journey: str
    to: int
    moving: tuple[tuple[int, str | None, int], ...]
    sending: int

    @property
    def count(self) -> int:
        """How many are moved."""
        return sum(count for _, _, count in self.moving)


def preview_move(connection: Connection, key: str, moving: Moving) -> MovedRuns:
    """Return what ``move`` would do.

    Raises:
        NotFound: There is no such journey, or it has no such version.
        InvalidDocument: A step is gone and not mapped, or is mapped to one that is not there; every problem at once.
    """
    return _plan(connection, key, moving, lock=False)[0]


def move(
    connection: Connection,
    key: str,
    moving: Moving,
    now: datetime,
    *,
    rate: int = DEFAULT_RATE,
    by: str = audit.ITSELF,
) -> MovedRuns:
    """Move runs to another version, each once; their workflows are woken ``rate`` per second.

    Raises:
        NotFound: There is no such journey, or it has no such version.
        IllegalTransition: Nobody is inside any more.
        InvalidDocument: A step is gone and not mapped, or is mapped to one that is not there; every problem at once.
        NothingToMove: No run fits.
    """
    row = hold_journey(connection, key)
    if row.state not in MOVING_STATES:
        raise IllegalTransition(key, row.state, "moved", "Nobody is inside.")
    planned, chosen = _plan(connection, key, moving, lock=True)
    if not chosen:
        raise NothingToMove(key, moving.to)
    for some in chunks(chosen):
        _journal(connection, some, moving, now)
        _rewrite(connection, some, moving, now)
    outbox.put(connection, "wake_held_runs", key, now, {"rate": rate})
    told = {"to": moving.to, "runs": planned.count, "rate": rate, "steps": dict(moving.steps)}
    audit.note(connection, by, "move", now, journey=key, version=moving.to, detail=told)
    return planned


def _plan(connection: Connection, key: str, moving: Moving, *, lock: bool) -> tuple[MovedRuns, list[sa.Row[Any]]]:
    target = load_version(connection, key, moving.to)
    wanted = [runs.c.journey_key == key, runs.c.ended_at.is_(None), runs.c.version != moving.to]
    if moving.from_versions:
        wanted.append(runs.c.version.in_(moving.from_versions))
    columns = (runs.c.id, runs.c.journey_key, runs.c.version, runs.c.step, runs.c.moves, runs.c.kernel_state)
    # What parks has an instant until which it does; who has not begun has no answer yet.
    waits = sa.or_(runs.c.parked_until.is_not(None), runs.c.answer.is_(None))
    query = sa.select(*columns, waits.label("waits")).where(*wanted).order_by(runs.c.id)
    before: dict[int, frozenset[str]] = {}
    chosen, sending = [], 0
    for row in connection.execute(query.with_for_update(key_share=True) if lock else query):
        if moving.at_or_before is not None:
            if row.version not in before:
                before[row.version] = _at_or_before(load_version(connection, key, row.version), moving.at_or_before)
            if not before[row.version] or (row.step is not None and row.step not in before[row.version]):
                continue
        if row.waits:
            chosen.append(row)
        else:
            sending += 1
    if moving.at_or_before is not None and before and not any(before.values()):
        known = {step for number in before for step in load_version(connection, key, number).steps}
        told = (
            f"no version with runs inside has a step {moving.at_or_before!r}{did_you_mean(moving.at_or_before, known)}"
        )
        raise InvalidDocument(f"The move of journey {key!r} to version {moving.to}", [Problem("at_or_before", told)])
    counted = Counter((row.version, row.step) for row in chosen)
    _check_steps(key, target, moving, {step: count for (_, step), count in counted.items() if step is not None})
    by_place = sorted(counted.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    return MovedRuns(
        key, moving.to, tuple((version, step, count) for (version, step), count in by_place), sending
    ), chosen


def _at_or_before(version: JourneyVersion, step: str) -> frozenset[str]:
    """Return the steps of a version from which a step can be reached, itself included; none where it has none such."""
    graph = Graph(version.definition)
    if step not in graph.steps:
        return frozenset()
    return frozenset(each for each in graph.steps if step in graph.reachable([each]))


def _check_steps(key: str, target: JourneyVersion, moving: Moving, standing: Mapping[str, int]) -> None:
    problems = []
    for step, mapped in moving.steps.items():
        if mapped not in target.steps:
            hint = did_you_mean(mapped, target.steps)
            problems.append(Problem(f"steps.{step}", f"version {moving.to} has no step {mapped!r}{hint}"))
    for step, count in sorted(standing.items()):
        if step not in target.steps and step not in moving.steps:
            hint = did_you_mean(step, target.steps)
            told = (
                f"version {moving.to} has no such step{hint}, and {count} run(s) stand there; say which takes its place"
            )
            problems.append(Problem(f"steps.{step}", told))
    if problems:
        raise InvalidDocument(f"The move of journey {key!r} to version {moving.to}", problems)


def _journal(connection: Connection, chosen: Sequence[sa.Row[Any]], moving: Moving, now: datetime) -> None:
    """Write that each left its version and came into the other, so that the figures of both add up."""
    rows = []
    for run in chosen:
        shared = {"run_id": run.id, "journey_key": run.journey_key, "at": now}
        out, into = MovedOut(moving.to), MovedIn(run.version)
        step = moving.steps.get(run.step, run.step) if run.step else EXIT
        rows += [
            shared
            | {"number": run.moves + 1, "version": run.version, "from_step": run.step, "to_step": EXIT}
            | {"why_kind": out.kind, "why": dump_why(out)},
            shared
            | {"number": run.moves + 2, "version": moving.to, "from_step": None, "to_step": step}
            | {"why_kind": into.kind, "why": dump_why(into)},
        ]
    connection.execute(sa.insert(moves), rows)


def _rewrite(connection: Connection, chosen: Sequence[sa.Row[Any]], moving: Moving, now: datetime) -> None:
    ids = [run.id for run in chosen]
    begun = sa.case(
        (runs.c.answer.is_(None), None), else_=sa.func.coalesce(runs.c.held_at, sa.literal(now, runs.c.held_at.type))
    )
    values = {"version": moving.to, "moves": runs.c.moves + 2, "held_at": begun}
    connection.execute(sa.update(runs).where(runs.c.id.in_(ids)).values(**values))
    if not moving.steps:
        return
    for run in chosen:
        if run.kernel_state:
            state = _renamed(load_state(run.kernel_state), moving.steps)
            renamed = {"step": state.step, "kernel_state": dump_state(state)}
            connection.execute(sa.update(runs).where(runs.c.id == run.id).values(**renamed))


def _renamed(state: RunState, steps: Mapping[str, str]) -> RunState:
    """Return the state with the ids of steps replaced: where the run is, and what it did where.

    Visits of steps that become one are added up. Messages keep the ids that they were sent under; and since these are
    made of a step and a visit, the old step's visits stay counted: the new version may have another step of that id.
    """

    def new(step: str) -> str:
        return steps.get(step, step)

    visits: dict[str, int] = {}
    for step, count in state.visits.items():
        visits[new(step)] = visits.get(new(step), 0) + count
    consumed: dict[str, Mark] = {}
    for step, mark in state.consumed.items():
        consumed[new(step)] = max(mark, consumed.get(new(step), mark))
    return replace(
        state,
        step=new(state.step) if state.step else None,
        visits={step: max(visits.get(step, 0), state.visits.get(step, 0)) for step in (*state.visits, *visits)},
        sent=tuple(replace(each, step=new(each.step), sent_as=each.sent_as or each.step) for each in state.sent),
        consumed=consumed,
        unwaited=tuple(map(new, state.unwaited)),
    )
