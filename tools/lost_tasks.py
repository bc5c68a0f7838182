"""Workflow tasks that nobody answered in time: a slow machine makes them, and not a run."""

from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent


def without_lost_tasks(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """Return a history's events without those of lost tasks."""
    lost: set[int] = set()
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            timed_out = event.workflow_task_timed_out_event_attributes
            lost |= {event.event_id, timed_out.scheduled_event_id, timed_out.started_event_id}
    return [event for event in events if event.event_id not in lost]
