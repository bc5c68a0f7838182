"""SegmentEntry: one occasion on which a segment enters a journey. Fired by the journey's Temporal Schedule.

It may run twice for one occurrence, or be triggered by hand: the database knows which occurrences are done, and a
fan-out that finds every run started has nothing to do.

Where the journey's ceiling lets nobody start for a while, the fan-out pauses: a timer on the server, then the next
round, eleven events each. A ceiling may make it last for months, and a round may start a single profile, so it
continues as new when the server suggests it, after some hundreds of rounds.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from wend.runs.queues import entries_queue
    from workflows import policies

_SCHEDULED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")

_STARTED = cast("type[Any]", int | wire.FanOut)
"""Older histories hold the number alone."""


@workflow.defn(name=wire.SEGMENT_ENTRY)
class SegmentEntry:
    """Opens the entry, starts its runs, reconciles, and has the schedule filled up again."""

    @workflow.run
    async def run(self, entry: wire.EntryInput) -> wire.EntryFigures:
        opened = entry.opened or await self._open(entry)
        self._show(opened)
        said = opened
        if opened.entry_id is not None:
            await self._start_all(entry, opened, opened.entry_id)
            said = await self._reconcile(opened.entry_id)
        if opened.refill:
            await self._refill(entry)
        return said

    async def _open(self, entry: wire.EntryInput) -> wire.EntryFigures:
        fired_at = workflow.info().typed_search_attributes.get(_SCHEDULED_AT) or workflow.info().start_time
        opened: wire.EntryFigures = await workflow.execute_activity(
            wire.OPEN_ENTRY,
            wire.OpenInput(entry.journey, fired_at, entry.occurrence, entry.due_at, entry.asked),
            result_type=wire.EntryFigures,
            task_queue=entries_queue(workflow.info().task_queue),
            start_to_close_timeout=policies.ENTRY_TIMEOUT,
            heartbeat_timeout=policies.ENTRY_HEARTBEAT,
            retry_policy=policies.ENTRY_RETRY,
            summary=f"gives every member of {entry.journey} a verdict",
        )
        return opened

    async def _start_all(self, entry: wire.EntryInput, opened: wire.EntryFigures, entry_id: UUID) -> None:
        """Start the entry's runs, in as many rounds as the journey's ceiling asks for."""
        refills = opened.refill and entry.opened is None
        while (said := await self._start_some(entry.journey, entry_id)).goes_on_at is not None:
            if refills:  # the next occurrences do not wait for the ceiling of this one
                await self._refill(entry)
                refills = False
            self._show(opened, said)
            if (pause := said.goes_on_at - workflow.now()) > timedelta(0):
                await workflow.sleep(min(pause, policies.LONGEST_TIMER), summary=said.why)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(replace(entry, opened=opened))
        self._show(opened)

    async def _start_some(self, journey: str, entry_id: UUID) -> wire.FanOut:
        said: int | wire.FanOut = await workflow.execute_activity(
            wire.START_RUNS,
            wire.StartInput(journey, entry_id),
            result_type=_STARTED,
            task_queue=entries_queue(workflow.info().task_queue),
            start_to_close_timeout=policies.FANOUT_TIMEOUT,
            heartbeat_timeout=policies.FANOUT_HEARTBEAT,
            retry_policy=policies.FANOUT_RETRY,
            summary="starts the pending runs",
        )
        return wire.FanOut(said) if isinstance(said, int) else said

    async def _reconcile(self, entry_id: UUID) -> wire.EntryFigures:
        figures: wire.EntryFigures = await workflow.execute_activity(
            wire.FINISH_ENTRY,
            wire.FinishInput(entry_id),
            result_type=wire.EntryFigures,
            task_queue=entries_queue(workflow.info().task_queue),
            start_to_close_timeout=policies.ENTRY_TIMEOUT,
            heartbeat_timeout=policies.ENTRY_HEARTBEAT,
            retry_policy=policies.ENTRY_RETRY,
            summary="counts members, runs and exclusions",
        )
        self._show(figures)
        return figures

    async def _refill(self, entry: wire.EntryInput) -> None:
        await workflow.execute_activity(
            wire.REFILL_SCHEDULE,
            wire.EntryInput(entry.journey),
            task_queue=entries_queue(workflow.info().task_queue),
            start_to_close_timeout=policies.SEND_TIMEOUT,
            retry_policy=policies.ENTRY_RETRY,
            summary="fills the schedule up with the next occurrences",
        )

    def _show(self, figures: wire.EntryFigures, waits: wire.FanOut | None = None) -> None:
        if figures.entry_id is None:
            workflow.set_current_details(f"**nothing to enter**: {figures.note}")
            return
        waiting = f"- not started yet: {waits.left} ({waits.why})\n" if waits else ""
        workflow.set_current_details(
            f"**{figures.occurrence}**\n\n- members: {figures.members}\n- entered: {figures.entered}\n"
            f"- excluded: {figures.excluded}\n{waiting}"
        )
