"""A journey's Temporal Schedule: the next occurrences as dated instants in UTC, and when joiners are looked for.

Calendar specs would skip wall times that fall into a gap and fire doubled ones at both or at the second, so the
occurrences are computed by the kernel and handed over as dates. Looks for joiners are an interval: they have no wall
time, and none of them matters by itself.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from wend.entries.timetable import Ahead, Looks
from wend.entries.watching import Held
from wend.journeys.durations import format_duration
from wend.journeys.occurrences import Occurrence
from wend.journeys.walltime import say_instant
from wend.temporal import ENTRY_FIRST, TASK_QUEUE, entry_attributes, entry_workflow_id, schedule_id
from wend.wire import SEGMENT_ENTRY, EntryInput

CATCH_UP_UNLIMITED = timedelta(days=3650)
"""A journey that is entered once must not be lost to any outage."""

CATCH_UP_LEAST = timedelta(seconds=10)
"""Temporal knows no shorter window."""

ANSWER_WITHIN = timedelta(seconds=5)
"""Somebody who looks at many schedules gives Temporal up soon."""

CLOCKS_APART = timedelta(milliseconds=500)
"""How far the clocks of Temporal's hosts may be from each other."""

REMEMBERED = 10
"""Firings that Temporal remembers of a schedule."""

_OURS = "held as dates in UTC"
"""Stands in the note of a schedule until somebody pauses or resumes it, who leaves a note of their own."""


async def ensure_schedule(client: Client, journey: str, ahead: Ahead | None, task_queue: str = TASK_QUEUE) -> None:
    """Make the journey's Temporal Schedule hold what comes next; fire it now if an occurrence has been passed over.

    One that somebody has paused stays so, and is not fired.

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
            before = current.description.schedule.state
            if before.paused:
                wanted.state.paused, wanted.state.note = True, before.note
            return ScheduleUpdate(wanted)

        await handle.update(replace)
    if not wanted.state.paused and (ahead.overdue or await _passes_over(handle, ahead.coming)):
        await fire(client, journey)


async def _passes_over(handle: ScheduleHandle, coming: Sequence[Occurrence]) -> bool:
    """Return whether an occurrence came due before Temporal had the schedule, and wait until it may be fired by hand.

    A schedule fires nothing of before it was written, and that is when Temporal comes to it: up to a second after it
    has said yes.
    """
    if not coming:
        return False
    info = (await handle.describe()).info
    written_at = info.last_updated_at or info.created_at
    fired = {action.scheduled_at for action in info.recent_actions}
    passed = [each.at for each in coming if each.at <= written_at and each.at not in fired]
    if passed:
        # A firing by hand is for what was due at its own instant, which Temporal takes from the request.
        await asyncio.sleep(max(CLOCKS_APART - (written_at - passed[-1]), timedelta(0)).total_seconds())
    return bool(passed)


async def describe(client: Client, journey: str) -> Held | None:
    """Return the journey's Temporal Schedule as it stands; ``None`` if it has none.

    Raises:
        temporalio.service.RPCError: Temporal does not answer.
    """
    try:
        found = await client.get_schedule_handle(schedule_id(journey)).describe(rpc_timeout=ANSWER_WITHIN)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    return _held(found)


async def enter(
    client: Client,
    journey: str,
    occurrence: Occurrence,
    task_queue: str = TASK_QUEUE,
    *,
    asked: bool = False,
    anew: bool = False,
) -> bool:
    """Have one occurrence entered now; return whether that was not under way already.

    Args:
        client: Temporal.
        journey: The journey's key.
        occurrence: Which one; the database knows whether it is done.
        task_queue: Where the entry's workflow is started.
        asked: However late it is.
        anew: In place of whatever does it already: that may be asleep for longer than there is reason to now.

    Raises:
        temporalio.service.RPCError: Temporal did not take it; the same call may be made again.
    """
    try:
        await client.start_workflow(
            SEGMENT_ENTRY,
            EntryInput(journey, occurrence.key, occurrence.at, asked),
            id=f"{entry_workflow_id(journey, occurrence.key)}/{'asked' if asked else 'late'}",
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            # An entry may be broken off anywhere, any number of times.
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING if anew else WorkflowIDConflictPolicy.FAIL,
            search_attributes=entry_attributes(journey),
            priority=ENTRY_FIRST,
            static_summary=f"{occurrence.key}, {'asked for after all' if asked else 'late'}",
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


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
    if ahead.looks is not None:
        said += f", looks for joiners every {format_duration(ahead.looks.every)}"
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SEGMENT_ENTRY,
            EntryInput(journey),
            id=entry_workflow_id(journey, ahead.only),
            task_queue=task_queue,
            typed_search_attributes=entry_attributes(journey),
            priority=ENTRY_FIRST,
            static_summary=f"{', '.join(entry.segments)[:150]} enters {version.definition.name}",
            static_details=f"Its entries, and who was left out and why: `wend entries {journey}`",
        ),
        spec=_spec(coming, ahead.looks),
        policy=SchedulePolicy(
            # The database decides what a firing finds done; skipping overlaps here would lose occurrences.
            overlap=ScheduleOverlapPolicy.ALLOW_ALL,
            catchup_window=CATCH_UP_UNLIMITED if ahead.catch_up is None else max(ahead.catch_up, CATCH_UP_LEAST),
        ),
        state=ScheduleState(note=f"{version.definition.name}, {said} ({len(coming)} {_OURS})"),
    )


def _spec(coming: Sequence[Occurrence], looks: Looks | None) -> ScheduleSpec:
    dates = [_dated(occurrence.at) for occurrence in coming]
    if looks is None:
        return ScheduleSpec(calendars=dates)
    # Counted from the start, whose own firing is one of them then.
    offset = timedelta(seconds=int(looks.begin_at.timestamp())) % looks.every
    interval = ScheduleIntervalSpec(looks.every, offset)
    return ScheduleSpec(calendars=dates, intervals=[interval], start_at=looks.begin_at, end_at=looks.end_at)


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


def _held(found: ScheduleDescription) -> Held:
    spec, state, recent = found.schedule.spec, found.schedule.state, found.info.recent_actions
    return Held(
        paused=state.paused,
        touched=_OURS not in (state.note or ""),
        fired=frozenset(action.scheduled_at for action in recent),
        all_fired=len(recent) < REMEMBERED,
        dates=frozenset(at for calendar in spec.calendars if (at := _date_of(calendar)) is not None),
        looks=bool(spec.intervals),
    )


def _date_of(calendar: ScheduleCalendarSpec) -> datetime | None:
    """Return the date that ``_dated`` wrote; ``None`` for a calendar that somebody else put there."""
    parts = (calendar.year, calendar.month, calendar.day_of_month, calendar.hour, calendar.minute, calendar.second)
    if not all(len(part) == 1 for part in parts):
        return None
    year, month, day, hour, minute, second = (part[0].start for part in parts)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
