"""The registry of patches: what stands in it is what the code does."""

import re
from pathlib import Path

import pytest

from tests.replay.changed import DEPRECATED, PATCHED, REMOVED
from wend.cli.histories import Standing
from worker import WORKFLOWS
from workflows.patches import PATCHES, takes

ROOT = Path(__file__).parents[2]


def test_no_id_is_used_twice_and_each_belongs_to_a_workflow() -> None:
    assert len({patch.id for patch in PATCHES}) == len(PATCHES)
    names = {workflow.__temporal_workflow_definition.name for workflow in WORKFLOWS}  # type: ignore[attr-defined]
    assert {patch.workflow for patch in PATCHES} <= names
    assert all(re.fullmatch(r"[a-z0-9-]+", patch.id) for patch in PATCHES)  # they stand in visibility queries


def test_loops_ask_the_registry_and_never_temporal_itself() -> None:
    asking = re.compile(r"\b(patched|deprecate_patch)\(")
    found = [path.name for path in (ROOT / "workflows").glob("*.py") if asking.search(path.read_text())]
    assert found == ["patches.py"]


def test_a_removed_patch_is_not_asked_for() -> None:
    with pytest.raises(ValueError, match="'pauses-before-sends' is removed"):
        takes(REMOVED)


@pytest.mark.parametrize(
    ("standing", "may"),
    [
        pytest.param(Standing(PATCHED, 5, 1, 0, 9), "keep", id="one-open-run-goes-the-old-way"),
        pytest.param(Standing(PATCHED, 5, 0, 0, 9), "deprecate", id="closed-ones-do-not-keep-it"),
        pytest.param(Standing(PATCHED, 0, 0, 0, 0), "deprecate", id="nobody-is-inside"),
        pytest.param(Standing(DEPRECATED, 5, 0, 0, 0, ("run/a/b/1",)), "keep", id="an-open-run-holds-the-mark"),
        pytest.param(Standing(DEPRECATED, 5, 0, 0, 0, (), False), "look", id="not-all-were-looked-at"),
        pytest.param(Standing(DEPRECATED, 5, 0, 0, 0), "remove", id="their-marks-are-of-the-deprecation"),
        pytest.param(Standing(REMOVED, 5, 0, 0, 0), "gone", id="nobody-misses-it"),
        pytest.param(Standing(REMOVED, 5, 0, 0, 0, ("run/a/b/1",)), "removed too early", id="somebody-does"),
    ],
)
def test_what_may_be_done_follows_from_the_open_runs(standing: Standing, may: str) -> None:
    assert standing.may == may
