"""From pending runs to workflows: claimed in batches, started, marked; it may be killed anywhere.

The first answer is decided when a run is claimed, and travels with its workflow's start. A run that was claimed and
perhaps never started is claimed again later, with the same answer and the same workflow id: Temporal refuses a second
workflow of one id, and that refusal is as good as a start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.entries import pacing
from wend.entries.pacing import INSTALLATION, Hold, Limits
from wend.errors import NotFound
from wend.journeys.definition import JourneyVersion
from wend.journeys.serial import load_plan
from wend.journeys.walltime import say_instant
from wend.lifecycle.versions import Versions
from wend.runs.decide import Answer, decide
from wend.runs.facts import read_profiles
from wend.storage.database import Database, lock_journey, lock_profiles, lock_runs
from wend.storage.tables import entries, journeys, runs
from wend.telemetry import Telemetry

CLAIM_LASTS = timedelta(seconds=20)
"""How long whoever claimed a run may take to start it, before somebody else does."""

BATCH = 50
"""Runs claimed in one transaction: some tens of milliseconds, so that a click never waits long for its turn."""


ENTRY_RATE = 20_000
"""Profiles per second that all journeys of an installation start together, unless it is told another rate."""

LOOK_AGAIN = timedelta(seconds=1)
"""How soon to look whether those that somebody else has claimed were started."""


LOOK_AT_PAUSE = timedelta(hours=1)
"""How often a fan-out looks whether a pause is over, if nobody tells it."""


@dataclass(frozen=True, slots=True)
class StartOrder:
    """One workflow to start. Where ``answer`` is ``None`` it begins by asking."""

    run_id: UUID
    journey: str
    version: int
    profile_id: UUID
    entry_id: UUID
    entry_number: int
    answer: Answer | None
    compiled: JourneyVersion


class Starter:
    """Claims pending runs for starting, and marks those that have their workflow.

    Args:
        database: Where runs and paces are.
        versions: Published versions.
        rate: Profiles per second that all journeys start together; starts through the API do not count.
        telemetry: Is told who got a workflow.
    """

    def __init__(
        self, database: Database, versions: Versions, rate: int = ENTRY_RATE, telemetry: Telemetry | None = None
    ) -> None:
        self._database = database
        self._versions = versions
        self._rate = rate
        self._telemetry = telemetry or Telemetry()

    def claim(self, entry_id: UUID, now: datetime, limit: int = BATCH) -> list[StartOrder]:
        """Claim runs of an entry that nobody is starting, as many as may start now; ``held`` tells when more may.

        Raises:
            NotFound: There is no such entry.
        """
        with self._database.read() as connection:
            journey, limits = self._limits(connection, entry_id)
            scope = pacing.journey_scope(journey)
            if limits is not None:
                limit = len(_choose(connection, entry_id, pacing.read_pace(connection, scope, now), limits, now, limit))
        if limits is None:
            with self._database.write() as connection:
                return self._claim(connection, _find(connection, entry_id, now, limit, limit), now, asks=False)
        if limit == 0 or (granted := self._reserve(limit, now)) == 0:
            return []
        with self._database.write() as connection:
            lock_journey(connection, journey)
            pace = pacing.lock_pace(connection, scope, now)
            chosen = _choose(connection, entry_id, pace, limits, now, granted)
            orders = self._claim(connection, chosen, now, asks=False)
            fresh = {row.id for row in chosen if row.claimed_at is None} & {order.run_id for order in orders}
            pace = pacing.used(pace, limits, now, len(fresh), len(orders) - len(fresh))
            pacing.write_pace(connection, scope, pace)
            return orders

    def held(self, entry_id: UUID, now: datetime) -> Hold | None:
        """Return until when no further run of an entry can be claimed, and why; ``None`` if none is left.

        Raises:
            NotFound: There is no such entry.
        """
        with self._database.read() as connection:
            journey, limits = self._limits(connection, entry_id)
            holds = []
            if connection.execute(_COLUMNS.where(runs.c.entry_id == entry_id, *_CLAIMED).limit(1)).first():
                holds.append(Hold(now + LOOK_AGAIN, "somebody else starts the rest"))  # or has died with it
            if _find_fresh(connection, entry_id, 1):
                holds.append(self._fresh_held(connection, journey, limits, now))
            return min(holds, key=lambda hold: hold.until, default=None)

    def _fresh_held(self, connection: Connection, journey: str, limits: Limits | None, now: datetime) -> Hold:
        """Return until when no run can be claimed that never was."""
        row = connection.execute(_PAUSED.where(journeys.c.key == journey)).one_or_none()
        if row is not None:
            until = min(row.resume_at or now + LOOK_AT_PAUSE, now + LOOK_AT_PAUSE)
            return Hold(max(until, now + LOOK_AGAIN), "the journey is paused")
        if limits is None:
            return Hold(now, "")
        own = pacing.held(pacing.read_pace(connection, pacing.journey_scope(journey), now), limits, now, BATCH)
        common = pacing.held(pacing.read_pace(connection, INSTALLATION, now), Limits(self._rate), now, BATCH)
        if common is not None and (own is None or common.until > own.until):
            return Hold(common.until, f"the installation's {common.why}")
        if own is None:
            return Hold(now, "")
        return Hold(own.until, f"{own.why}: goes on {say_instant(own.until, limits.zone)}")

    def claim_one(self, run_id: UUID, now: datetime) -> StartOrder | None:
        """Claim one run, whose workflow is to begin by asking: its first decision then has the server's time.

        No rate holds it back: it was asked for through the API, or claimed before.

        Returns:
            ``None`` where somebody is starting it, or it needs no workflow.
        """
        with self._database.write() as connection:
            query = sa.select(runs.c.id, runs.c.journey_key, runs.c.profile_id).where(
                runs.c.id == run_id, *_to_start(now)
            )
            orders = self._claim(connection, connection.execute(query).all(), now, asks=True)
            return orders[0] if orders else None

    def left(self, entry_id: UUID) -> int:
        """Return how many runs of the entry still need their workflow, claimed ones included."""
        with self._database.read() as connection:
            query = sa.select(sa.func.count()).where(runs.c.entry_id == entry_id, *_without_workflow())
            return connection.scalar(query) or 0

    def mark_started(self, started: Sequence[UUID], now: datetime) -> None:
        """Write down that these runs have their workflow."""
        with self._database.write() as connection:
            theirs = runs.c.id.in_(list(started))
            # A stop writes all rows of the journey, in an order of its own: without the lock, a deadlock.
            for journey in sorted(connection.scalars(sa.select(runs.c.journey_key).where(theirs).distinct())):
                lock_journey(connection, journey)
            lock_runs(connection, started)
            marking = sa.update(runs).where(theirs, runs.c.started_at.is_(None)).values(started_at=now)
            marked = connection.scalars(marking.returning(runs.c.journey_key)).all()
        self._telemetry.started(marked)

    def let_go(self, claimed: Sequence[UUID], now: datetime) -> None:
        """Have these runs claimed again by whoever comes next, at once: those that are not known to be started.

        They stay claimed: whoever claimed them may have started their workflows without learning of it.
        """
        with self._database.write() as connection:
            theirs = (runs.c.id.in_(list(claimed)), *_CLAIMED)
            for journey in sorted(connection.scalars(sa.select(runs.c.journey_key).where(*theirs).distinct())):
                lock_journey(connection, journey)
            lock_runs(connection, claimed)
            # By more than needs be: the next one's clock may be behind ours.
            connection.execute(sa.update(runs).where(*theirs).values(claimed_at=now - 2 * CLAIM_LASTS))

    def stranded(self, now: datetime, limit: int = BATCH) -> list[UUID]:
        """Return runs that were claimed long ago and are not known to have a workflow."""
        with self._database.read() as connection:
            query = sa.select(runs.c.id).where(*_CLAIMED, runs.c.claimed_at <= now - CLAIM_LASTS).limit(limit)
            return list(connection.scalars(query))

    def _limits(self, connection: Connection, entry_id: UUID) -> tuple[str, Limits | None]:
        """Return an entry's journey, and what holds its starts back; nothing does for one through the API."""
        query = (
            sa.select(entries.c.journey_key, entries.c.version, entries.c.kind, journeys.c.rate)
            .join(journeys, journeys.c.key == entries.c.journey_key)
            .where(entries.c.id == entry_id)
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound("entry", entry_id)
        if row.kind == "api":
            return row.journey_key, None
        version = self._versions.get(connection, row.journey_key, row.version)
        return row.journey_key, Limits.of(version, row.rate)

    def _reserve(self, wanted: int, now: datetime) -> int:
        """Reserve starts of the installation's rate; return how many."""
        limits = Limits(self._rate)
        with self._database.write() as connection:
            pace = pacing.lock_pace(connection, INSTALLATION, now)
            granted = min(wanted, pacing.in_rate(pace, limits.rate, now))
            if granted:
                pacing.write_pace(connection, INSTALLATION, pacing.used(pace, limits, now, granted))
            return granted

    def _claim(self, connection: Connection, chosen: Sequence[Any], now: datetime, *, asks: bool) -> list[StartOrder]:
        journeys_of = {key: lock_journey(connection, key) for key in sorted({row.journey_key for row in chosen})}
        lock_profiles(connection, [row.profile_id for row in chosen])
        locked = [
            run
            for run in lock_runs(connection, [row.id for row in chosen])
            if _needs_start(run, now) and not _is_held(journeys_of[run.journey_key], run)
        ]
        people = read_profiles(connection, {run.profile_id for run in locked})
        if locked:
            ids = [run.id for run in locked]
            connection.execute(sa.update(runs).where(runs.c.id.in_(ids)).values(claimed_at=now))
        orders = []
        for run in locked:
            version = self._versions.get(connection, run.journey_key, run.version)
            answer: Answer | None
            if run.answer is None:
                journey = journeys_of[run.journey_key]
                assert journey is not None
                profile = people.get(run.profile_id)
                answer = None if asks else decide(connection, journey, run, version, profile, now)
            else:
                answer = Answer(run.id, run.sequence, load_plan(run.answer), version.zone)
            orders.append(
                StartOrder(
                    run.id,
                    run.journey_key,
                    run.version,
                    run.profile_id,
                    run.entry_id,
                    run.entry_number,
                    answer,
                    version,
                )
            )
        return orders


def _is_held(journey: sa.Row[Any] | None, run: sa.Row[Any]) -> bool:
    """Return whether a run waits for its journey to go on; one that was claimed before may have its workflow."""
    return journey is not None and journey.state == "paused" and run.claimed_at is None


def _without_workflow() -> tuple[sa.ColumnElement[bool], ...]:
    """A run that ended before anybody claimed it needs no workflow; one that ended later may have been promised one."""
    return (runs.c.started_at.is_(None), sa.or_(runs.c.ended_at.is_(None), runs.c.claimed_at.is_not(None)))


def _to_start(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    free = sa.or_(runs.c.claimed_at.is_(None), runs.c.claimed_at <= now - CLAIM_LASTS)
    return (*_without_workflow(), free)


_PAUSED = sa.select(journeys.c.resume_at).where(journeys.c.state == "paused")
_COLUMNS = sa.select(runs.c.id, runs.c.journey_key, runs.c.profile_id, runs.c.claimed_at)
_CLAIMED = (runs.c.started_at.is_(None), runs.c.claimed_at.is_not(None))
_UNCLAIMED = (runs.c.started_at.is_(None), runs.c.claimed_at.is_(None), runs.c.ended_at.is_(None))


def _choose(
    connection: Connection, entry_id: UUID, pace: pacing.Pace, limits: Limits, now: datetime, limit: int
) -> list[Any]:
    """Return the runs of an entry that may be claimed now."""
    limit = min(limit, pacing.in_rate(pace, limits.rate, now))
    return _find(connection, entry_id, now, limit, pacing.under_ceiling(pace, limits, now, limit))


def _find(connection: Connection, entry_id: UUID, now: datetime, limit: int, most_fresh: int) -> list[Any]:
    """Return at most ``limit`` runs of an entry that nobody is starting: first those that somebody gave up starting."""
    given_up = _COLUMNS.where(runs.c.entry_id == entry_id, *_CLAIMED, runs.c.claimed_at <= now - CLAIM_LASTS)
    found = list(connection.execute(given_up.order_by(runs.c.claimed_at).limit(limit)))
    return found + _find_fresh(connection, entry_id, min(most_fresh, limit - len(found)))


def _find_fresh(connection: Connection, entry_id: UUID, most: int) -> list[Any]:
    """Return runs of an entry that nobody has claimed yet."""
    if most < 1:
        return []
    unclaimed = _COLUMNS.where(runs.c.entry_id == entry_id, *_UNCLAIMED)
    return list(connection.execute(unclaimed.order_by(runs.c.id).limit(most)))


def _needs_start(run: sa.Row[Any], now: datetime) -> bool:
    if run.started_at is not None or (run.ended_at is not None and run.claimed_at is None):
        return False
    return run.claimed_at is None or run.claimed_at <= now - CLAIM_LASTS
