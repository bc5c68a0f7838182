"""The replay gate: recorded histories against today's workflow code, in the strict sandbox and as in production."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from tests.replay.changed import ChangedJourneyRun, PatchedJourneyRun
from tests.replay.reordered import ReorderedJourneyRun
from worker import WORKFLOWS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
RUNNERS = {"strict": SandboxedWorkflowRunner, "production": UnsandboxedWorkflowRunner}
SINGLE_BATCH = 2
"""The SDK's logic flag under which a timer and a signal of one task reach a wait together: off today, meant to come."""


def read(path: Path, flags: list[int] | None = None) -> WorkflowHistory:
    document: dict[str, Any] = json.loads(path.read_text())
    workflow_id = document.pop("workflow_id")
    if flags is not None:
        for event in document["events"]:
            completed = event.get("workflowTaskCompletedEventAttributes")
            if completed is not None:
                completed.setdefault("sdkMetadata", {})["langUsedFlags"] = flags
    return WorkflowHistory.from_json(workflow_id, document)


def replayer(runner: WorkflowRunner, *workflows: type) -> Replayer:
    return Replayer(
        workflows=list(workflows or WORKFLOWS), workflow_runner=runner, data_converter=pydantic_data_converter
    )


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path, runner: str) -> None:
    await replayer(RUNNERS[runner]()).replay_workflow(read(path))


@pytest.mark.parametrize("flags", [[], [SINGLE_BATCH]], ids=["signal-first", "single-batch"])
@pytest.mark.parametrize("path", [path for path in HISTORIES if "timer" in path.stem], ids=lambda path: path.stem)
async def test_a_wake_by_signal_and_timer_asks_the_same_under_both_sdk_flags(path: Path, flags: list[int]) -> None:
    """Whichever branch the wait takes, the next command is the same question, and its answer came from stamps."""
    await replayer(SandboxedWorkflowRunner()).replay_workflow(read(path, flags))


@pytest.mark.parametrize("name", ["journey_run_click_then_timer", "journey_run_timer_then_click"])
def test_the_recordings_of_both_have_signal_and_timer_in_one_task(name: str) -> None:
    document = json.loads((Path(__file__).parent / "histories" / f"{name}.json").read_text())
    kinds = [event["eventType"].removeprefix("EVENT_TYPE_") for event in document["events"]]
    between = kinds[kinds.index("TIMER_STARTED") + 1 :]
    woken_by = between[: between.index("WORKFLOW_TASK_STARTED")]
    assert {"WORKFLOW_EXECUTION_SIGNALED", "TIMER_FIRED"} <= set(woken_by)


def test_every_workflow_type_has_a_recording() -> None:
    recorded = {
        json.loads(path.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
        for path in HISTORIES
    }
    assert recorded == {workflow.__temporal_workflow_definition.name for workflow in WORKFLOWS}  # type: ignore[attr-defined]


async def test_a_reordered_loop_does_not_pass_the_gate() -> None:
    """The test of the test: asking before sending is another program, and replay must say so."""
    history = read(Path(__file__).parent / "histories" / "journey_run_first_answer.json")
    with pytest.raises(NondeterminismError):
        await replayer(UnsandboxedWorkflowRunner(), ReorderedJourneyRun).replay_workflow(history)


SENDING = [path for path in HISTORIES if path.stem.startswith("journey_run") and path.stem != "journey_run_stopped"]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("path", SENDING, ids=lambda path: path.stem)
async def test_another_command_passes_the_gate_behind_a_patch_and_never_without_one(path: Path, runner: str) -> None:
    with pytest.raises(NondeterminismError):
        await replayer(RUNNERS[runner](), ChangedJourneyRun).replay_workflow(read(path))
    await replayer(RUNNERS[runner](), PatchedJourneyRun).replay_workflow(read(path))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recording_names_no_path_of_the_machine_that_made_it(path: Path) -> None:
    assert 'File \\"/' not in path.read_text()
