"""Close: nobody enters any more, runs finish. Stop: every run of every version ends, in one call.

Both hold the journey's lock alone, and every claim and advance shares it: after the answer of a stop nothing is
claimed any more. The runs' rows are written set-based in the same transaction, so figures are true at once; the
workflows are woken afterwards, at a rate, and find their end in the row.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import NotFound
from wend.journeys.results import Ended, Finish
from wend.journeys.serial import dump_plan, dump_why
from wend.journeys.state import EXIT
from wend.lifecycle.publishing import IllegalTransition
from wend.storage.database import lock_journey
from wend.storage.tables import entries, journeys, moves, runs, sent_messages


@dataclass(frozen=True, slots=True)
class EndedJourney:
    """The journey's new state, and how many runs were inside."""

    journey: str
    state: str
    runs: int


def close(connection: Connection, key: str, now: datetime) -> EndedJourney:
    """Take nobody in any more; those inside go on to their end, and then the journey is finished.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It is neither scheduled nor live.
    """
    state = _lock(connection, key)
    if state not in ("scheduled", "live"):
        raise IllegalTransition(key, state, "closed")
    inside = _inside(connection, key)
    _set(connection, key, "closed" if inside else "finished", now)
    outbox.put(connection, "remove_schedule", key, now)
    return EndedJourney(key, "closed" if inside else "finished", inside)


def stop(connection: Connection, key: str, now: datetime) -> EndedJourney:
    """End every run of every version now; nothing is claimed after the answer.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It was never published, or is over.
    """
    state = _lock(connection, key)
    if state in ("draft", "finished", "stopped"):
        raise IllegalTransition(key, state, "stopped")
    inside = _inside(connection, key)
    _end_runs(connection, key, now)
    connection.execute(
        sa.update(entries)
        .where(entries.c.journey_key == key, entries.c.state == "open")
        .values(state="done", finished_at=now)
    )
    _set(connection, key, "stopped", now)
    outbox.put(connection, "remove_schedule", key, now)
    outbox.put(connection, "wake_ended_runs", key, now, {"since": now.isoformat()})
    return EndedJourney(key, "stopped", inside)


def finish_emptied(connection: Connection, now: datetime) -> list[str]:
    """Finish every closed journey that has nobody inside any more; return their keys."""
    open_runs = sa.select(runs.c.id).where(runs.c.journey_key == journeys.c.key, runs.c.ended_at.is_(None))
    emptied = (
        sa.update(journeys)
        .where(journeys.c.state == "closed", ~sa.exists(open_runs))
        .values(state="finished", ended_at=now, updated_at=now)
        .returning(journeys.c.key)
    )
    return list(connection.scalars(emptied))


def _lock(connection: Connection, key: str) -> str:
    row = lock_journey(connection, key, share=False)
    if row is None:
        raise NotFound("journey", key)
    return str(row.state)


def _set(connection: Connection, key: str, state: str, now: datetime) -> None:
    ended = {} if state == "closed" else {"ended_at": now}
    connection.execute(sa.update(journeys).where(journeys.c.key == key).values(state=state, updated_at=now, **ended))


def _inside(connection: Connection, key: str) -> int:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.ended_at.is_(None))
    return connection.scalar(query) or 0


def _end_runs(connection: Connection, key: str, now: datetime) -> None:
    inside = (runs.c.journey_key == key, runs.c.ended_at.is_(None))
    # The journal first: it says where each run was.
    last_moves = sa.select(
        runs.c.id,
        runs.c.moves + 1,
        runs.c.journey_key,
        runs.c.version,
        sa.literal(now, moves.c.at.type),
        runs.c.step,
        sa.literal(EXIT),
        sa.literal("ended"),
        sa.literal(dump_why(Ended("stopped")), moves.c.why.type),
    ).where(*inside)
    columns = ["run_id", "number", "journey_key", "version", "at", "from_step", "to_step", "why_kind", "why"]
    connection.execute(sa.insert(moves).from_select(columns, last_moves))
    connection.execute(
        sa.update(runs)
        .where(*inside)
        .values(
            state="stopped",
            sequence=runs.c.sequence + 1,
            moves=runs.c.moves + 1,
            step=None,
            answer=dump_plan(Finish("stopped", "stopped")),
            listens=None,
            parked_until=None,
            # Never before the last decision, whichever clock that was made by.
            decided_at=sa.case((runs.c.decided_at > now, runs.c.decided_at), else_=now),
            reason="stopped",
            ended_at=now,
        )
    )
    # What waits to be tried again is dropped; what is claimed says itself how it ends.
    connection.execute(
        sa.update(sent_messages)
        .where(sent_messages.c.journey_key == key, sent_messages.c.state == "released")
        .values(state="refused", settled_at=now, reason="stopped", only_key=None)
    )
