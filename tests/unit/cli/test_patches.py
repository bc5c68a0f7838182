"""``wend replay`` of histories that lie in a directory, and what both commands say where there is nothing to ask."""

from pathlib import Path

import pytest

import worker
from tests.replay.changed import ChangedJourneyRun
from tests.support.commands import run_command
from workflows.segment_entry import SegmentEntry

HISTORIES = Path(__file__).parents[2] / "replay" / "histories"
STARTED = '{"events": [{"eventId": "1", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"}]}'


def test_a_directory_of_histories_is_replayed_without_a_server() -> None:
    ran = run_command("replay", "--from", HISTORIES, "--json", env={"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert ran.exit_code == 0
    assert ran.json == {"replayed": len(list(HISTORIES.glob("*.json"))), "failed": {}}


def test_what_does_not_replay_is_named_and_the_exit_status_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "WORKFLOWS", [ChangedJourneyRun, SegmentEntry])
    (tmp_path / "clicked.json").write_text((HISTORIES / "journey_run_clicked.json").read_text())
    ran = run_command("replay", "--from", tmp_path)
    assert ran.exit_code == 1
    assert "1 replayed, 1 do not replay run/clicked/" in ran.said
    assert "Nondeterminism error" in ran.said
    assert "Do not deploy it: those runs would stand still." in ran.said


def test_what_lies_in_a_directory_is_not_saved_to_another(tmp_path: Path) -> None:
    ran = run_command("replay", "--from", HISTORIES, "--save", tmp_path / "copy")
    assert (ran.exit_code, "is not saved" in ran.said) == (2, True)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param("a.txt", "{}", "there is no file *.json", id="nothing"),
        pytest.param("a.json", "no json", "a.json: holds no history of a workflow", id="no-json"),
        pytest.param("a.json", "[1]", "a.json: holds no history of a workflow", id="something-else"),
        pytest.param("a.json", '{"events": []}', "a.json: holds no history of a workflow", id="no-events"),
        pytest.param("a.json", STARTED, "a.json: holds no history of a workflow", id="no-task"),
    ],
)
def test_a_directory_without_histories_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    ran = run_command("replay", "--from", tmp_path)
    assert (ran.exit_code, said in ran.said) == (1, True), ran.said
