"""Fixtures that every ring may ask for; none starts anything before a test asks."""

from importlib.util import find_spec

import pytest

from wend.cli import logs

pytest_plugins = ["tests.support.postgres", "tests.support.temporal"]
if find_spec("tests.support.databases"):
    pytest_plugins.append("tests.support.databases")


@pytest.fixture(autouse=True)
def _logs_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep commands that run inside this process from taking its log over: tests after them would read an empty one."""
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have recorded, whichever process they ran in."""
    for reports in (terminalreporter.stats.get("passed", ()), terminalreporter.stats.get("failed", ())):
        for report in reports:
            for name, value in report.user_properties:
                if name == "figure":
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
