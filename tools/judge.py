"""Run pytest and judge the run by what it recorded, and not by its exit status alone.

A process that ran time-skipping workflows sometimes dies while it *exits*, with a fatal Python error, after all
tests passed and everything was written. That is forgiven, and nothing else is. The run is good if

- pytest itself, as its last act, recorded the status 0 (``reports/pytest.status``),
- the JUnit file is there, was written by this run, holds at least one test that ran, and no failure or error,
- and the process ended with 0, or by SIGABRT or SIGSEGV after both records were complete.

``python -m tools.judge [pytest arguments]`` runs and judges; as a pytest plugin this module writes the record.
"""

import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CRASHES_AT_EXIT = (-signal.SIGABRT, -signal.SIGSEGV)


@dataclass(frozen=True)
class Verdict:
    """Whether the run is good, and one line that says why."""

    good: bool
    reason: str


def judge(exit_status: int, junit: Path, status: Path) -> Verdict:
    """Judge a finished run; a negative exit status is the signal that ended the process."""
    try:
        recorded = status.read_text().strip()
    except FileNotFoundError:
        return Verdict(False, f"pytest ended with {exit_status} before it was done: there is no {status}")
    try:
        suites = ElementTree.parse(junit).getroot().findall("testsuite")
        tests, failures, errors, skipped = (
            sum(int(suite.attrib[name]) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
        )
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        return Verdict(False, f"{junit} cannot be read: {error!r}")
    figures = f"{tests - failures - errors - skipped} passed, {skipped} skipped, {failures + errors} failed"
    if recorded != "0":
        return Verdict(False, f"pytest recorded status {recorded}: {figures}")
    if failures or errors:
        return Verdict(False, f"{figures}, though pytest recorded success")
    if tests - skipped <= 0:
        return Verdict(False, f"no test ran: {figures}")
    if exit_status == 0:
        return Verdict(True, figures)
    if exit_status in CRASHES_AT_EXIT:
        name = signal.Signals(-exit_status).name
        return Verdict(True, f"{figures}; the process then ended by {name} while exiting, which changes nothing")
    return Verdict(False, f"{figures}, but the process ended with {exit_status}")


def run(arguments: Sequence[str], reports: Path) -> Verdict:
    """Run pytest with ``arguments`` in the current directory and judge it by its files in ``reports``."""
    junit, status = reports / "junit.xml", reports / "pytest.status"
    reports.mkdir(parents=True, exist_ok=True)
    for file in (junit, status):
        file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "tools.judge", f"--junitxml={junit}"]
    finished = subprocess.run([*command, f"--record-status={status}", *arguments], check=False)
    return judge(finished.returncode, junit, status)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare where the status is recorded."""
    parser.addoption("--record-status", type=Path, default=None, help="file for pytest's own exit status")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the status down when everything is over: tests, session fixtures, reports."""
    if hasattr(config, "workerinput"):
        return  # one of several processes that run the tests: whoever started them knows the status
    status: Path | None = config.getoption("--record-status")
    if status is not None and (session_status := config.stash.get(_STATUS, None)) is not None:
        status.write_text(f"{session_status}\n")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> object:
    """Keep the status once all other plugins have finished the session without an error."""
    answer = yield
    session.config.stash[_STATUS] = int(session.exitstatus)
    return answer


_STATUS = pytest.StashKey[int]()


def main() -> int:
    """Run, judge, say it in one line; returns the exit status for the shell."""
    verdict = run(sys.argv[1:], Path("reports"))
    print(f"{'Good' if verdict.good else 'NOT good'}: {verdict.reason}", flush=True)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
