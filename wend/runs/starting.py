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

from wend.journeys.definition import JourneyVersion
from wend.journeys.serial import load_plan
from wend.lifecycle.versions import Versions
from wend.runs.decide import Answer, decide
from wend.runs.facts import read_profiles
from wend.storage.database import Database, lock_journey, lock_profiles, lock_runs
from wend.storage.tables import runs

CLAIM_LASTS = timedelta(seconds=20)
"""How long whoever claimed a run may take to start it, before somebody else does."""

BATCH = 50
"""Runs claimed in one transaction: some tens of milliseconds, so that a click never waits long for its turn."""


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
    """Claims pending runs for starting, and marks those that have their workflow."""

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    def claim(self, entry_id: UUID, now: datetime, limit: int = BATCH) -> list[StartOrder]:
        """Claim runs of an entry that nobody is starting; fewer than ``limit``, and more may come later."""
        with self._database.write() as connection:
            query = (
                sa.select(runs.c.id, runs.c.journey_key, runs.c.profile_id)
                .where(runs.c.entry_id == entry_id, *_to_start(now))
                .order_by(runs.c.id)
                .limit(limit)
            )
            return self._claim(connection, connection.execute(query).all(), now, asks=False)

    def claim_one(self, run_id: UUID, now: datetime) -> StartOrder | None:
        """Claim one run, whose workflow is to begin by asking: its first decision then has the server's time.

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
            connection.execute(sa.update(runs).where(theirs, runs.c.started_at.is_(None)).values(started_at=now))

    def stranded(self, now: datetime, limit: int = BATCH) -> list[UUID]:
        """Return runs that were claimed long ago and are not known to have a workflow."""
        with self._database.read() as connection:
            query = (
                sa.select(runs.c.id)
                .where(runs.c.started_at.is_(None), runs.c.claimed_at <= now - CLAIM_LASTS)
                .limit(limit)
            )
            return list(connection.scalars(query))

    def _claim(self, connection: Connection, chosen: Sequence[Any], now: datetime, *, asks: bool) -> list[StartOrder]:
        for journey in sorted({row.journey_key for row in chosen}):
            lock_journey(connection, journey)
        lock_profiles(connection, [row.profile_id for row in chosen])
        locked = [run for run in lock_runs(connection, [row.id for row in chosen]) if _needs_start(run, now)]
        people = read_profiles(connection, {run.profile_id for run in locked})
        if locked:
            ids = [run.id for run in locked]
            connection.execute(sa.update(runs).where(runs.c.id.in_(ids)).values(claimed_at=now))
        orders = []
        for run in locked:
            version = self._versions.get(connection, run.journey_key, run.version)
            answer: Answer | None
            if run.answer is None:
                answer = None if asks else decide(connection, run, version, people.get(run.profile_id), now)
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


def _without_workflow() -> tuple[sa.ColumnElement[bool], ...]:
    """A run that ended before anybody claimed it needs no workflow; one that ended later may have been promised one."""
    return (runs.c.started_at.is_(None), sa.or_(runs.c.ended_at.is_(None), runs.c.claimed_at.is_not(None)))


def _to_start(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    free = sa.or_(runs.c.claimed_at.is_(None), runs.c.claimed_at <= now - CLAIM_LASTS)
    return (*_without_workflow(), free)


def _needs_start(run: sa.Row[Any], now: datetime) -> bool:
    if run.started_at is not None or (run.ended_at is not None and run.claimed_at is None):
        return False
    return run.claimed_at is None or run.claimed_at <= now - CLAIM_LASTS
