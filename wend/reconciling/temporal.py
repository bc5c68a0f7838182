"""Temporal's workflows as a reconciliation sees them, on a server."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client, WorkflowHandle, WorkflowHistoryEventFilterType
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from wend import wire
from wend.entries.opening import OpenedEntry
from wend.launching import launch
from wend.reconciling.port import Closed, EntryUnderWay, Found, Missing, Open, Passage
from wend.runs.starting import StartOrder
from wend.temporal import (
    ENTRY_FIRST,
    TASK_QUEUE,
    entry_attributes,
    entry_workflow_id,
    parse_run_workflow_id,
    run_workflow_id,
)

PAGE: Final = 1_000
"""Workflows listed at once."""

FIRST_EVENTS: Final = 50
"""Of an entry's history; what it starts stands among them, opened or continued as new."""

log = structlog.get_logger()

_CLOSED: Final = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: "completed",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: "failed",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: "canceled",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed_out",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: "continued_as_new",
}


class TemporalWorkflows:
    """Workflows on a server.

    Args:
        client: Temporal.
        task_queue: Where workflows are started.
    """

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue

    async def open_runs(self, journey: str, after: UUID | None, upto: UUID | None) -> set[Passage]:
        query = f"WendJourney = '{journey}' AND WorkflowType = '{wire.JOURNEY_RUN}' AND ExecutionStatus = 'Running'"
        if after is not None:
            query += f" AND WendProfile > '{after}'"
        if upto is not None:
            query += f" AND WendProfile <= '{upto}'"
        found = set()
        async for each in self._client.list_workflows(query, page_size=PAGE):
            try:
                _, profile_id, number = parse_run_workflow_id(each.id)
            except ValueError:  # started by hand, under an id that no run has
                log.warning("workflow is no run's", workflow_id=each.id)
                continue
            found.add((profile_id, number))
        return found

    async def look(self, journey: str, passage: Passage) -> Found:
        handle = self._client.get_workflow_handle(run_workflow_id(journey, *passage))
        request = DescribeWorkflowExecutionRequest(namespace=self._client.namespace)
        request.execution.workflow_id = handle.id
        try:
            described = await self._client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return Missing()
            raise
        status = _CLOSED.get(described.workflow_execution_info.status)
        if status is None:
            return _open(described)
        return Closed(status, await _failure(handle) if status == "failed" else None)  # type: ignore[arg-type]

    async def open_entries(self, journey: str) -> list[EntryUnderWay]:
        query = f"WendJourney = '{journey}' AND WorkflowType = '{wire.SEGMENT_ENTRY}' AND ExecutionStatus = 'Running'"
        return [
            EntryUnderWay(each.id, await self._entry_of(each.id, each.run_id))
            async for each in self._client.list_workflows(query, page_size=PAGE)
        ]

    async def start_run(self, order: StartOrder) -> None:
        await launch(self._client, order, self._task_queue)

    async def go_on(self, entry: OpenedEntry, due_at: datetime) -> None:
        opened = wire.EntryFigures(
            entry.id, entry.occurrence, entry.members, entry.entered, entry.excluded, refill=False
        )
        try:
            await self._client.start_workflow(
                wire.SEGMENT_ENTRY,
                wire.EntryInput(entry.journey, entry.occurrence, due_at, opened=opened),
                id=f"{entry_workflow_id(entry.journey, entry.occurrence)}/gone-on",
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=entry_attributes(entry.journey),
                priority=ENTRY_FIRST,
                static_summary=f"{entry.occurrence}, gone on with: nobody was starting what was left of it",
            )
        except WorkflowAlreadyStartedError:
            return

    async def _entry_of(self, workflow_id: str, run_id: str | None) -> UUID | None:
        """Return the entry whose runs a workflow starts, out of the beginning of its history."""
        request = GetWorkflowExecutionHistoryRequest(namespace=self._client.namespace, maximum_page_size=FIRST_EVENTS)
        request.execution.workflow_id = workflow_id
        request.execution.run_id = run_id or ""
        try:
            answer = await self._client.workflow_service.get_workflow_execution_history(request)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise
        for event in answer.history.events:
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name == wire.START_RUNS:
                (start,) = await self._client.data_converter.decode(scheduled.input.payloads, [wire.StartInput])
                entry_id: UUID = start.entry_id
                return entry_id
        return None


def _open(described: DescribeWorkflowExecutionResponse) -> Open:
    is_busy = bool(described.pending_activities)
    if not described.HasField("pending_workflow_task"):
        return Open(is_busy)
    task = described.pending_workflow_task
    # Of one that fails again and again: since when that has been so.
    since = task.original_scheduled_time if task.HasField("original_scheduled_time") else task.scheduled_time
    return Open(is_busy, since.ToDatetime(UTC), task.attempt)


async def _failure(handle: WorkflowHandle[Any, Any]) -> str | None:
    """Return the type of the error that a workflow failed with."""
    last: HistoryEvent | None = None
    async for event in handle.fetch_history_events(event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT):
        last = event
    if last is None or last.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return None
    failure = last.workflow_execution_failed_event_attributes.failure
    while failure.HasField("cause"):
        failure = failure.cause
    return failure.application_failure_info.type or None
