"""The worker's composition root: settings → adapters → activities → Worker. No logic."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig, WorkflowRunner

from activities.attempts import Attempts
from activities.entries import EntryActivities
from activities.fanout import FanOutActivities
from activities.reconciling import ReconcilingActivities
from activities.resending import ResendActivities
from activities.runs import RunActivities
from activities.threads import Threads
from wend.channels.factory import Channels
from wend.entries.opening import EntryDesk
from wend.entries.timetable import Timetable
from wend.lifecycle.versions import Versions
from wend.messages.tokens import TokenKeys
from wend.reconciling.reconciler import Reconciler
from wend.reconciling.temporal import TemporalWorkflows
from wend.relay import Relay
from wend.runs.advancing import Advancer
from wend.runs.composing import Composer
from wend.runs.ledger import Ledger
from wend.runs.queues import SENDS_AT_ONCE, Channel, SendQueues
from wend.runs.starting import ENTRY_RATE, Starter
from wend.sends.resending import Resender
from wend.storage.database import Database
from wend.telemetry import Telemetry
from wend.workers import WorkerGroup
from workflows.journey_run import JourneyRun
from workflows.message_resend import MessageResend
from workflows.policies import SEND_TIMEOUT
from workflows.reconciliation import ReconcileAll, Reconciliation
from workflows.segment_entry import SegmentEntry

WORKFLOWS = [JourneyRun, MessageResend, SegmentEntry, Reconciliation, ReconcileAll]

WORKFLOW_TASKS = 16
"""At once. With the SDK's 100, a burst of wakes makes tasks outlast the server's 10 s and throughput collapses."""

CACHED_RUNS = 2000
"""Kept in memory (60 kB each): far above the tasks at once, so that a warm run stays warm between two of its wakes."""

STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a run waits for the cache of a worker that died."""

THREADS = 16
"""Database work at once."""

GRACE = SEND_TIMEOUT
"""How long activities that have begun may take to end when the worker stops: as long as an attempt at a send may."""

ENTRIES_AT_ONCE = 100
"""Fan-outs and their like that a worker has under way; each may last for as long as its rate asks for."""

UNLIMITED = 100_000.0
"""Activities per second of a queue without a rate. It has to be said, or the server keeps the rate that it had."""


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
    queues: SendQueues
    telemetry: Telemetry

    @classmethod
    def build(
        cls,
        database: Database,
        client: Client,
        executor: Executor,
        task_queue: str,
        entry_rate: int = ENTRY_RATE,
        send_rates: Mapping[Channel, int] | None = None,
        telemetry: Telemetry | None = None,
    ) -> "Core":
        """Put together what worker and relay need.

        Args:
            database: Migrated.
            client: Temporal.
            executor: Threads for database work.
            task_queue: Where workflows are started and worked on.
            entry_rate: Profiles per second that all journeys take in together.
            send_rates: Messages per second, of the channels that are limited.
            telemetry: Is told what happens in this process.
        """
        versions = Versions()
        telemetry = telemetry or Telemetry()
        return cls(
            database,
            client,
            executor,
            versions,
            Starter(database, versions, entry_rate, telemetry),
            Timetable(database, versions),
            task_queue,
            SendQueues(task_queue, send_rates or {}),
            telemetry,
        )


def build_worker(
    core: Core,
    channels: Channels,
    keys: TokenKeys,
    public_url: str,
    runner: WorkflowRunner | None = None,
    sends_at_once: int = SENDS_AT_ONCE,
    build: WorkerDeploymentVersion | None = None,
) -> WorkerGroup:
    """Return the worker, ready to run: of the runs' task queue, of the entries', and of every channel's.

    Args:
        core: Shared parts.
        channels: Providers.
        keys: Sign the tokens of links.
        public_url: Where recipients reach ``/c/…``.
        runner: The fast, unsandboxed one by default; tests give the strict sandbox.
        sends_at_once: In each queue.
        build: Has Temporal route by it, where workers are versioned: runs and entries go over to the current build.
    """
    threads = Threads(core.executor)
    composer = Composer(keys, public_url)
    ledger = Ledger(core.database, core.versions, composer)
    telemetry = core.telemetry
    advancer = Advancer(core.database, core.versions, telemetry)
    attempts = Attempts(channels, threads, telemetry)
    runs = RunActivities(advancer, ledger, attempts, threads, core.queues, telemetry)
    desk = EntryDesk(core.database, core.versions)
    entries = EntryActivities(core.client, desk, core.timetable, threads, core.task_queue)
    fanout = FanOutActivities(core.client, core.starter, threads, core.queues)
    of_entries: list[Callable[..., Any]] = [
        entries.open_entry,
        fanout.start_runs,
        entries.finish_entry,
        entries.refill_schedule,
    ]
    resender = Resender(core.database, core.versions, composer)
    resends = ResendActivities(resender, attempts, core.queues)
    reconciling = ReconcilingActivities(build_reconciler(core), threads)
    deployment = None if build is None else WorkerDeploymentConfig(build, True, VersioningBehavior.AUTO_UPGRADE)
    main = Worker(
        core.client,
        task_queue=core.task_queue,
        workflows=WORKFLOWS,
        # Those of entries too: some may have been put into this queue before they had one of their own.
        activities=[runs.advance_run, runs.send_message, resends.resend_message, *of_entries],
        workflow_runner=runner or UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        max_cached_workflows=CACHED_RUNS,
        max_concurrent_activities=sends_at_once,
        max_concurrent_local_activities=THREADS,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        deployment_config=deployment,
    )
    senders = [
        Worker(
            core.client,
            task_queue=queue,
            activities=[runs.send_message, resends.resend_message],
            max_concurrent_activities=sends_at_once,
            max_task_queue_activities_per_second=UNLIMITED if rate is None else float(rate),
            graceful_shutdown_timeout=GRACE,
            deployment_config=deployment,
        )
        for queue, rate in core.queues.every()
    ]
    entering = Worker(
        core.client,
        task_queue=core.queues.entries,
        activities=[*of_entries, reconciling.reconcile_journey, reconciling.ask_for_reconciliations],
        max_concurrent_activities=ENTRIES_AT_ONCE,
        max_concurrent_activity_task_polls=2,
        graceful_shutdown_timeout=GRACE,
        deployment_config=deployment,
    )
    return WorkerGroup([main, entering, *senders])


def build_reconciler(core: Core) -> Reconciler:
    """Return what carries reconciliations out."""
    workflows = TemporalWorkflows(core.client, core.task_queue)
    return Reconciler(core.database, workflows, core.versions, core.executor, lambda: datetime.now(UTC))


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
        core.telemetry,
    )
