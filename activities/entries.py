"""What a segment entry's workflow has done: open the entry, count, fill the schedule up."""

from dataclasses import replace

import structlog
from temporalio import activity
from temporalio.client import Client

from activities.threads import Threads
from wend import wire
from wend.entries.failing import Kind, keep_values_out, note_failure, note_recovery, say
from wend.entries.opening import EntryDesk, EntryDoesNotAddUp, OpenedEntry
from wend.entries.timetable import Look, Timetable
from wend.entries.watching import Watcher
from wend.errors import WendError
from wend.journeys.occurrences import Occurrence
from wend.scheduling import ensure_schedule

log = structlog.get_logger()


class EntryActivities:
    """Activities of SegmentEntry.

    Args:
        client: Starts workflows.
        desk: Opens entries.
        timetable: Says what is due.
        threads: Where database work runs.
        task_queue: Where entries wait for a worker.
    """

    def __init__(
        self, client: Client, desk: EntryDesk, timetable: Timetable, threads: Threads, task_queue: str
    ) -> None:
        self._client = client
        self._desk = desk
        self._timetable = timetable
        self._watcher = Watcher(timetable.database, timetable.versions)
        self._threads = threads
        self._task_queue = task_queue

    @activity.defn(name=wire.OPEN_ENTRY)
    async def open_entry(self, opening: wire.OpenInput) -> wire.EntryFigures:
        """Open the entry of the occurrence that is due, or return the one that was opened for it before.

        Raises:
            Exception: Whatever came of reading the segments; it is written down, and tried again.
        """
        due: Occurrence | Look | None
        if opening.occurrence is not None and opening.due_at is not None:
            due = Occurrence(opening.occurrence, opening.due_at)
        else:
            due = await self._threads.run(self._timetable.due, opening.journey, opening.fired_at)
        match due:
            case None:
                return wire.EntryFigures(
                    None, None, note="no occurrence is due, or the journey takes nobody in any more"
                )
            case Look():
                return await self._look(opening.journey, due)
            case Occurrence():
                return await self._open(opening.journey, due, asked=opening.asked)

    async def _open(self, journey: str, occurrence: Occurrence, *, asked: bool) -> wire.EntryFigures:
        now = max(activity.info().started_time, occurrence.at)
        if not asked and await self._threads.run(self._watcher.write_off_late, journey, occurrence, now):
            return wire.EntryFigures(None, occurrence.key, note="it is too late for it; it is written down as missed")
        try:
            opened = await self._threads.run_long(self._desk.open, journey, occurrence, now)
        except Exception as error:
            await self._note_failure(journey, occurrence, error, "segment")
            keep_values_out(error)
            raise
        if opened is None:
            return wire.EntryFigures(None, occurrence.key, note="the journey takes nobody in any more")
        if opened.state in ("missed", "skipped", "failed"):
            return wire.EntryFigures(None, occurrence.key, note=f"it is written down as {opened.state}")
        return _figures(opened)

    async def _look(self, journey: str, look: Look) -> wire.EntryFigures:
        now = max(activity.info().started_time, look.fired_at)
        try:
            opened = await self._threads.run_long(self._desk.look_for_joiners, journey, look.fired_at, now)
        except Exception as error:
            await self._note_failure(journey, look.named, error, "joiners")
            if now < look.next_at or isinstance(error, EntryDoesNotAddUp):
                keep_values_out(error)
                raise
            # The next look takes over; looks that cannot be made must not pile up.
            return wire.EntryFigures(None, None, note="its segments cannot be read; later looks try it", refill=False)
        await self._threads.run(note_recovery, self._timetable.database, journey, now)
        if opened is None:
            return wire.EntryFigures(None, None, note="nobody has joined since the last look", refill=False)
        return replace(_figures(opened), refill=False)

    async def _note_failure(self, journey: str, occurrence: Occurrence, error: Exception, kind: Kind) -> None:
        attempt, now = activity.info().attempt, activity.info().started_time
        database = self._timetable.database
        try:
            await self._threads.run(note_failure, database, journey, occurrence, error, attempt, now, kind)
        except WendError as away:  # the failure that counts is the first one, which is raised by whoever called
            log.warning("failure could not be written down", journey=journey, error=say(away))

    @activity.defn(name=wire.FINISH_ENTRY)
    async def finish_entry(self, finish: wire.FinishInput) -> wire.EntryFigures:
        """Close an entry whose runs all have their workflow, and count once more."""
        finished = await self._threads.run_long(self._desk.finish, finish.entry_id, activity.info().started_time)
        return _figures(finished)

    @activity.defn(name=wire.REFILL_SCHEDULE)
    async def refill_schedule(self, entry: wire.EntryInput) -> int:
        """Fill the journey's Temporal Schedule up, or remove it; return how many occurrences it holds."""
        ahead = await self._threads.run(self._timetable.ahead, entry.journey, activity.info().started_time)
        wanted = replace(ahead, overdue=False) if ahead else None  # whoever asks was fired just now
        await ensure_schedule(self._client, entry.journey, wanted, self._task_queue)
        return len(ahead.coming) if ahead else 0


def _figures(entry: OpenedEntry) -> wire.EntryFigures:
    return wire.EntryFigures(entry.id, entry.occurrence, entry.members, entry.entered, entry.excluded)
