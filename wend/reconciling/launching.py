"""Has reconciliations carried out by Temporal: one that was asked for, and those that come by schedule."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from wend.errors import WendError
from wend.journeys.durations import format_duration
from wend.temporal import ENTRY_FIRST, TASK_QUEUE, entry_attributes
from wend.wire import RECONCILE_ALL, RECONCILIATION, ReconcileInput

ROUTINE: Final = "wend/reconcile"
"""The schedule's id, and the beginning of its workflows'."""


class ReconciliationUnderWay(WendError):
    """Another reconciliation of the journey has not ended yet; this one comes after it."""

    def __init__(self, journey: str) -> None:
        super().__init__(f"Journey {journey!r} is being reconciled already; the next one begins when that has ended.")
        self.journey = journey


async def start_reconciliation(client: Client, journey: str, id: UUID, task_queue: str = TASK_QUEUE) -> None:
    """Have a journey reconciled.

    Raises:
        ReconciliationUnderWay: It is being reconciled, perhaps by this very one.
        temporalio.service.RPCError: Temporal did not take it; the same call may be made again.
    """
    try:
        await client.start_workflow(
            RECONCILIATION,
            ReconcileInput(id),
            id=f"reconcile/{journey}",
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=entry_attributes(journey),
            priority=ENTRY_FIRST,
            static_summary=f"compares {journey} with what Temporal has",
        )
    except WorkflowAlreadyStartedError as error:
        raise ReconciliationUnderWay(journey) from error


async def ensure_routine(client: Client, every: timedelta, task_queue: str = TASK_QUEUE) -> None:
    """Have all journeys reconciled so often; never, if ``every`` is zero. Somebody's pause of the schedule stays.

    Raises:
        temporalio.service.RPCError: Temporal did not take it; the same call may be made again.
    """
    if not every:
        await _remove(client)
        return
    wanted = _schedule(every, task_queue)
    try:
        await client.create_schedule(ROUTINE, wanted)
    except ScheduleAlreadyRunningError:

        def replace(current: ScheduleUpdateInput) -> ScheduleUpdate | None:
            held = current.description.schedule
            if [each.every for each in held.spec.intervals] == [every] and _queue(held) == task_queue:
                return None
            wanted.state.paused, wanted.state.note = held.state.paused, held.state.note
            return ScheduleUpdate(wanted)

        await client.get_schedule_handle(ROUTINE).update(replace)


def _schedule(every: timedelta, task_queue: str) -> Schedule:
    # Counted from now: a worker that starts is not to compare at once what it has just come back to.
    offset = timedelta(seconds=int(datetime.now(UTC).timestamp())) % every
    return Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_ALL,
            id=ROUTINE,
            task_queue=task_queue,
            priority=ENTRY_FIRST,
            static_summary="has every journey that is not over compared with what Temporal has",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every, offset)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        state=ScheduleState(note=f"every {format_duration(every)}; what it finds: wend reconcile KEY --last"),
    )


def _queue(schedule: Schedule) -> str | None:
    action = schedule.action
    return action.task_queue if isinstance(action, ScheduleActionStartWorkflow) else None


async def _remove(client: Client) -> None:
    try:
        await client.get_schedule_handle(ROUTINE).delete()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
