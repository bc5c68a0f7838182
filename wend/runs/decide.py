"""One decision: the kernel is asked, its moves are journaled, its answer is written to the run's row.

The row is the authority on where a run is; histories hold copies of its answers. So a decision always starts from
the state stored in the row, under the locks journey → profile → run, and never from what a workflow remembers.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from wend.errors import WendError
from wend.journeys.advance import advance
from wend.journeys.definition import JourneyVersion
from wend.journeys.facts import ProfileView
from wend.journeys.results import Ended, Finish, Move, Park, Plan, SetAttributes
from wend.journeys.serial import dump_listens, dump_plan, dump_state, dump_why, load_plan, load_state
from wend.journeys.state import EXIT, RunState, message_id
from wend.runs.facts import StoredFacts, read_freezes, read_profile
from wend.runs.settling import drop_others
from wend.storage.tables import moves, profiles, runs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run is told to do next.

    Attributes:
        run_id: Whose answer this is.
        sequence: Numbers the answers of a run; a workflow names the one that it holds.
        plan: What to do.
        zone: The journey's, for people to read instants in.
        made: The moves that led here, for people to read; empty where a stored answer is given again.
    """

    run_id: UUID
    sequence: int
    plan: Plan
    zone: ZoneInfo
    made: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class Walked:
    """Where the kernel's walk came to, effects included."""

    state: RunState
    moves: tuple[Move, ...]
    plan: Plan


def decide(
    connection: Connection,
    journey: sa.Row[Any],
    run: sa.Row[Any],
    version: JourneyVersion,
    profile: ProfileView | None,
    now: datetime,
    state: RunState | None = None,
) -> Answer:
    """Decide for a locked run and write everything down.

    Args:
        connection: The transaction that holds the locks.
        journey: The journey's row, as it is under its lock.
        run: The run's row, as it is under its lock.
        version: The version that the run is on.
        profile: The profile as it is now.
        now: The decision's instant; the row's last one is used where that is later.
        state: The state to go on from, where the caller has just added a send's outcome to it.
    """
    now = max(now, run.decided_at) if run.decided_at else now
    before = state if state is not None else load_state(run.kernel_state)
    walked = _walk(connection, journey, run, version, profile, now, before)
    if run.held_at is not None:
        # It may have been held at a send that had been tried before, and go elsewhere: no attempt comes by any more.
        drop_others(connection, run.id, _stands_at(run.id, walked), None, now)
    if state is None and not walked.moves and run.answer and walked.plan == load_plan(run.answer):
        # A park that was asked again and still waits: nothing new was answered.
        held_at = run.held_at if isinstance(walked.plan, Park) and walked.plan.held else None
        looked = {"decided_at": now, "woken": False, "held_at": held_at}
        connection.execute(sa.update(runs).where(runs.c.id == run.id).values(**looked))
        return Answer(run.id, run.sequence, walked.plan, version.zone)
    journal(connection, run, walked.moves)
    _write(connection, run, walked, now)
    return Answer(run.id, run.sequence + 1, walked.plan, version.zone, walked.moves)


def _stands_at(run_id: UUID, walked: Walked) -> UUID | None:
    """Return the id of the message that the run may be about to send."""
    step = walked.state.step
    if step is None or isinstance(walked.plan, Finish):
        return None
    return message_id(run_id, step, walked.state.visit)


def _walk(
    connection: Connection,
    journey: sa.Row[Any],
    run: sa.Row[Any],
    version: JourneyVersion,
    profile: ProfileView | None,
    now: datetime,
    state: RunState,
) -> Walked:
    made: list[Move] = []
    is_held, freezes = journey.state == "paused", read_freezes(journey.freezes)
    while True:
        facts = StoredFacts(connection, now, run.id, profile, run.properties, run.joined_at, is_held, freezes)
        try:
            answer = advance(version, state, facts)
        except (WendError, SQLAlchemyError):
            raise
        except Exception as bug:  # noqa: BLE001
            # A defect must not leave the person hanging in silence: the run ends where everybody can see it. What the
            # exception says may quote an attribute, so the log says only where it was raised.
            at = "".join(traceback.format_tb(bug.__traceback__))
            log.error("run failed by a defect", run_id=str(run.id), step=state.step, defect=type(bug).__name__, at=at)
            end = Move(state.step, EXIT, now, Ended("internal_error"))
            return Walked(state, (*made, end), Finish("failed", "internal_error", type(bug).__name__))
        made.extend(answer.moves)
        if not isinstance(answer.then, SetAttributes):
            return Walked(answer.state, tuple(made), answer.then)
        profile = _set_attributes(connection, run.profile_id, answer.then, now)
        state = answer.state.with_effect()


def _set_attributes(
    connection: Connection, profile_id: UUID, effect: SetAttributes, now: datetime
) -> ProfileView | None:
    profile = read_profile(connection, profile_id)
    if profile is None:
        return None
    merged = {**profile.attributes, **effect.attributes}
    kept = {name: value for name, value in merged.items() if value is not None}
    connection.execute(sa.update(profiles).where(profiles.c.id == profile_id).values(attributes=kept, updated_at=now))
    return read_profile(connection, profile_id)


def journal(connection: Connection, run: sa.Row[Any], made: Sequence[Move]) -> None:
    """Write moves behind those that the run has made before."""
    if not made:
        return
    connection.execute(
        sa.insert(moves),
        [
            {
                "run_id": run.id,
                "number": run.moves + place,
                "journey_key": run.journey_key,
                "version": run.version,
                "at": move.at,
                "from_step": move.from_step,
                "to_step": move.to_step,
                "why_kind": move.why.kind,
                "why": dump_why(move.why),
            }
            for place, move in enumerate(made, start=1)
        ],
    )


def _write(connection: Connection, run: sa.Row[Any], walked: Walked, now: datetime) -> None:
    plan = walked.plan
    values: dict[str, Any] = {
        "state": "running",
        "sequence": run.sequence + 1,
        "step": walked.state.step,
        "kernel_state": dump_state(walked.state),
        "answer": dump_plan(plan),
        "moves": run.moves + len(walked.moves),
        "listens": dump_listens(plan.listens) if isinstance(plan, Park) else None,
        "parked_until": plan.until if isinstance(plan, Park) else None,
        "held_at": (run.held_at or now) if isinstance(plan, Park) and plan.held else None,
        "woken": False,
        # An event from a clock that is ahead can have brought the run to its step later than now.
        "decided_at": max(now, walked.state.arrived_at or now),
    }
    if isinstance(plan, Finish):
        values |= {
            "state": plan.outcome,
            "step": None,
            "reason": plan.reason,
            "error": plan.detail,
            "ended_at": now,
        }
    connection.execute(sa.update(runs).where(runs.c.id == run.id).values(**values))
