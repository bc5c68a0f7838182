"""What commands read in Temporal: which server, which open runs, what their histories hold. They change nothing."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

import worker
from wend import temporal
from wend.cli.state import StateDirectory
from wend.errors import InvalidDocument, Problem, Unavailable
from workflows.patches import Patch, workflow_type

OPEN: Final = "ExecutionStatus = 'Running'"
CLOSED: Final = "ExecutionStatus != 'Running'"

MARKER: Final = "core_patch"
"""The SDK's name of the marker that a patch leaves in a history."""

ENOUGH: Final = 100
"""Runs that hold a mark: more of them change nothing."""


@dataclass(frozen=True)
class Standing:
    """How the runs stand to one patch.

    Attributes:
        patch: Which.
        open_with: Open runs that visibility says are marked.
        open_without: Open runs that are not.
        closed_without: Closed ones that Temporal still keeps, and that are not marked.
        closed_with: And those that are.
        holding: Of ``open_with``, those seen to hold the mark of code that had both ways: it keeps the patch.
        looked_at_all: Whether all of them were looked at.
    """

    patch: Patch
    open_with: int
    open_without: int
    closed_with: int
    closed_without: int
    holding: tuple[str, ...] = ()
    looked_at_all: bool = True

    @property
    def may(self) -> Literal["keep", "look", "deprecate", "remove", "gone", "removed too early"]:
        """What may be done; ``look`` where not all that are open and marked were looked at."""
        match self.patch.state:
            case "patched":
                return "keep" if self.open_without else "deprecate"
            case "deprecated" if self.holding:
                return "keep"
            case "deprecated":
                return "remove" if self.looked_at_all else "look"
            case "removed":
                return "removed too early" if self.holding else "gone"


async def connect(directory: Path) -> Client:
    """Connect as ``TEMPORAL_*`` says, or else to the server of the ``wend up`` on that state directory.

    Raises:
        Unavailable: No server answers there.
    """
    if ClientConfig.load_client_connect_config().get("target_host"):
        return await temporal.connect()
    addresses = StateDirectory(directory).read_addresses()
    return await temporal.connect(addresses.temporal if addresses else None)


async def stand(client: Client, patch: Patch, scope: str = "", most: int = 1000) -> Standing:
    """Count how the runs stand to a patch.

    Args:
        client: Temporal.
        patch: Which.
        scope: A further condition on workflows, as visibility reads it.
        most: How many histories to look into; only where counting cannot tell, see ``holding``.

    Raises:
        Unavailable: The server does not answer.
    """
    kind = [f"WorkflowType = '{patch.workflow}'", *([f"({scope})"] if scope else [])]
    with_, without = (
        f"TemporalChangeVersion = '{patch.id}'",
        f"(TemporalChangeVersion IS NULL OR TemporalChangeVersion != '{patch.id}')",
    )
    asked = [[*kind, state, mark] for state in (OPEN, CLOSED) for mark in (with_, without)]
    figures = [await _count(client, each) for each in asked]
    seen: tuple[tuple[str, ...], bool] = ((), True)
    if patch.state != "patched":
        seen = await _look(client, patch, " AND ".join(asked[0]), most)
    return Standing(patch, figures[0], figures[1], figures[2], figures[3], *seen)


def of_ours() -> str:
    """Return the condition on workflows that this release's workers work on."""
    return f"WorkflowType IN ({', '.join(repr(workflow_type(each)) for each in worker.WORKFLOWS)})"


async def count_unknown(client: Client, patches: Sequence[Patch], scope: str = "") -> int:
    """Return how many open runs are marked, and by none of these patches.

    Raises:
        Unavailable: The server does not answer.
    """
    known = [f"TemporalChangeVersion != '{patch.id}'" for patch in patches]
    asked = [OPEN, of_ours(), "TemporalChangeVersion IS NOT NULL", *known]
    return await _count(client, [*asked, *([f"({scope})"] if scope else [])])


async def read_histories(client: Client, query: str, most: int) -> AsyncIterator[WorkflowHistory]:
    """Yield the histories of what a visibility query finds, the youngest first.

    Raises:
        Unavailable: The server does not answer.
        InvalidDocument: It does not understand the query.
    """
    try:
        async for found in client.list_workflows(query, limit=most):
            try:
                history = await client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()
                if _can_be_replayed(history):
                    yield history
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:  # deleted since it was listed
                    raise
    except RPCError as error:
        raise _said(error) from error


async def saved(found: AsyncIterator[WorkflowHistory], directory: Path) -> AsyncIterator[WorkflowHistory]:
    """Yield histories on, each written into a directory, as ``load`` reads them: ``000001.json``, …."""
    directory.mkdir(parents=True, exist_ok=True)
    number = 0
    async for history in found:
        number += 1
        document = {"workflow_id": history.workflow_id, **json.loads(history.to_json())}
        (directory / f"{number:06}.json").write_text(json.dumps(document, indent=1) + "\n")
        yield history


def load(directory: Path) -> list[WorkflowHistory]:
    """Return the histories in a directory: written by ``saved``, or by ``temporal workflow show --output json``.

    Raises:
        InvalidDocument: There are none, or files that hold something else.
    """
    problems, found = [], []
    for path in sorted(directory.glob("*.json")):
        try:
            document: dict[str, Any] = json.loads(path.read_text())
            history = WorkflowHistory.from_json(document.pop("workflow_id", path.stem), document)
            if not _can_be_replayed(history):
                raise ValueError("no task")
            found.append(history)
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            problems.append(Problem(path.name, f"holds no history of a workflow: {type(error).__name__}"))
    if not found and not problems:
        problems = [Problem("", "there is no file *.json")]
    if problems:
        raise InvalidDocument(str(directory), problems)
    return found


def _can_be_replayed(history: WorkflowHistory) -> bool:
    """Return whether a workflow task was ever promised: where none was, the SDK's replayer waits for it for ever."""
    return any(each.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED for each in history.events)


async def _look(client: Client, patch: Patch, query: str, most: int) -> tuple[tuple[str, ...], bool]:
    """Return the ids of open runs that hold the mark of code that had both ways, and whether all were looked at.

    Visibility does not tell: the mark that ``deprecate_patch`` leaves is found by the same search attribute, and a run
    that continued as new keeps the attribute without the mark. Ends at a hundred, which are enough to know.
    """
    holding: list[str] = []
    looked_at = 0
    try:
        async for found in client.list_workflows(query, limit=most):
            looked_at += 1
            if await _holds(client.get_workflow_handle(found.id, run_id=found.run_id), patch.id):
                holding.append(found.id)
            if len(holding) >= ENOUGH:
                return tuple(holding), False
    except RPCError as error:
        raise _said(error) from error
    return tuple(holding), looked_at < most


async def _holds(handle: WorkflowHandle[Any, Any], patch_id: str) -> bool:
    begun = False
    async for event in handle.fetch_history_events(page_size=20):
        if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            if _is_mark(event.marker_recorded_event_attributes, patch_id):
                return True
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            begun = True
        elif begun and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            break  # asked at the start of ``run``, a mark is among what the first task commanded
    return False


def _is_mark(marker: MarkerRecordedEventAttributes, patch_id: str) -> bool:
    if marker.marker_name != MARKER:
        return False
    (payload,) = marker.details["patch-data"].payloads
    said = json.loads(payload.data)
    return bool(said["id"] == patch_id and not said["deprecated"])


async def _count(client: Client, conditions: Sequence[str]) -> int:
    try:
        return (await client.count_workflows(" AND ".join(conditions))).count
    except RPCError as error:
        raise _said(error) from error


def _said(error: RPCError) -> Exception:
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        return InvalidDocument("The query", [Problem("", error.message)])
    return Unavailable("Temporal", error.message)
