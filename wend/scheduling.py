"""A journey's Temporal Schedule: the next occurrences as dated instants in UTC.

Calendar specs would skip wall times that fall into a gap and fire doubled ones at both or at the second, so the
occurrences are computed by the kernel and handed over as dates.
"""

from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from wend.entries.timetable import CATCH_UP, Ahead
from wend.journeys.walltime import say_instant
from wend.temporal import TASK_QUEUE, entry_attributes, entry_workflow_id, schedule_id
from wend.wire import SEGMENT_ENTRY, EntryInput

CATCH_UP_ONCE = timedelta(days=3650)
"""A journey that is entered once must not be lost to any outage."""


async def ensure_schedule(client: Client, journey: str, ahead: Ahead | None, task_queue: str = TASK_QUEUE) -> None:
    """Make the journey's Temporal Schedule hold what comes next; fire it now if an occurrence is overdue.

    Raises:
        temporalio.service.RPCError: Temporal did not take it; the same call may be made again.
    """
    if ahead is None:
        await remove_schedule(client, journey)
        return
    wanted = _schedule(journey, ahead, task_queue)
    try:
        handle = await client.create_schedule(schedule_id(journey), wanted, search_attributes=entry_attributes(journey))
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(schedule_id(journey))

        def replace(current: ScheduleUpdateInput) -> ScheduleUpdate:
            wanted.state.paused = current.description.schedule.state.paused
            return ScheduleUpdate(wanted)

        await handle.update(replace)
    if ahead.overdue:
        await fire(client, journey)


async def fire(client: Client, journey: str) -> None:
    """Have the journey's schedule fire now; the database knows what is due, and what was done."""
    await client.get_schedule_handle(schedule_id(journey)).trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)


async def remove_schedule(client: Client, journey: str) -> None:
    """Delete the journey's Temporal Schedule, if it has one."""
    try:
        await client.get_schedule_handle(schedule_id(journey)).delete()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


def _schedule(journey: str, ahead: Ahead, task_queue: str) -> Schedule:
    version, coming = ahead.version, ahead.coming
    entry = version.definition.entry
    assert entry is not None
    said = f"next: {say_instant(coming[0].at, version.zone)}" if coming else "no further occurrence"
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SEGMENT_ENTRY,
            EntryInput(journey),
            id=entry_workflow_id(journey, ahead.only),
            task_queue=task_queue,
            typed_search_attributes=entry_attributes(journey),
            static_summary=f"{entry.segment} enters {version.definition.name}",
            static_details=f"Its entries, and who was left out and why: `wend entries {journey}`",
        ),
        spec=ScheduleSpec(calendars=[_dated(occurrence.at) for occurrence in coming]),
        policy=SchedulePolicy(
            # The database decides what a firing finds done; skipping overlaps here would lose occurrences.
            overlap=ScheduleOverlapPolicy.ALLOW_ALL,
            catchup_window=CATCH_UP_ONCE if ahead.only else CATCH_UP,
        ),
        state=ScheduleState(note=f"{version.definition.name}, {said} ({len(coming)} held as dates in UTC)"),
    )


def _dated(at: datetime) -> ScheduleCalendarSpec:
    def only(value: int) -> list[ScheduleRange]:
        return [ScheduleRange(value)]

    return ScheduleCalendarSpec(
        second=only(at.second),
        minute=only(at.minute),
        hour=only(at.hour),
        day_of_month=only(at.day),
        month=only(at.month),
        year=only(at.year),
    )
