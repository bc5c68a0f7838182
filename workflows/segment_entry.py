"""SegmentEntry: one occasion on which a segment enters a journey. Fired by the journey's Temporal Schedule.

It may run twice for one occurrence, or be triggered by hand: the database knows which occurrences are done, and a
fan-out that finds every run started has nothing to do.
"""

from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from workflows import policies

_SCHEDULED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn(name=wire.SEGMENT_ENTRY)
class SegmentEntry:
    """Opens the entry, starts its runs, reconciles, and has the schedule filled up again."""

    @workflow.run
    async def run(self, entry: wire.EntryInput) -> wire.EntryFigures:
        fired_at = workflow.info().typed_search_attributes.get(_SCHEDULED_AT) or workflow.info().start_time
        opened: wire.EntryFigures = await workflow.execute_activity(
            wire.OPEN_ENTRY,
            wire.OpenInput(entry.journey, fired_at),
            result_type=wire.EntryFigures,
            start_to_close_timeout=policies.ENTRY_TIMEOUT,
            retry_policy=policies.ENTRY_RETRY,
            summary=f"gives every member of {entry.journey} a verdict",
        )
        self._show(opened)
        if opened.entry_id is not None:
            opened = await self._start_all(entry.journey, opened.entry_id)
        await workflow.execute_activity(
            wire.REFILL_SCHEDULE,
            entry,
            start_to_close_timeout=policies.SEND_TIMEOUT,
            retry_policy=policies.ENTRY_RETRY,
            summary="fills the schedule up with the next occurrences",
        )
        return opened

    async def _start_all(self, journey: str, entry_id: UUID) -> wire.EntryFigures:
        await workflow.execute_activity(
            wire.START_RUNS,
            wire.StartInput(journey, entry_id),
            start_to_close_timeout=policies.FANOUT_TIMEOUT,
            heartbeat_timeout=policies.FANOUT_HEARTBEAT,
            retry_policy=policies.FANOUT_RETRY,
            summary="starts the pending runs",
        )
        figures: wire.EntryFigures = await workflow.execute_activity(
            wire.FINISH_ENTRY,
            wire.FinishInput(entry_id),
            result_type=wire.EntryFigures,
            start_to_close_timeout=policies.ENTRY_TIMEOUT,
            retry_policy=policies.ENTRY_RETRY,
            summary="counts members, runs and exclusions",
        )
        self._show(figures)
        return figures

    def _show(self, figures: wire.EntryFigures) -> None:
        if figures.entry_id is None:
            workflow.set_current_details(f"**nothing to enter**: {figures.note}")
            return
        workflow.set_current_details(
            f"**{figures.occurrence}**\n\n- members: {figures.members}\n- entered: {figures.entered}\n"
            f"- excluded: {figures.excluded}\n"
        )
