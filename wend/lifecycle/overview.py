"""How every journey stands that is not over, at a glance: asked every few seconds by whoever watches.

Each figure is served by an index, and costs what it tells of: journeys, versions, runs that are inside, what was sent
in the last minute, and runs that failed, which only grow.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.lifecycle.versions import Versions
from wend.storage.tables import entries, journey_versions, journeys, runs, sent_messages

LATE_AFTER = timedelta(seconds=5)
"""How long a run may be due without anything being wrong: its workflow is on its way to ask."""

LATELY = timedelta(minutes=1)
"""What is sent lately is counted over this."""

_OVER = ("finished", "stopped")
_SENT = ("claimed", "accepted", "uncertain")


@dataclass(frozen=True, slots=True)
class StandingAt:
    """How many runs are at a step."""

    step: str
    here: int


@dataclass(frozen=True, slots=True)
class JourneyAtWork:
    """A journey that is not over. ``inside`` = ``pending`` + ``here`` of every step.

    Attributes:
        version: The newest published one, 0 if there is none yet.
        inside: Runs that have not ended.
        held: Those of them that wait for the pause to end, or to be woken after it or after they were moved.
        pending: Those that have not made their first move.
        steps: Where somebody is; in the newest version's order, then those that it does not have.
        sent_last_minute: Messages that went to a provider within ``LATELY``.
        failed: Runs that failed, ever.
        overdue: For how long the run has been due that is due longest; nothing up to ``LATE_AFTER``.
        missed: Occurrences that took nobody in.
        resume_at: When it goes on by itself.
    """

    key: str
    name: str
    state: str
    version: int
    inside: int
    held: int
    pending: int
    steps: tuple[StandingAt, ...]
    sent_last_minute: int
    failed: int
    overdue: timedelta
    missed: int
    resume_at: datetime | None


def read_overview(connection: Connection, versions: Versions, now: datetime) -> list[JourneyAtWork]:
    """Return every journey that is not over, by key.

    Args:
        connection: A transaction.
        versions: Published versions.
        now: The instant.
    """
    columns = (journeys.c.key, journeys.c.name, journeys.c.state, journeys.c.version, journeys.c.resume_at)
    looked_up = (_due_longest().label("due_longest"), _sent(now).label("sent"))
    query = sa.select(*columns, *looked_up).where(journeys.c.state.not_in(_OVER))
    counted = _count_runs(connection)
    held, missed = _held(connection), _missed(connection)
    found = []
    for row in connection.execute(query.order_by(journeys.c.key)).all():
        runs_of = counted.get(row.key, _Runs())
        order = list(versions.get(connection, row.key, row.version).steps) if runs_of.here else []
        due = now - row.due_longest if row.due_longest is not None else timedelta(0)
        found.append(
            JourneyAtWork(
                key=row.key,
                name=row.name,
                state=row.state,
                version=row.version,
                inside=runs_of.pending + sum(runs_of.here.values()),
                held=held.get(row.key, 0),
                pending=runs_of.pending,
                steps=tuple(StandingAt(step, runs_of.here[step]) for step in _in_order(runs_of.here, order)),
                sent_last_minute=row.sent,
                failed=runs_of.failed,
                overdue=due if due > LATE_AFTER else timedelta(0),
                missed=missed.get(row.key, 0),
                resume_at=row.resume_at,
            )
        )
    return found


@dataclass(slots=True)
class _Runs:
    """Those of one journey."""

    pending: int = 0
    failed: int = 0
    here: Counter[str] = field(default_factory=Counter)


def _in_order(here: Counter[str], order: Sequence[str]) -> list[str]:
    return [step for step in order if step in here] + sorted(here.keys() - set(order))


def _count_runs(connection: Connection) -> dict[str, _Runs]:
    """Count version by version, and state by state, as the index on runs begins: others are not looked at."""
    pending = sa.select(sa.func.count()).where(*_of_version("pending")).scalar_subquery()
    failed = sa.select(sa.func.count()).where(*_of_version("failed")).scalar_subquery()
    running = sa.exists(sa.select(runs.c.id).where(*_of_version("running")))
    by_version = (
        sa.select(journey_versions.c.journey_key, journey_versions.c.version, pending, failed, running)
        .join(journeys, journeys.c.key == journey_versions.c.journey_key)
        .where(journeys.c.state.not_in(_OVER))
    )
    counted: dict[str, _Runs] = {}
    for key, version, those_pending, those_failed, has_running in connection.execute(by_version).all():
        runs_of = counted.setdefault(key, _Runs())
        runs_of.pending += those_pending
        runs_of.failed += those_failed
        if has_running:
            by_step = sa.select(runs.c.step, sa.func.count()).where(
                runs.c.journey_key == key, runs.c.version == version, runs.c.state == "running"
            )
            runs_of.here.update(dict(connection.execute(by_step.group_by(runs.c.step)).all()))
    return counted


def _of_version(state: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        runs.c.journey_key == journey_versions.c.journey_key,
        runs.c.version == journey_versions.c.version,
        runs.c.state == state,
    )


def _due_longest() -> sa.ScalarSelect[datetime]:
    """Return the earliest instant at which a run of the journey is to be woken: the first of its index."""
    return (
        sa.select(sa.func.min(runs.c.parked_until))
        .where(
            runs.c.journey_key == journeys.c.key,
            # the condition of the index, in its own words
            runs.c.parked_until.is_not(None),
            runs.c.held_at.is_(None),
            runs.c.ended_at.is_(None),
        )
        .scalar_subquery()
    )


def _held(connection: Connection) -> dict[str, int]:
    held = (
        sa.select(runs.c.journey_key, sa.func.count())
        .where(runs.c.held_at.is_not(None), runs.c.ended_at.is_(None))
        .group_by(runs.c.journey_key)
    )
    return dict(connection.execute(held).all())


def _sent(now: datetime) -> sa.ScalarSelect[int]:
    """Return how many messages of the journey went to a provider lately."""
    return (
        sa.select(sa.func.count())
        .where(
            sent_messages.c.journey_key == journeys.c.key,
            sent_messages.c.claimed_at > now - LATELY,
            sent_messages.c.state.in_(_SENT),
        )
        .scalar_subquery()
    )


def _missed(connection: Connection) -> dict[str, int]:
    missed = (
        sa.select(entries.c.journey_key, sa.func.count())
        .where(entries.c.state != sa.literal_column("'done'"), entries.c.state == "missed")
        .group_by(entries.c.journey_key)
    )
    return dict(connection.execute(missed).all())
