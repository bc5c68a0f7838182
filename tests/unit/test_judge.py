"""The judge of a test run forgives a crash after the end, and nothing else."""

from pathlib import Path

import pytest

from tools.judge import judge, main

ROOT = Path(__file__).parents[2]
PASSES = "def test_passes(): pass\n"
CRASH_AT_EXIT = "import atexit, os\natexit.register(os.abort)\n"

RUNS = {
    "all pass": (PASSES, True, "1 passed, 0 skipped, 0 failed"),
    "all pass, then a crash while exiting": (CRASH_AT_EXIT + PASSES, True, "ended by SIGABRT while exiting"),
    "a failure": ("def test_fails(): assert False\n", False, "pytest recorded status 1"),
    "a failure, then a crash": (CRASH_AT_EXIT + "def test_fails(): assert False\n", False, "recorded status 1"),
    "a crash in the middle": (PASSES + "import os\ndef test_crashes(): os.abort()\n", False, "before it was done"),
    "an exit in the middle": (PASSES + "import os\ndef test_exits(): os._exit(0)\n", False, "before it was done"),
    "an interrupt": (PASSES + "def test_stops(): raise KeyboardInterrupt\n", False, "recorded status 2"),
    "killed while exiting": (
        "import atexit, os\natexit.register(os.kill, os.getpid(), 9)\n" + PASSES,
        False,
        "the process ended with -9",
    ),
    "no tests": ("", False, "recorded status 5"),
    "only skipped": ("import pytest\n@pytest.mark.skip\ndef test_skipped(): pass\n", False, "no test ran"),
    "does not import": ("import nothing_of_the_kind\n", False, "recorded status 2"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_judged_by_its_records(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    module, good, says = RUNS[name]
    (tmp_path / "test_it.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr("sys.argv", ["judge", "-q", "-p", "no:cacheprovider"])

    status = main()

    last = capfd.readouterr().out.splitlines()[-1]
    assert says in last
    assert (status, last.startswith("Good")) == ((0, True) if good else (1, False))


def test_records_of_an_earlier_run_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("all pass", "a crash in the middle"):
        test_a_run_is_judged_by_its_records(name, tmp_path, monkeypatch, capfd)


GREEN = '<testsuites><testsuite tests="2" failures="0" errors="0" skipped="0"/></testsuites>'


@pytest.mark.parametrize(
    ("exit_status", "junit", "status", "good"),
    [
        (0, GREEN, "0", True),
        (-6, GREEN, "0", True),
        (-11, GREEN, "0", True),
        (1, GREEN, "0", False),
        (-15, GREEN, "0", False),
        (0, None, "0", False),
        (0, GREEN[:40], "0", False),
        (0, GREEN.replace('failures="0"', 'failures="1"'), "0", False),
        (0, GREEN.replace('errors="0"', 'errors="1"'), "0", False),
        (0, GREEN.replace('tests="2"', 'tests="0"'), "0", False),
        (0, GREEN, None, False),
        (0, GREEN, "", False),
    ],
)
def test_every_record_has_to_be_there_and_green(
    tmp_path: Path, exit_status: int, junit: str | None, status: str | None, good: bool
) -> None:
    files = {"junit.xml": junit, "pytest.status": status}
    for name, text in files.items():
        if text is not None:
            (tmp_path / name).write_text(text)

    verdict = judge(exit_status, tmp_path / "junit.xml", tmp_path / "pytest.status")

    assert verdict.good is good, verdict.reason
