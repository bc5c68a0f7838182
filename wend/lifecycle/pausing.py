"""Pause and resume: nothing is sent meanwhile, and nothing is lost.

A pause is a state of the journey's row, read by every claim and advance under the lock that the pause takes alone:
after its answer nothing is claimed. Runs are not touched. One that comes to a send is held there, and asked anew when
the journey goes on; a wait that is over leads on to the next send, or does not pass at all, as was chosen; events are
stored and count as ever.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import Conflict
from wend.lifecycle import audit
from wend.lifecycle.publishing import IllegalTransition
from wend.storage.database import hold_journey, lock_journey
from wend.storage.tables import entries, journeys, runs

PAUSING_STATES = frozenset({"scheduled", "live"})

DEFAULT_RATE = 100
"""Held runs woken per second, where nobody says another."""


class ResumesInThePast(Conflict):
    """A pause cannot end before it begins."""

    def __init__(self, journey: str, resume_at: datetime) -> None:
        super().__init__(
            f"Journey {journey!r} cannot go on at {resume_at:%Y-%m-%dT%H:%M:%SZ}: that has passed. "
            "Choose a later instant, or none, and resume it by hand."
        )
        self.journey = journey


@dataclass(frozen=True, slots=True)
class Pause:
    """What was chosen for a pause.

    Attributes:
        entries: What becomes of who would enter meanwhile: ``drop``: they do not, and are counted. ``queue``: they are
            given their verdicts as ever, and start when the journey goes on.
        waits: Whether waits for a duration ``run`` on, or ``freeze`` and go on where they stood. Dates stay dates.
        rate: Held runs woken per second when the journey goes on.
        state: The journey's state before.
        since: When the pause began, as ISO 8601; ``pause`` sets it.
    """

    entries: Literal["drop", "queue"] = "drop"
    waits: Literal["run", "freeze"] = "run"
    rate: int = DEFAULT_RATE
    state: str = "live"
    since: str | None = None


@dataclass(frozen=True, slots=True)
class PausedJourney:
    """The journey's new state, and how many runs are inside, and held."""

    journey: str
    state: str
    inside: int
    held: int


def pause(
    connection: Connection,
    key: str,
    chosen: Pause,
    now: datetime,
    *,
    resume_at: datetime | None = None,
    by: str = audit.ITSELF,
) -> PausedJourney:
    """Pause a journey: after the answer nothing is claimed until it is resumed.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It is neither scheduled nor live.
        ResumesInThePast: ``resume_at`` is not after now.
    """
    row = hold_journey(connection, key)
    if row.state not in PAUSING_STATES:
        raise IllegalTransition(key, row.state, "paused", "Only a scheduled or live one can.")
    if resume_at is not None and resume_at <= now:
        raise ResumesInThePast(key, resume_at)
    document = asdict(chosen) | {"state": row.state, "since": now.isoformat()}
    freezes = list(row.freezes or ())
    if chosen.waits == "freeze":
        freezes.append([now.isoformat(), None])
    connection.execute(
        sa.update(journeys)
        .where(journeys.c.key == key)
        .values(state="paused", pause=document, freezes=freezes, resume_at=resume_at, updated_at=now)
    )
    paused = _count(connection, key, "paused")
    told: dict[str, Any] = {"entries": chosen.entries, "waits": chosen.waits, "inside": paused.inside}
    if resume_at is not None:
        told["resume_at"] = resume_at.isoformat()
    audit.note(connection, by, "pause", now, journey=key, version=row.version, detail=told)
    return paused


def resume(
    connection: Connection, key: str, now: datetime, *, rate: int | None = None, by: str = audit.ITSELF
) -> PausedJourney:
    """Let a paused journey go on: held runs are woken, ``rate`` of them per second, and ask anew.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It is not paused.
    """
    row = hold_journey(connection, key)
    if row.state != "paused":
        raise IllegalTransition(key, row.state, "resumed", "Only a paused one can.")
    chosen = Pause(**row.pause)
    # A stretch never ends before it begins, also where another host's clock began it.
    freezes = [
        [from_at, to_at or max(now, datetime.fromisoformat(from_at)).isoformat()]
        for from_at, to_at in row.freezes or ()
    ]
    connection.execute(
        sa.update(journeys)
        .where(journeys.c.key == key)
        .values(state=chosen.state, pause=None, freezes=freezes, resume_at=None, updated_at=now)
    )
    outbox.put(connection, "wake_held_runs", key, now, {"rate": rate or chosen.rate})
    _start_queued(connection, key, now)
    outbox.put(connection, "ensure_schedule", key, now)
    resumed = _count(connection, key, chosen.state)
    told = {"held": resumed.held, "rate": rate or chosen.rate}
    audit.note(connection, by, "resume", now, journey=key, version=row.version, detail=told)
    return resumed


def resume_later(
    connection: Connection, key: str, resume_at: datetime, now: datetime, *, by: str = audit.ITSELF
) -> PausedJourney:
    """Have a paused journey go on by itself at an instant.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It is not paused.
        ResumesInThePast: ``resume_at`` is not after now.
    """
    row = hold_journey(connection, key)
    if row.state != "paused":
        raise IllegalTransition(key, row.state, "resumed", "Only a paused one can.")
    if resume_at <= now:
        raise ResumesInThePast(key, resume_at)
    connection.execute(sa.update(journeys).where(journeys.c.key == key).values(resume_at=resume_at, updated_at=now))
    told = {"resume_at": resume_at.isoformat()}
    audit.note(connection, by, "pause", now, journey=key, version=row.version, detail=told)
    return _count(connection, key, "paused")


def resume_due(connection: Connection, now: datetime) -> list[str]:
    """Resume every journey whose pause was to end by now; return their keys."""
    due = sa.select(journeys.c.key).where(journeys.c.state == "paused", journeys.c.resume_at <= now)
    resumed = []
    for key in sorted(connection.scalars(due)):  # in one order everywhere, whatever the database's collation
        row = lock_journey(connection, key, share=False)
        if row is not None and row.state == "paused" and row.resume_at is not None and row.resume_at <= now:
            resume(connection, key, now)
            resumed.append(key)
    return resumed


def _start_queued(connection: Connection, key: str, now: datetime) -> None:
    """Have those started who entered meanwhile: through the API one by one, by segment entry by entry."""
    asked_for = (
        sa.select(runs.c.id)
        .join(entries, entries.c.id == runs.c.entry_id)
        .where(runs.c.journey_key == key, runs.c.state == "pending", runs.c.claimed_at.is_(None))
        .where(entries.c.kind == "api")
    )
    outbox.put_all(connection, "start_run", [(str(run_id), {}) for run_id in connection.scalars(asked_for)], now)
    under_way = sa.select(entries.c.occurrence, entries.c.due_at).where(
        entries.c.journey_key == key, entries.c.state == "open", entries.c.kind != "api"
    )
    for occurrence, due_at in connection.execute(under_way).all():
        told = {"occurrence": occurrence, "due_at": due_at.isoformat(), "anew": True}
        outbox.put(connection, "enter", key, now, told)


def _count(connection: Connection, key: str, state: str) -> PausedJourney:
    counts = sa.select(sa.func.count(), sa.func.count(runs.c.held_at)).where(
        runs.c.journey_key == key, runs.c.ended_at.is_(None)
    )
    inside, held = connection.execute(counts).one()
    return PausedJourney(key, state, inside, held)
