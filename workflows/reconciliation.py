"""Reconciliation: a journey is compared with what Temporal has. All of it is one activity, which may begin again.

ReconcileAll is fired by a Temporal Schedule and has one of these made for every journey that is not over.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from wend.runs.queues import entries_queue
    from workflows import policies


@workflow.defn(name=wire.RECONCILIATION)
class Reconciliation:
    """Has one reconciliation carried out."""

    @workflow.run
    async def run(self, asked: wire.ReconcileInput) -> wire.Reconciled:
        found: wire.Reconciled = await workflow.execute_activity(
            wire.RECONCILE_JOURNEY,
            asked,
            result_type=wire.Reconciled,
            task_queue=entries_queue(workflow.info().task_queue),
            start_to_close_timeout=policies.RECONCILE_TIMEOUT,
            heartbeat_timeout=policies.RECONCILE_HEARTBEAT,
            retry_policy=policies.RECONCILE_RETRY,
            summary="compares, repairs, and writes down what it found",
        )
        return found


@workflow.defn(name=wire.RECONCILE_ALL)
class ReconcileAll:
    """Has every journey reconciled that is not over."""

    @workflow.run
    async def run(self) -> int:
        asked: int = await workflow.execute_activity(
            wire.ASK_FOR_RECONCILIATIONS,
            result_type=int,
            task_queue=entries_queue(workflow.info().task_queue),
            start_to_close_timeout=policies.SEND_TIMEOUT,
            retry_policy=policies.ENTRY_RETRY,
            summary="asks for a reconciliation of every journey that is not over",
        )
        return asked
