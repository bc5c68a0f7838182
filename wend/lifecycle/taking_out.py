"""Taking people out: one run, or every run of a profile, ends where it is, whatever it waits for."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import Conflict, NotFound
from wend.lifecycle import audit
from wend.lifecycle.ending import TAKEN_OUT, end_runs
from wend.storage.database import lock_journey, lock_profile, lock_runs
from wend.storage.tables import runs


class RunHasEnded(Conflict):
    """The run is over, and nobody can be taken out of it."""

    def __init__(self, run_id: UUID, state: str) -> None:
        super().__init__(f"Run {str(run_id)!r} is {state} already; nobody is to be taken out of it.")
        self.run_id = run_id


@dataclass(frozen=True, slots=True)
class TakenOut:
    """Whom, and the runs that ended by it."""

    profile_id: UUID
    runs: tuple[UUID, ...]


def take_out_run(connection: Connection, run_id: UUID, now: datetime, *, by: str = audit.ITSELF) -> TakenOut:
    """End one run as ``exited(taken_out)``.

    Raises:
        NotFound: There is no such run.
        RunHasEnded: It is over.
    """
    where = connection.execute(
        sa.select(runs.c.journey_key, runs.c.profile_id).where(runs.c.id == run_id)
    ).one_or_none()
    if where is None:
        raise NotFound("run", run_id)
    lock_journey(connection, where.journey_key)
    lock_profile(connection, where.profile_id)
    (run,) = lock_runs(connection, [run_id])
    if run.ended_at is not None:
        raise RunHasEnded(run_id, run.state)
    end_runs(connection, run.journey_key, TAKEN_OUT, now, runs.c.id == run_id)
    audit.note(
        connection,
        by,
        "exit",
        now,
        journey=run.journey_key,
        version=run.version,
        run_id=run_id,
        profile_id=run.profile_id,
    )
    return TakenOut(run.profile_id, (run_id,))


def take_out_profile(
    connection: Connection, profile_id: UUID, now: datetime, *, journey: str | None = None, by: str = audit.ITSELF
) -> TakenOut:
    """End every open run of a profile as ``exited(taken_out)``: of one journey, or of all of them.

    Raises:
        NotFound: There is no such profile, or journey.
    """
    theirs = [runs.c.profile_id == profile_id, runs.c.ended_at.is_(None)]
    if journey is not None:
        theirs.append(runs.c.journey_key == journey)
    inside = connection.scalars(sa.select(runs.c.journey_key).where(*theirs).distinct()).all()
    # Journeys are locked before the profile, so one that it enters meanwhile is not seen: it entered afterwards.
    known = sorted({*inside, *([journey] if journey is not None else [])})
    for key in known:
        if lock_journey(connection, key) is None:
            raise NotFound("journey", key)
    if lock_profile(connection, profile_id) is None:
        raise NotFound("profile", profile_id)
    query = sa.select(runs.c.id, runs.c.journey_key).where(*theirs, runs.c.journey_key.in_(known))
    open_runs = connection.execute(query.order_by(runs.c.id)).all()
    lock_runs(connection, [run.id for run in open_runs])
    by_journey = Counter(run.journey_key for run in open_runs)
    for key in sorted(by_journey):
        end_runs(connection, key, TAKEN_OUT, now, runs.c.profile_id == profile_id)
    for key in sorted(by_journey) or [journey]:  # what was asked is written down also where nobody was inside
        told = {"runs": by_journey[key] if key is not None else 0}
        audit.note(connection, by, "exit", now, journey=key, profile_id=profile_id, detail=told)
    return TakenOut(profile_id, tuple(run.id for run in open_runs))
