"""Starts the workflows of runs and of resends, with everything that operators see on them."""

from datetime import datetime
from uuid import UUID

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from wend.outbox import Parcel
from wend.runs.instructing import instruct
from wend.runs.queues import SendQueues
from wend.runs.starting import StartOrder
from wend.temporal import TASK_QUEUE, run_attributes, run_workflow_id
from wend.wire import JOURNEY_RUN, MESSAGE_RESEND, Instruction, ResendInput, RunInput


async def launch(
    client: Client, order: StartOrder, task_queue: str = TASK_QUEUE, queues: SendQueues | None = None
) -> None:
    """Start the run's workflow; one that exists already is as good.

    Args:
        client: Temporal.
        order: What to start.
        task_queue: Where the run waits for workers.
        queues: Say where its first message waits; without them, the worker that comes upon it says so.

    Raises:
        temporalio.service.RPCError: Temporal did not take it; the same order may be tried again.
    """
    name = order.compiled.definition.name
    first = instruct(order.answer, queues) if order.answer else Instruction(0, "park", "starts")
    try:
        await client.start_workflow(
            JOURNEY_RUN,
            RunInput(order.run_id, first, ask=order.answer is None),
            id=run_workflow_id(order.journey, order.profile_id, order.entry_number),
            task_queue=task_queue,
            # Inherited by the run's activities. Where the server is fair, no journey waits for another one's backlog.
            priority=Priority(fairness_key=order.journey),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=run_attributes(order.journey, order.version, order.profile_id, order.entry_id),
            static_summary=f"{name}, version {order.version}",
            static_details=f"Run `{order.run_id}` of profile `{order.profile_id}`, entry {order.entry_number}. "
            f"Its whole path: `wend run {order.run_id}`",
        )
    except WorkflowAlreadyStartedError:
        return


async def launch_resend(client: Client, parcel: Parcel, task_queue: str = TASK_QUEUE) -> None:
    """Start the workflow that sends a message again; one that exists already is as good.

    Args:
        client: Temporal.
        parcel: Of the outbox: which message, and what operators are to see of it.
        task_queue: Where it waits for workers.

    Raises:
        temporalio.service.RPCError: Temporal did not take it; the same parcel may be tried again.
    """
    about = parcel.payload
    asked_at = datetime.fromisoformat(about["asked_at"])
    summary = f"{about['channel']} {about['message']}, once more"
    run_of = (about["journey"], about["version"], UUID(about["profile_id"]), UUID(about["entry_id"]))
    try:
        await client.start_workflow(
            MESSAGE_RESEND,
            ResendInput(UUID(parcel.subject), asked_at, about["tries"], about["channel"], summary),
            # By the instant of the asking: two askings may find the same number of tries.
            id=f"resend/{parcel.subject}/{about['asked_at']}",
            task_queue=task_queue,
            priority=Priority(fairness_key=about["journey"]),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=run_attributes(*run_of),
            static_summary=summary,
            static_details=f"Message `{parcel.subject}` of run `{about['run_id']}`. "
            f"How it stands: `wend messages sent {parcel.subject}`",
        )
    except WorkflowAlreadyStartedError:
        return
