"""Workflows' histories, which say what happened without delay: Temporal's lists are a moment behind."""

from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle


async def chain(client: Client, last: WorkflowHandle[Any, Any]) -> list[list[HistoryEvent]]:
    """Return the events of a workflow and of those that it continues, the first one's first."""
    found: list[list[HistoryEvent]] = []
    handle = last
    while True:
        events = list((await handle.fetch_history()).events)
        found.append(events)
        begun = events[0].workflow_execution_started_event_attributes
        if not begun.continued_execution_run_id:
            return found[::-1]
        handle = client.get_workflow_handle(last.id, run_id=begun.continued_execution_run_id)
