"""Tells Temporal: one parcel after another, each by its kind. Whatever is told here may be told twice."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
import structlog
from temporalio.service import RPCError, RPCStatusCode

from wend import outbox
from wend.errors import WendError
from wend.journeys.occurrences import Occurrence
from wend.launching import launch, launch_resend
from wend.outbox import Parcel
from wend.reconciling.launching import start_reconciliation
from wend.relay.means import Means
from wend.scheduling import ensure_schedule, enter, remove_schedule
from wend.storage.tables import runs
from wend.temporal import run_workflow_id
from wend.wire import RECORD_EVENT, WAKE, EventNotice, WakeNotice

IN_FLIGHT = 16

AT_ONCE = 100
"""Runs of one journey that are woken before clicks get their turn again."""

AWAY = frozenset({RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.RESOURCE_EXHAUSTED})
"""What Temporal, or nobody, answers to everybody when it cannot work; anything else is about the one call."""

log = structlog.get_logger()


class StartStillComing(WendError):
    """The run's workflow does not exist yet, and its row has not ended: the start is on its way."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Run {run_id!r} has no workflow yet; it is told again.")


class CutShort(WendError):
    """The relay was to stop before this was told, or before it knew that it was."""

    def __init__(self) -> None:
        super().__init__("The relay stopped before this was told; the next one tells it.")


class Teller:
    """Tells parcels.

    Args:
        means: What to work with.
        clock: The host's clock.
    """

    def __init__(self, means: Means, clock: Callable[[], datetime]) -> None:
        self._means = means
        self._client = means.client
        self._clock = clock
        self._telling: set[asyncio.Task[Exception | None]] = set()
        self._is_cut_short = False

    async def tell_all(self, parcels: Sequence[Parcel]) -> list[Exception | None]:
        """Tell parcels, some at a time; return of each why it could not be told, or ``None``."""
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(parcel: Parcel) -> Exception | None:
            async with gate:
                return await self._try(parcel)

        tasks = [asyncio.create_task(one(parcel)) for parcel in parcels]
        self._telling.update(tasks)
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._telling.difference_update(tasks)
        return [_result(each) for each in results]

    def cut_short(self) -> None:
        """Tell nothing any more: what is being told at this moment is given up, and comes back as ``CutShort``."""
        self._is_cut_short = True
        for task in tuple(self._telling):
            task.cancel()

    async def schedule(self, journey: str) -> None:
        """Have the journey's Temporal Schedule hold what it should.

        Raises:
            RPCError: Temporal does not answer, or refuses.
        """
        ahead = await self._means.in_thread(lambda: self._means.timetable.ahead(journey, self._clock()))
        await ensure_schedule(self._client, journey, ahead, self._means.task_queue)

    async def _try(self, parcel: Parcel) -> Exception | None:
        if self._is_cut_short:
            return CutShort()
        try:
            await self._tell(parcel)
        except (RPCError, WendError) as error:
            if parcel.attempts > 3:
                log.warning("parcel waits", kind=parcel.kind, attempts=parcel.attempts, error=str(error))
            return error
        except Exception as defect:  # one parcel that cannot be told must not hold up the others
            log.exception("parcel waits", kind=parcel.kind, attempts=parcel.attempts)
            return defect
        return None

    async def _tell(self, parcel: Parcel) -> None:
        match parcel.kind:
            case "start_run":
                await self._start(UUID(parcel.subject))
            case "wake_run":
                await self._wake(parcel)
            case "wake_ended_runs":
                await self._wake_ended(parcel)
            case "wake_held_runs":
                await self._wake_held(parcel)
            case "ensure_schedule":
                await self.schedule(parcel.subject)
            case "remove_schedule":
                await remove_schedule(self._client, parcel.subject)
            case "reconcile":
                asked = UUID(parcel.payload["id"])
                await start_reconciliation(self._client, parcel.subject, asked, self._means.task_queue)
            case "resend":
                await launch_resend(self._client, parcel, self._means.task_queue)
            case "enter":
                due_at = datetime.fromisoformat(parcel.payload["due_at"])
                occurrence = Occurrence(parcel.payload["occurrence"], due_at)
                anew = bool(parcel.payload.get("anew"))
                await enter(self._client, parcel.subject, occurrence, self._means.task_queue, asked=True, anew=anew)

    async def _start(self, run_id: UUID) -> None:
        now = self._clock()
        starter = self._means.starter
        claiming = asyncio.ensure_future(self._means.in_thread(lambda: starter.claim_one(run_id, now)))
        try:
            order = await asyncio.shield(claiming)
            if order is None:
                return
            await launch(self._client, order, self._means.task_queue)
            await self._means.in_thread(lambda: starter.mark_started([run_id], self._clock()))
        except BaseException:
            if await claiming is not None:  # whoever comes next need not wait for this claim to grow old
                await self._means.in_thread(lambda: starter.let_go([run_id], self._clock()))
            raise

    async def _wake(self, parcel: Parcel) -> None:
        """Ring the run's bell.

        Raises:
            StartStillComing: The workflow is not there yet.
        """
        row = await self._means.in_thread(lambda: self._find_run(UUID(parcel.subject)))
        if row is None:
            return  # erased
        notice: EventNotice | WakeNotice
        if "event_id" in parcel.payload:
            signal, notice = RECORD_EVENT, EventNotice(parcel.payload["event_id"], parcel.payload["name"])
        else:
            signal, notice = WAKE, WakeNotice(str(parcel.payload.get("reason", "")))
        handle = self._client.get_workflow_handle(run_workflow_id(row.journey_key, row.profile_id, row.entry_number))
        try:
            await handle.signal(signal, notice)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            if row.ended_at is None or (row.claimed_at is not None and row.started_at is None):
                raise StartStillComing(parcel.subject) from error

    async def _wake_ended(self, parcel: Parcel) -> None:
        """Wake the runs of a journey that were ended in the database, some at a time, so that clicks get their turn."""
        since, after = datetime.fromisoformat(parcel.payload["since"]), parcel.payload.get("after")
        ids = await self._means.in_thread(
            lambda: self._ended_since(parcel.subject, since, UUID(after) if after else None)
        )
        results = await self.tell_all([Parcel(0, "wake_run", str(run_id), {"reason": "ended"}, 1) for run_id in ids])
        untold = [(str(run_id), {"reason": "ended"}) for run_id, error in zip(ids, results, strict=True) if error]

        def put_rest() -> None:
            with self._means.database.write() as connection:
                outbox.put_all(connection, "wake_run", untold, self._clock())
                if len(ids) == AT_ONCE:
                    rest = {**parcel.payload, "after": str(ids[-1])}
                    outbox.put(connection, "wake_ended_runs", parcel.subject, self._clock(), rest)

        await self._means.in_thread(put_rest)

    async def _wake_held(self, parcel: Parcel) -> None:
        """Wake the runs that a pause held, or that were moved: so many per second, in the order of their ids.

        Raises:
            RPCError: Temporal is away. They are told at their rate when it is back, and not all at once.
        """
        rate, after = int(parcel.payload["rate"]), parcel.payload.get("after")
        limit = min(AT_ONCE, rate)
        ids = await self._means.in_thread(lambda: self._held(parcel.subject, UUID(after) if after else None, limit))
        told = {"reason": "the journey goes on"}
        results = await self.tell_all([Parcel(0, "wake_run", str(run_id), told, 1) for run_id in ids])
        away = [error for error in results if isinstance(error, RPCError) and error.status in AWAY]
        if away and len(away) == len(ids):
            raise away[0]
        untold = [(str(run_id), told) for run_id, error in zip(ids, results, strict=True) if error]

        def put_rest() -> None:
            now = self._clock()
            with self._means.database.write() as connection:
                outbox.put_all(connection, "wake_run", untold, now)
                if len(ids) == limit:
                    rest = {"rate": rate, "after": str(ids[-1])}
                    due_at = now + timedelta(seconds=limit / rate)
                    outbox.put_later(connection, "wake_held_runs", parcel.subject, due_at, now, rest)

        await self._means.in_thread(put_rest)

    def _find_run(
        self, run_id: UUID
    ) -> sa.Row[str, UUID, int, datetime | None, datetime | None, datetime | None] | None:
        with self._means.database.read() as connection:
            return connection.execute(
                sa.select(
                    runs.c.journey_key,
                    runs.c.profile_id,
                    runs.c.entry_number,
                    runs.c.claimed_at,
                    runs.c.started_at,
                    runs.c.ended_at,
                ).where(runs.c.id == run_id)
            ).one_or_none()

    def _held(self, journey: str, after: UUID | None, limit: int) -> list[UUID]:
        query = sa.select(runs.c.id).where(
            runs.c.journey_key == journey, runs.c.held_at.is_not(None), runs.c.ended_at.is_(None)
        )
        return self._in_order(query, after, limit)

    def _ended_since(self, journey: str, since: datetime, after: UUID | None) -> list[UUID]:
        query = sa.select(runs.c.id).where(
            runs.c.journey_key == journey, runs.c.ended_at == since, runs.c.claimed_at.is_not(None)
        )
        return self._in_order(query, after, AT_ONCE)

    def _in_order(self, query: sa.Select[UUID], after: UUID | None, limit: int) -> list[UUID]:
        if after is not None:
            query = query.where(runs.c.id > after)
        with self._means.database.read() as connection:
            return list(connection.scalars(query.order_by(runs.c.id).limit(limit)))


def _result(of: BaseException | None) -> Exception | None:
    """Return why a parcel could not be told; a task is cancelled by itself only where the relay is cut short."""
    if isinstance(of, asyncio.CancelledError):
        return CutShort()
    if isinstance(of, Exception) or of is None:
        return of
    raise of
