"""Carries out a reconciliation: all comparisons, one after the other, and what came of them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from wend.lifecycle.versions import Versions
from wend.reconciling import asking
from wend.reconciling.asking import Reconciliation
from wend.reconciling.findings import Kind, Report
from wend.reconciling.occasions import compare_starts
from wend.reconciling.passages import compare_runs
from wend.reconciling.port import Workflows
from wend.reconciling.rows import compare_rows
from wend.reconciling.waking import compare_stuck
from wend.reconciling.work import Work
from wend.storage.database import Database

STAGES: Final = (
    ("runs", compare_runs),
    ("starts", compare_starts),
    ("stuck runs", compare_stuck),
    ("rows", compare_rows),
)
"""First what ends runs and starts them anew: what is compared afterwards finds it done."""

THREADS_AT_ONCE: Final = 4
"""Of the process's threads, for all reconciliations: they all come at once, and no send is to wait behind them."""

SHOWN_EVERY: Final = 1.0
"""Seconds between two notes of how far it is."""

log = structlog.get_logger()


class Reconciler:
    """Carries out reconciliations.

    Args:
        database: Where rows are.
        workflows: What Temporal has.
        versions: Published versions.
        executor: Threads for database work.
        clock: The host's clock.
    """

    def __init__(
        self,
        database: Database,
        workflows: Workflows,
        versions: Versions,
        executor: Executor,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._workflows = workflows
        self._versions = versions
        self._executor = executor
        self._clock = clock
        self._gate = asyncio.Semaphore(THREADS_AT_ONCE)

    async def reconcile(self, id: UUID, beat: Callable[[str], None]) -> Report | None:
        """Carry a reconciliation out and write down what came of it; it may be done again from its beginning.

        Args:
            id: The reconciliation's.
            beat: Called now and then, with what is being compared.

        Returns:
            ``None`` where it has ended already.

        Raises:
            Unavailable: The database does not answer.
            temporalio.service.RPCError: Temporal does not answer, or refuses.
        """
        begun = await asyncio.get_running_loop().run_in_executor(self._executor, lambda: self._begin(id))
        if begun is None:
            return None
        asked, mended_before = begun
        progress = _Progress(id, beat)
        work = Work(
            self._database,
            self._workflows,
            self._versions,
            self._executor,
            self._clock,
            asked.journey,
            asked.options,
            asked.by,
            lambda doing: progress.show(work, doing),
            id,
            self._gate,
            progress.pulse,
            Report(mended_before),
        )
        for number, (stage, compare) in enumerate(STAGES):
            progress.stage = number
            await progress.show(work, stage)
            await compare(work)
        await work.in_thread(lambda: self._finish(id, work.report))
        report = work.report
        if report.found:
            log.warning(
                "journey reconciled", journey=asked.journey, found=report.found, left=report.found - report.repaired
            )
        return report

    def fail(self, id: UUID, error: str) -> None:
        """Write down that a reconciliation cannot be carried out."""
        with self._database.write() as connection:
            asking.fail(connection, id, error, self._clock())

    def ask_for_all(self) -> list[str]:
        """Have every journey reconciled that is not over, or has just ended; return their keys."""
        with self._database.write() as connection:
            return asking.ask_for_all(connection, self._clock())

    def _begin(self, id: UUID) -> tuple[Reconciliation, Mapping[Kind, int]] | None:
        with self._database.write() as connection:
            now = self._clock()
            begun = asking.begin(connection, id, now)
            if begun is None:
                return None
            is_first = begun.started_at == now
            return begun, {} if is_first else asking.mended_before(connection, begun)

    def _finish(self, id: UUID, report: Report) -> None:
        with self._database.write() as connection:
            asking.finish(connection, id, report, self._clock())


class _Progress:
    """Tells how far a reconciliation is: Temporal each time, whoever watches the row now and then."""

    def __init__(self, id: UUID, beat: Callable[[str], None]) -> None:
        self._id = id
        self._beat = beat
        self._shown = 0.0
        self._doing = ""
        self.stage = 0

    def pulse(self) -> None:
        """Tell Temporal that it is still at the same."""
        self._beat(self._doing)

    async def show(self, work: Work, doing: str) -> None:
        """Tell that it is at this."""
        self._doing = doing
        self._beat(doing)
        if time.monotonic() - self._shown < SHOWN_EVERY:
            return
        self._shown = time.monotonic()
        report = work.report
        done = {"stage": self.stage, "stages": len(STAGES), "doing": doing, "compared": report.compared}
        await work.in_thread(lambda: self._write(work, done | {"found": report.found}))

    def _write(self, work: Work, done: Mapping[str, Any]) -> None:
        with work.database.write() as connection:
            asking.note_progress(connection, self._id, done)
