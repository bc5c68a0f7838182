"""Who imports whom, and what decisions may not ask: rules that a command checks, and proof that it does."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAMS / "lint-imports"), "--no-logo", "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


OFFENDERS = {
    "wend/profiles/one.py": ("import workflows", "wend is not allowed to import workflows"),
    "workflows/one.py": ("import api", "workflows is not allowed to import api"),
    "api/one.py": ("import worker", "api is not allowed to import worker"),
    "wend/journeys/one.py": ("import wend.errors", "wend.journeys is not allowed to import wend.errors"),
    "wend/journeys/two.py": ("import temporalio", "wend.journeys is not allowed to import temporalio"),
    "wend/journeys/three.py": ("from httpx2 import Client", "wend.journeys is not allowed to import httpx2"),
    "wend/messages/one.py": ("from wend import cli", "wend.messages.one -> wend.cli"),
    "activities/one.py": ("import sqlalchemy", "activities is not allowed to import sqlalchemy"),
    "wend/segments/one.py": ("import fastapi", "wend.segments is not allowed to import fastapi"),
}


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """An empty project of the same shape."""
    for package in ("journeys", "segments", "profiles", "messages", "storage", "cli"):
        (tmp_path / "wend" / package).mkdir(parents=True)
    for package in ("workflows", "activities", "api"):
        (tmp_path / package).mkdir()
    for directory in [path for path in tmp_path.rglob("*") if path.is_dir()]:
        (directory / "__init__.py").touch()
    (tmp_path / "wend" / "errors.py").touch()
    (tmp_path / "worker.py").touch()
    return tmp_path


def test_each_contract_bites(skeleton: Path) -> None:
    for path, (line, _) in OFFENDERS.items():
        (skeleton / path).write_text(line + "\n")

    result = lint_imports(skeleton)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "0 kept" in result.stdout
    for _, complaint in OFFENDERS.values():
        assert complaint in result.stdout


def test_the_command_line_may_put_everything_together(skeleton: Path) -> None:
    together = "import activities, api, fastapi, sqlalchemy, worker, workflows\n"
    (skeleton / "wend" / "cli" / "up.py").write_text(together)

    result = lint_imports(skeleton)

    assert result.returncode == 0, result.stdout + result.stderr


ASKING = {
    "datetime.now": "from datetime import UTC, datetime\n\nnow = datetime.now(UTC)\n",
    "date.today": "from datetime import date\n\ntoday = date.today()\n",
    "time.time": "import time\n\nnow = time.time()\n",
    "time.monotonic": "from time import monotonic\n\nnow = monotonic()\n",
    "random": "import random\n\nchance = random.random()\n",
    "from random": "from random import choice\n\nchance = choice([1, 2])\n",
    "uuid4": "import uuid\n\nid = uuid.uuid4()\n",
    "uuid1": "from uuid import uuid1\n\nid = uuid1()\n",
    "os.environ": 'import os\n\nhome = os.environ["HOME"]\n',
    "os.getenv": 'from os import getenv\n\nhome = getenv("HOME")\n',
}


def banned(code: str, path: str) -> bool:
    command = [str(PROGRAMS / "ruff"), "check", "--no-cache", "--select", "TID251", "--stdin-filename", path, "-"]
    result = subprocess.run(command, cwd=ROOT, input=code, capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr
    return "TID251" in result.stdout


@pytest.mark.parametrize("what", ASKING)
@pytest.mark.parametrize("path", ["wend/journeys/asks.py", "wend/journeys/steps/asks.py", "workflows/asks.py"])
def test_decisions_ask_neither_clock_nor_chance_nor_environment(what: str, path: str) -> None:
    assert banned(ASKING[what], path)


@pytest.mark.parametrize("path", ["wend/asks.py", "activities/asks.py", "api/asks.py", "tests/unit/asks.py"])
def test_the_shells_may_ask(path: str) -> None:
    assert not any(banned(code, path) for code in ASKING.values())


def imported(module: ast.Module) -> Iterator[str]:
    """Every dotted name that a module imports."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_durable(code: str) -> bool:
    return any(f"{name}.".startswith("temporalio.workflow.") for name in imported(ast.parse(code)))


def test_only_workflows_and_the_worker_are_durable_code() -> None:
    """import-linter sees other packages as wholes, so this one import is looked for by hand."""
    shells = [path for package in ("wend", "activities", "api") for path in (ROOT / package).rglob("*.py")]
    assert [path for path in shells if is_durable(path.read_text())] == []


@pytest.mark.parametrize(
    ("code", "durable"),
    [
        ("from temporalio import workflow", True),
        ("from temporalio import activity, workflow as w", True),
        ("import temporalio.workflow", True),
        ("from temporalio.workflow import defn", True),
        ("from temporalio import activity", False),
        ("from temporalio.client import WorkflowHandle", False),
    ],
)
def test_the_import_is_found_in_every_form(code: str, durable: bool) -> None:
    assert is_durable(code) is durable
