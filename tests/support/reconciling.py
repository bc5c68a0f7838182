"""Reconciliations over a world whose Temporal is in memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tests.support.world import DAY, World
from wend.reconciling import asking
from wend.reconciling.asking import Options
from wend.reconciling.memory import MemoryWorkflows
from wend.reconciling.port import Found, Open, Passage
from wend.reconciling.reconciler import Reconciler
from wend.storage.tables import metadata


@dataclass
class Reconciling:
    """A world, what Temporal has of it, and what compares the two."""

    world: World
    executor: ThreadPoolExecutor
    workflows: MemoryWorkflows = field(default_factory=MemoryWorkflows)

    @property
    def reconciler(self) -> Reconciler:
        """What carries reconciliations out."""
        world = self.world
        return Reconciler(world.database, self.workflows, world.versions, self.executor, world.time)

    def passage(self, run_id: UUID) -> Passage:
        """Return what names a run within its journey."""
        row = self.world.row(run_id)
        return row.profile_id, row.entry_number

    def has(self, run_id: UUID, found: Found | None = None, key: str = "trip") -> None:
        """Have Temporal have the run's workflow, open unless it is told otherwise."""
        self.workflows.runs[(key, self.passage(run_id))] = found or Open()

    def ask(self, key: str = "trip", **options: Any) -> UUID:
        """Ask for a reconciliation."""
        with self.world.database.write() as connection:
            return asking.ask(connection, key, Options(**options), self.world.time(), by="ada")

    async def run(
        self, key: str = "trip", *, after: timedelta = timedelta(minutes=5), delivered: bool = True, **options: Any
    ) -> dict[str, Any]:
        """Have the outbox delivered, let time pass, reconcile, and return the report."""
        if delivered:
            self.world.deliver_nothing()
        self.world.later(after)
        id = self.ask(key, **options)
        report = await self.reconciler.reconcile(id, lambda doing: None)
        assert report is not None
        return report.document()

    async def found(self, **options: Any) -> dict[str, tuple[int, int]]:
        """Reconcile, and return by kind how many were found and how many repaired."""
        report = await self.run(**options)
        return {each["kind"]: (each["found"], each["repaired"]) for each in report["kinds"]}

    async def one(self, **options: Any) -> dict[str, Any]:
        """Reconcile, and return the only discrepancy, with its kind."""
        report = await self.run(**options)
        assert report["found"] == 1, report
        (kind,) = report["kinds"]
        (example,) = kind["examples"]
        return {"kind": kind["kind"], **example}

    def change(self, table: str, values: dict[str, Any], where: str = "1 = 1") -> None:
        """Change rows behind everybody's back."""
        with self.world.database.write() as connection:
            connection.execute(sa.update(metadata.tables[table]).where(sa.text(where)).values(**values))

    def delete(self, table: str, where: str = "1 = 1") -> None:
        """Delete rows behind everybody's back."""
        with self.world.database.write() as connection:
            connection.execute(sa.delete(metadata.tables[table]).where(sa.text(where)))


def entered(desk: Reconciling, *steps: dict[str, Any], name: str = "ada", **journey: Any) -> UUID:
    """Have somebody enter a journey of these steps, with a workflow."""
    desk.world.journey(*(steps or (DAY,)), **journey)
    run_id = desk.world.enter(desk.world.person(name))
    desk.has(run_id)
    return run_id
