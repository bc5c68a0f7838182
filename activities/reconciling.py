"""What reconciliations have done."""

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from activities.discretion import discreet
from activities.threads import Threads
from wend import wire
from wend.errors import Unavailable, WendError
from wend.reconciling.reconciler import Reconciler
from wend.relay.telling import AWAY


class ReconcilingActivities:
    """Activities of Reconciliation and ReconcileAll.

    Args:
        reconciler: Carries reconciliations out.
        threads: Where database work runs.
    """

    def __init__(self, reconciler: Reconciler, threads: Threads) -> None:
        self._reconciler = reconciler
        self._threads = threads

    @activity.defn(name=wire.RECONCILE_JOURNEY)
    async def reconcile_journey(self, asked: wire.ReconcileInput) -> wire.Reconciled:
        """Carry a reconciliation out; it begins again where an attempt was broken off.

        Raises:
            Unavailable: The database is away, and it is tried again.
            RPCError: Temporal is away, and it is tried again.
            ApplicationError: It cannot be carried out, which is written down; or this worker stops.
        """
        with discreet():
            try:
                report = await self._reconciler.reconcile(asked.id, _beat)
            except (Unavailable, ApplicationError):
                raise
            except Exception as error:
                if isinstance(error, RPCError) and error.status in AWAY:
                    raise
                said = str(error) if isinstance(error, WendError | RPCError) else type(error).__name__
                await self._threads.run(self._reconciler.fail, asked.id, said)
                if isinstance(error, WendError | RPCError):
                    raise ApplicationError(said, type=type(error).__name__, non_retryable=True) from None
                raise
        if report is None:
            return wire.Reconciled(0, 0)
        return wire.Reconciled(report.found, report.repaired)

    @activity.defn(name=wire.ASK_FOR_RECONCILIATIONS)
    async def ask_for_reconciliations(self) -> int:
        """Ask for a reconciliation of every journey that is not over; return how many."""
        return len(await self._threads.run(self._reconciler.ask_for_all))


def _beat(doing: str) -> None:
    activity.heartbeat(doing)
    if activity.is_worker_shutdown():
        raise ApplicationError(
            "This worker stops; the next attempt begins again.",
            type="WorkerStops",
            category=ApplicationErrorCategory.BENIGN,
        )
