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
from wend.lifecycle.publishing import IllegalTransition
from wend.storage.database import insert_ignoring, lock_journey, lock_profile
from wend.storage.tables import entries, runs

STARTING_STATES = frozenset({"scheduled", "live"})


class StillInside(Conflict):
    """The profile is in the journey, and enters it again only after its run has ended."""

    def __init__(self, journey: str, profile_id: UUID, run_id: UUID) -> None:
        super().__init__(
            f"Profile {str(profile_id)!r} is still in journey {journey!r}, by run {str(run_id)!r}. "
            "Start it again when that run has ended."
        )
        self.run_id = run_id


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
    connection: Connection, journey: str, profile_id: UUID, properties: Mapping[str, Any], now: datetime
) -> RequestedRun:
    """Enter one profile into a journey's newest version.

    Raises:
        NotFound: There is no such journey or profile.
        IllegalTransition: The journey takes nobody in.
        StillInside: The profile is in the journey already.
    """
    row = lock_journey(connection, journey)
    if row is None:
        raise NotFound("journey", journey)
    if row.state not in STARTING_STATES:
        raise IllegalTransition(journey, row.state, "entered", "Publish it first." if row.state == "draft" else "")
    if lock_profile(connection, profile_id) is None:
        raise NotFound("profile", profile_id)
    earlier = (runs.c.journey_key == journey, runs.c.profile_id == profile_id)
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
