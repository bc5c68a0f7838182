"""Starts the workflow of a run, with everything that operators see on it."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from wend.runs.instructing import instruct
from wend.runs.starting import StartOrder
from wend.temporal import TASK_QUEUE, run_attributes, run_workflow_id
from wend.wire import JOURNEY_RUN, Instruction, RunInput


async def launch(client: Client, order: StartOrder, task_queue: str = TASK_QUEUE) -> None:
    """Start the run's workflow; one that exists already is as good.

    Raises:
        temporalio.service.RPCError: Temporal did not take it; the same order may be tried again.
    """
    name = order.compiled.definition.name
    first = instruct(order.answer) if order.answer else Instruction(0, "park", "starts")
    try:
        await client.start_workflow(
            JOURNEY_RUN,
            RunInput(order.run_id, first, ask=order.answer is None),
            id=run_workflow_id(order.journey, order.profile_id, order.entry_number),
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=run_attributes(order.journey, order.version, order.profile_id, order.entry_id),
            static_summary=f"{name}, version {order.version}",
            static_details=f"Run `{order.run_id}` of profile `{order.profile_id}`, entry {order.entry_number}. "
            f"Its whole path: `wend run {order.run_id}`",
        )
    except WorkflowAlreadyStartedError:
        return
