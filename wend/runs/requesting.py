"""Starts through the API: a run for one profile, with properties, idempotent by the caller's key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import Conflict, NotFound
from wend.journeys.entry import Opening, Reentry
from wend.journeys.walltime import later
from wend.lifecycle.ending import RESTARTED, end_runs
from wend.lifecycle.publishing import IllegalTransition
from wend.lifecycle.versions import Versions
from wend.storage.database import insert_ignoring, lock_journey, lock_profile
from wend.storage.tables import entries, runs

STARTING_STATES = frozenset({"scheduled", "live"})


class StillInside(Conflict):
    """The profile is in the journey, and enters it again only after its run has ended."""

    def __init__(self, journey: str, profile_id: UUID, run_id: UUID) -> None:
        super().__init__(
            f"Profile {str(profile_id)!r} is still in journey {journey!r}, by run {str(run_id)!r}. "
            "Start it again when that run has ended, or let the journey say reentry.still_inside: restart or overlap."
        )
        self.run_id = run_id


class EntryLimitReached(Conflict):
    """The profile has had as many runs as the journey allows."""

    def __init__(self, journey: str, profile_id: UUID, limit: int) -> None:
        super().__init__(
            f"Profile {str(profile_id)!r} has had its {limit} run(s) of journey {journey!r}; "
            "reentry.limit allows no more."
        )
        self.limit = limit


class TooSoon(Conflict):
    """The profile's last run is not long enough ago."""

    def __init__(self, journey: str, profile_id: UUID, from_at: datetime) -> None:
        super().__init__(
            f"Profile {str(profile_id)!r} enters journey {journey!r} again from {from_at:%Y-%m-%dT%H:%M:%SZ} on, "
            "as reentry.after says. Start it then."
        )
        self.from_at = from_at


class OutsideWindow(Conflict):
    """The journey's window is not open."""

    def __init__(self, journey: str, window: Opening, now: datetime) -> None:
        if window.opens_at is not None and now < window.opens_at:
            said = f"opens at {window.opens_at:%Y-%m-%dT%H:%M:%SZ}. Start the run then."
        else:
            said = f"closed at {window.closes_at:%Y-%m-%dT%H:%M:%SZ}. Publish a version with a later window.closes."
        super().__init__(f"Journey {journey!r} takes nobody in at this time: it {said}")
        self.journey = journey


class NotThroughApi(Conflict):
    """The journey is entered by its segment alone."""

    def __init__(self, journey: str) -> None:
        super().__init__(
            f"Journey {journey!r} is entered by its segment alone: its entry says 'api: false'. "
            "Publish a version that does not, or put the person into the segment."
        )
        self.journey = journey


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """A run that is to start; the relay makes its workflow."""

    id: UUID
    journey: str
    version: int
    profile_id: UUID
    entry_id: UUID
    entry_number: int


def request_run(
    connection: Connection,
    versions: Versions,
    journey: str,
    profile_id: UUID,
    properties: Mapping[str, Any],
    now: datetime,
) -> RequestedRun:
    """Enter one profile into a journey's newest version, as its window and its rules of re-entry allow.

    Raises:
        NotFound: There is no such journey or profile.
        IllegalTransition: The journey takes nobody in.
        NotThroughApi: The journey is entered by its segment alone.
        OutsideWindow: The journey's window is not open.
        StillInside: The profile is in the journey already.
        EntryLimitReached: It has had as many runs as the journey allows.
        TooSoon: Its last run is not long enough ago.
    """
    row = lock_journey(connection, journey)
    if row is None:
        raise NotFound("journey", journey)
    queues = row.state == "paused" and row.pause["entries"] == "queue"
    if row.state not in STARTING_STATES and not queues:
        raise IllegalTransition(journey, row.state, "entered", "Publish it first." if row.state == "draft" else "")
    version = versions.get(connection, journey, row.version)
    if version.definition.entry is not None and not version.definition.entry.api:
        raise NotThroughApi(journey)
    if not version.window.is_open(now):
        raise OutsideWindow(journey, version.window, now)
    if lock_profile(connection, profile_id) is None:
        raise NotFound("profile", profile_id)
    reentry = version.definition.reentry
    _refuse_reentry(connection, journey, profile_id, reentry, now)
    earlier = (runs.c.journey_key == journey, runs.c.profile_id == profile_id)
    if reentry.still_inside == "restart":
        end_runs(connection, journey, RESTARTED, now, runs.c.profile_id == profile_id)
    number = (connection.scalar(sa.select(sa.func.max(runs.c.entry_number)).where(*earlier)) or 0) + 1
    run = RequestedRun(uuid4(), journey, row.version, profile_id, uuid4(), number)
    connection.execute(
        sa.insert(entries).values(
            id=run.entry_id,
            journey_key=journey,
            version=row.version,
            occurrence=f"api/{run.id}",
            kind="api",
            state="done",
            due_at=now,
            opened_at=now,
            finished_at=now,
            members=1,
        )
    )
    inserted = connection.execute(
        insert_ignoring(connection, runs).values(
            id=run.id,
            journey_key=journey,
            version=row.version,
            entry_id=run.entry_id,
            profile_id=profile_id,
            entry_number=number,
            once=False,
            overlapping=reentry.still_inside == "overlap",
            properties=dict(properties),
            state="pending",
            sequence=0,
            moves=0,
            woken=False,
            created_at=now,
        )
    )
    if inserted.rowcount == 0:
        inside = connection.scalar(sa.select(runs.c.id).where(*earlier, runs.c.ended_at.is_(None)))
        assert inside is not None
        raise StillInside(journey, profile_id, inside)
    outbox.put(connection, "start_run", run.id, now)
    return run


def _refuse_reentry(connection: Connection, journey: str, profile_id: UUID, reentry: Reentry, now: datetime) -> None:
    """Refuse a profile that the rules of re-entry keep out; the reasons are those of an entry by segment."""
    theirs = (runs.c.journey_key == journey, runs.c.profile_id == profile_id)
    if reentry.still_inside == "skip":
        inside = connection.scalar(sa.select(runs.c.id).where(*theirs, runs.c.ended_at.is_(None)).limit(1))
        if inside is not None:
            raise StillInside(journey, profile_id, inside)
    if reentry.limit is not None:
        had = connection.scalar(sa.select(sa.func.count()).select_from(runs).where(*theirs)) or 0
        if had >= reentry.limit:
            raise EntryLimitReached(journey, profile_id, reentry.limit)
    if reentry.after is not None:
        last = runs.c.ended_at if reentry.since == "end" else runs.c.created_at
        last_at = connection.scalar(sa.select(sa.func.max(last)).where(*theirs))
        if last_at is not None and (from_at := later(last_at, reentry.after)) > now:
            raise TooSoon(journey, profile_id, from_at)
