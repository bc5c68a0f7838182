"""A wake: somebody asks where a run goes now."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from wend.errors import Conflict, NotFound
from wend.journeys.results import Park
from wend.journeys.serial import load_plan
from wend.lifecycle.versions import Versions
from wend.runs.decide import Answer, decide
from wend.runs.facts import read_profile
from wend.storage.database import Database, lock_journey, lock_profile, lock_run
from wend.storage.tables import runs
from wend.telemetry import Telemetry


class RunGone(NotFound):
    """A workflow names a run that the database does not have."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__("run", run_id, "Its database was lost or replaced; end the workflow in Temporal.")
        self.run_id = run_id


class RunBehind(Conflict):
    """The run's row is behind its workflow: the database was restored from a backup older than Temporal's."""

    def __init__(self, run_id: UUID, row: int, workflow: int) -> None:
        super().__init__(
            f"Run {str(run_id)!r} stands at answer {row} in the database, and its workflow holds answer {workflow}. "
            "The database is older than Temporal; reset the workflow, or end the run."
        )
        self.run_id = run_id


class Advancer:
    """Answers wakes.

    Args:
        database: Where runs are.
        versions: Published versions.
        telemetry: Is told how late a wake is.
    """

    def __init__(self, database: Database, versions: Versions, telemetry: Telemetry | None = None) -> None:
        self._database = database
        self._versions = versions
        self._telemetry = telemetry or Telemetry()

    def advance(self, run_id: UUID, held: int, now: datetime) -> Answer:
        """Return what the run does next, and write it down.

        A stored send or end is answered again as it stands, a stored park is evaluated anew: so it is harmless to
        ask twice, and a workflow that lost its last answer gets it.

        Args:
            run_id: The run.
            held: The sequence number of the answer that the workflow holds.
            now: The workflow's time.

        Raises:
            RunGone: There is no such run.
            RunBehind: The row knows less than the workflow.
        """
        with self._database.write() as connection:
            where = connection.execute(
                sa.select(runs.c.journey_key, runs.c.profile_id).where(runs.c.id == run_id)
            ).one_or_none()
            if where is None:
                raise RunGone(run_id)
            journey = lock_journey(connection, where.journey_key)
            assert journey is not None
            lock_profile(connection, where.profile_id)
            run = lock_run(connection, run_id)
            assert run is not None
            if run.sequence < held:
                raise RunBehind(run_id, run.sequence, held)
            version = self._versions.get(connection, run.journey_key, run.version)
            if run.answer is not None and not isinstance(plan := load_plan(run.answer), Park):
                return Answer(run_id, run.sequence, plan, version.zone)
            self._telemetry.woke(now, None if run.held_at else run.parked_until)  # who is held is late on purpose
            return decide(connection, journey, run, version, read_profile(connection, run.profile_id), now)
