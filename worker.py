"""The worker's composition root: settings → adapters → activities → Worker. No logic."""

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from activities.entries import EntryActivities
from activities.fanout import FanOutActivities
from activities.runs import RunActivities
from activities.threads import Threads
from wend.channels.factory import Channels
from wend.entries.opening import EntryDesk
from wend.entries.timetable import Timetable
from wend.lifecycle.versions import Versions
from wend.messages.tokens import TokenKeys
from wend.relay import Relay
from wend.runs.advancing import Advancer
from wend.runs.composing import Composer
from wend.runs.ledger import Ledger
from wend.runs.starting import ENTRY_RATE, Starter
from wend.storage.database import Database
from workflows.journey_run import JourneyRun
from workflows.segment_entry import SegmentEntry

WORKFLOWS = [JourneyRun, SegmentEntry]

WORKFLOW_TASKS = 16
"""At once. With the SDK's 100, a burst of wakes makes tasks outlast the server's 10 s and throughput collapses."""

CACHED_RUNS = 2000
"""Kept in memory (60 kB each): far above the tasks at once, so that a warm run stays warm between two of its wakes."""

STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a run waits for the cache of a worker that died."""

THREADS = 16
"""Database work at once."""


@dataclass(frozen=True)
class Core:
    """What the processes of one installation share: the database, and who works on it."""

    database: Database
    client: Client
    executor: Executor
    versions: Versions
    starter: Starter
    timetable: Timetable
    task_queue: str

    @classmethod
    def build(
        cls, database: Database, client: Client, executor: Executor, task_queue: str, entry_rate: int = ENTRY_RATE
    ) -> "Core":
        """Put together what worker and relay need.

        Args:
            database: Migrated.
            client: Temporal.
            executor: Threads for database work.
            task_queue: Where workflows are started and worked on.
            entry_rate: Profiles per second that all journeys take in together.
        """
        versions = Versions()
        return cls(
            database,
            client,
            executor,
            versions,
            Starter(database, versions, entry_rate),
            Timetable(database, versions),
            task_queue,
        )


def build_worker(
    core: Core,
    channels: Channels,
    keys: TokenKeys,
    public_url: str,
    runner: WorkflowRunner | None = None,
    provider_timeout: timedelta | None = None,
) -> Worker:
    """Return the worker, ready to run.

    Args:
        core: Shared parts.
        channels: Providers.
        keys: Sign the tokens of links.
        public_url: Where recipients reach ``/c/…``.
        runner: The fast, unsandboxed one by default; tests give the strict sandbox.
        provider_timeout: How long a provider may take.
    """
    threads = Threads(core.executor)
    ledger = Ledger(core.database, core.versions, Composer(keys, public_url))
    options = {} if provider_timeout is None else {"provider_timeout": provider_timeout}
    runs = RunActivities(Advancer(core.database, core.versions), ledger, channels, threads, **options)
    entries = EntryActivities(core.client, EntryDesk(core.database, core.versions), core.timetable, threads)
    fanout = FanOutActivities(core.client, core.starter, threads)
    return Worker(
        core.client,
        task_queue=core.task_queue,
        workflows=WORKFLOWS,
        activities=[
            runs.advance_run,
            runs.send_message,
            entries.open_entry,
            fanout.start_runs,
            entries.finish_entry,
            entries.refill_schedule,
        ],
        activity_executor=core.executor,
        workflow_runner=runner or UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        max_cached_workflows=CACHED_RUNS,
        max_concurrent_local_activities=THREADS,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=timedelta(seconds=20),
    )


def build_relay(core: Core) -> Relay:
    """Return the relay, ready to run."""
    return Relay(
        core.database,
        core.client,
        core.starter,
        core.timetable,
        core.executor,
        lambda: datetime.now(UTC),
        core.task_queue,
    )
