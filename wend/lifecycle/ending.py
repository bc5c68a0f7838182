"""Close: nobody enters any more, runs finish. Stop: every run of every version ends, in one call.

A window that has ended closes its journey by itself. All of it holds the journey's lock alone, and every claim and
advance shares it: after the answer of a stop nothing is claimed any more. The runs' rows are written set-based in the
same transaction, so figures are true at once; the workflows are woken afterwards, at a rate, and find their end in
the row.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.journeys.results import Ended, Finish
from wend.journeys.serial import dump_plan, dump_why
from wend.journeys.state import EXIT
from wend.lifecycle import audit
from wend.lifecycle.publishing import IllegalTransition
from wend.lifecycle.versions import load_version
from wend.runs.settling import TOLD_OF, drop
from wend.storage.database import hold_journey, lock_journey
from wend.storage.tables import entries, journeys, moves, runs, sent_messages


@dataclass(frozen=True, slots=True)
class Ending:
    """How runs end that do not come to their end by themselves; ``detail`` is the error of those that fail."""

    outcome: Literal["exited", "stopped", "failed"]
    reason: str
    detail: str | None = None


STOPPED = Ending("stopped", "stopped")
RESTARTED = Ending("exited", "restarted")
"""The profile enters anew, and the journey's ``still_inside`` says ``restart``."""
TAKEN_OUT = Ending("exited", "taken_out")
"""Somebody took the person out."""
JOURNEY_CLOSED = Ending("exited", "journey_closed")
"""The journey's window has ended, and says that whoever is inside leaves then."""


@dataclass(frozen=True, slots=True)
class EndedJourney:
    """The journey's new state, and how many runs were inside."""

    journey: str
    state: str
    runs: int


def close(connection: Connection, key: str, now: datetime, *, by: str = audit.ITSELF) -> EndedJourney:
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
    audit.note(connection, by, "close", now, journey=key, detail={"inside": inside})
    return EndedJourney(key, "closed" if inside else "finished", inside)


def stop(connection: Connection, key: str, now: datetime, *, by: str = audit.ITSELF) -> EndedJourney:
    """End every run of every version now; nothing is claimed after the answer.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It was never published, or is over.
    """
    state = _lock(connection, key)
    if state in ("draft", "finished", "stopped"):
        raise IllegalTransition(key, state, "stopped")
    inside = _inside(connection, key)
    end_runs(connection, key, STOPPED, now)
    _end_entries(connection, key, now)
    _set(connection, key, "stopped", now)
    outbox.put(connection, "remove_schedule", key, now)
    audit.note(connection, by, "stop", now, journey=key, detail={"inside": inside})
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
    finished = list(connection.scalars(emptied))
    for key in finished:
        audit.note(connection, audit.ITSELF, "finish", now, journey=key)
    return finished


def close_due(connection: Connection, now: datetime) -> list[str]:
    """Close every journey whose window has ended; return their keys.

    Whoever is inside goes on, or leaves, as the newest version's window says.
    """
    due = sa.select(journeys.c.key).where(journeys.c.state.in_(("scheduled", "live")), journeys.c.closes_at < now)
    closed = []
    for key in sorted(connection.scalars(due)):  # in one order everywhere, whatever the database's collation
        row = lock_journey(connection, key, share=False)
        if row is None or row.state not in ("scheduled", "live") or row.closes_at is None or row.closes_at >= now:
            continue  # somebody else was quicker
        window = load_version(connection, key, row.version).definition.window
        if window is not None and window.inside == "exit":
            end_runs(connection, key, JOURNEY_CLOSED, now)
            _end_entries(connection, key, now)
        close(connection, key, now)
        closed.append(key)
    return closed


def _end_entries(connection: Connection, key: str, now: datetime) -> None:
    """Nobody is started any more by the entries that are under way."""
    under_way = (entries.c.journey_key == key, entries.c.state == "open")
    connection.execute(sa.update(entries).where(*under_way).values(state="done", finished_at=now))


def _lock(connection: Connection, key: str) -> str:
    return str(hold_journey(connection, key).state)


def _set(connection: Connection, key: str, state: str, now: datetime) -> None:
    values = {"state": state, "updated_at": now, "pause": None, "resume_at": None}
    if state != "closed":
        values["ended_at"] = now
    connection.execute(sa.update(journeys).where(journeys.c.key == key).values(**values))


def _inside(connection: Connection, key: str) -> int:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.ended_at.is_(None))
    return connection.scalar(query) or 0


def end_runs(connection: Connection, key: str, ending: Ending, now: datetime, *which: sa.ColumnElement[bool]) -> None:
    """End the open runs of a journey that fit, where they are, and have their workflows woken.

    The caller holds the journey's lock alone, or shares it and holds the profiles' locks. What a provider has already
    is not called back; what waits to be tried again is dropped.

    Args:
        connection: The transaction.
        key: The journey's.
        ending: How they end.
        now: The instant.
        which: Conditions on ``runs``; without any, all of them.
    """
    inside = (runs.c.journey_key == key, runs.c.ended_at.is_(None), *which)
    _lock_in_order(connection, *inside)
    # First what says where each run was: the journal, and the messages.
    _drop_sends(connection, ending, now, *inside)
    last_moves = sa.select(
        runs.c.id,
        runs.c.moves + 1,
        runs.c.journey_key,
        runs.c.version,
        sa.literal(now, moves.c.at.type),
        runs.c.step,
        sa.literal(EXIT),
        sa.literal("ended"),
        sa.literal(dump_why(Ended(ending.reason)), moves.c.why.type),
    ).where(*inside)
    columns = ["run_id", "number", "journey_key", "version", "at", "from_step", "to_step", "why_kind", "why"]
    connection.execute(sa.insert(moves).from_select(columns, last_moves))
    ended = connection.execute(
        sa.update(runs)
        .where(*inside)
        .values(
            state=ending.outcome,
            sequence=runs.c.sequence + 1,
            moves=runs.c.moves + 1,
            step=None,
            answer=dump_plan(Finish(ending.outcome, ending.reason, ending.detail)),
            listens=None,
            parked_until=None,
            held_at=None,
            # Never before the last decision, whichever clock that was made by.
            decided_at=sa.case((runs.c.decided_at > now, runs.c.decided_at), else_=now),
            reason=ending.reason,
            error=ending.detail,
            ended_at=now,
        )
    )
    if ended.rowcount:
        outbox.put(connection, "wake_ended_runs", key, now, {"since": now.isoformat()})


def _lock_in_order(connection: Connection, *which: sa.ColumnElement[bool]) -> None:
    """Lock runs by id, as whoever stores events or deletes a person does: they hold no lock of the journey."""
    if connection.dialect.name == "postgresql":
        ids = sa.select(runs.c.id).where(*which).order_by(runs.c.id).with_for_update(key_share=True)
        connection.execute(sa.select(sa.func.count()).select_from(ids.subquery()))


def _drop_sends(connection: Connection, ending: Ending, now: datetime, *which: sa.ColumnElement[bool]) -> None:
    """Settle sends that will not be tried again; one that is under way is settled by its attempt, or the next one."""

    def of(state: str, *more: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
        those = sa.select(runs.c.id).where(*which, *more)
        # What is sent again is no affair of the run's.
        apart = sent_messages.c.resend_asked_at.is_(None)
        return (sent_messages.c.state == state, sent_messages.c.run_id.in_(those), apart)

    # Who is held at a send that an attempt has died with has no attempt coming.
    released, claimed = of("released"), of("claimed", runs.c.parked_until.is_not(None))
    for those in (released, claimed):
        for row in connection.execute(sa.select(sent_messages).where(*those, TOLD_OF)).all():
            drop(connection, row, None, now, ending.reason)
    dropped = {"state": "refused", "settled_at": now, "reason": ending.reason, "only_key": None}
    connection.execute(sa.update(sent_messages).where(*released).values(**dropped))
    lost = {"state": "uncertain", "settled_at": now, "reason": "attempt_lost"}
    connection.execute(sa.update(sent_messages).where(*claimed).values(**lost))
