"""The sweep: looks for what nobody has told the relay of.

Runs that were claimed and not started, occurrences that took nobody in, Temporal Schedules that run low, journeys that
are over, rows that nobody needs any more.
"""

from datetime import datetime, timedelta

import structlog
from temporalio.service import RPCError

from wend import idempotency, outbox
from wend.entries.exhausting import finish_exhausted
from wend.entries.failing import give_up
from wend.entries.watching import Unaccounted, Watcher
from wend.errors import WendError
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.ending import close_due, finish_emptied
from wend.lifecycle.pausing import resume_due
from wend.outbox import Parcel
from wend.relay.means import Means
from wend.relay.telling import Teller
from wend.scheduling import describe, enter

INSPECT_EVERY = timedelta(minutes=10)
"""How often a journey's Temporal Schedule is looked at, whether it holds what it should."""

INSPECTED_AT_ONCE = 20
"""Schedules looked at in one sweep."""

RUNS_LOW = 50
"""The next occurrences that a Temporal Schedule should hold at least."""

KEEP_DELIVERED = timedelta(days=1)

KEEP_ANSWERS = timedelta(days=7)
"""How long a caller's idempotency key is good for."""

log = structlog.get_logger()


class Sweeper:
    """Looks for what nobody has told the relay of.

    Args:
        means: What to work with.
        teller: Tells Temporal what was found.
    """

    def __init__(self, means: Means, teller: Teller) -> None:
        self._means = means
        self._client = means.client
        self._teller = teller
        self._watcher = Watcher(means.database, means.timetable.versions)
        self._inspected: dict[str, datetime] = {}

    async def sweep(self, now: datetime) -> None:
        """Start runs that somebody claimed and died with, and look after occurrences that took nobody in.

        Then close journeys whose window has ended, finish closed ones that are empty, forget deliveries.

        Raises:
            Unavailable: The database does not answer.
        """
        stranded = await self._means.in_thread(lambda: self._means.starter.stranded(now))
        await self._teller.tell_all([Parcel(0, "start_run", str(run_id), {}, 1) for run_id in stranded])
        accounted = await self.watch(now)
        await self._means.in_thread(lambda: self._tidy(now, closing=accounted))
        await self._inspect(now)

    async def watch(self, now: datetime) -> bool:
        """Take in late what came due and was not fired, or have it written down.

        Where Temporal does not answer nothing is written: nobody can say then why an occurrence was not fired.

        Returns:
            Whether journeys whose window has ended may be closed: all their occurrences are accounted for.
        """
        found = await self._means.in_thread(lambda: self._watcher.look_around(now))
        abandoned = await self._means.in_thread(lambda: self._watcher.abandoned(now))
        accounted = True
        try:
            for each in found:
                accounted = await self._look_after(each, now) and accounted
            for journey, occurrence in abandoned:
                await self._enter_late(journey, occurrence)
        except RPCError as error:
            log.warning("occurrences wait to be looked after", error=str(error))
            return False
        return accounted

    async def _look_after(self, found: Unaccounted, now: datetime) -> bool:
        held = await describe(self._client, found.journey) if found.due else None
        try:
            entering = await self._means.in_thread(lambda: self._watcher.settle(found, held, now))
        except WendError as error:  # it is just taking in very many, and the other journeys need not wait for that
            log.warning("journey waits to be looked after", journey=found.journey, error=str(error))
            return not found.closing
        for occurrence in entering:
            await self._enter_late(found.journey, occurrence)
        return not (entering and found.closing)

    async def _enter_late(self, journey: str, occurrence: Occurrence) -> None:
        if await enter(self._client, journey, occurrence, self._means.task_queue):
            log.info("occurrence is taken in late", journey=journey, occurrence=occurrence.key)

    async def _inspect(self, now: datetime) -> None:
        """Write Temporal Schedules anew that run low, or are gone: of some journeys, of all of them before long."""
        journeys = await self._means.in_thread(self._means.timetable.journeys)
        self._inspected = {key: at for key, at in self._inspected.items() if key in journeys}
        due = [key for key in journeys if key not in self._inspected or now - self._inspected[key] >= INSPECT_EVERY]
        for journey in due[:INSPECTED_AT_ONCE]:
            try:
                if await self._runs_low(journey, now):
                    log.info("schedule is filled up", journey=journey)
                    await self._teller.schedule(journey)
            except RPCError as error:
                log.warning("schedules wait to be inspected", error=str(error))
                return
            except (WendError, ValueError):  # a definition that cannot be read must not hold up the other journeys
                log.exception("schedule cannot be inspected", journey=journey)
            self._inspected[journey] = now

    async def _runs_low(self, journey: str, now: datetime) -> bool:
        ahead = await self._means.in_thread(lambda: self._means.timetable.ahead(journey, now))
        if ahead is None or not (ahead.coming or ahead.looks):
            return False
        held = await describe(self._client, journey)
        if held is None:
            return True
        lacks_looks = ahead.looks is not None and not held.looks
        return lacks_looks or any(coming.at not in held.dates for coming in ahead.coming[:RUNS_LOW])

    def _tidy(self, now: datetime, *, closing: bool) -> None:
        database = self._means.database
        with database.write() as connection:
            # A journey is closed only once its last occurrences have been accounted for.
            for journey in close_due(connection, now) if closing else []:
                log.info("journey closed by the end of its window", journey=journey)
            outbox.prune(connection, now - KEEP_DELIVERED)
            idempotency.forget(connection, now - KEEP_ANSWERS)
            give_up(connection, now)
        # Each takes its journeys in their order: two of them in one transaction would not.
        with database.write() as connection:
            for journey in resume_due(connection, now):
                log.info("journey goes on", journey=journey)
            for journey in finish_emptied(connection, now):
                log.info("journey finished", journey=journey)
        for journey in finish_exhausted(self._means.timetable, now):
            log.info("journey finished, for nobody can enter any more", journey=journey)
