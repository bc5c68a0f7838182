"""What `wend doctor` finds on machines that lack this or that."""

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from wend.cli import app, examining
from wend.cli.examining import Finding, clock_skew, examine, is_ours, look_at_port
from wend.cli.listeners import listener_on
from wend.storage.schema import upgrade


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without any setting, in an empty directory."""
    for name in [name for name in os.environ if name.startswith(("WEND_", "TEMPORAL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def found(check: str, **environment: str) -> Finding:
    """Return what one check found."""
    (finding,) = [each for each in examine(Path(".wend"), environment) if each.check == check]
    return finding


def test_a_machine_where_everything_is_missing_is_told_all_of_it(bare: pytest.MonkeyPatch, closed: int) -> None:
    nowhere = f"127.0.0.1:{closed}"
    settings = {
        "TEMPORAL_ADDRESS": nowhere,
        "WEND_API_URL": f"http://{nowhere}",
        "WEND_DATABASE_URL": f"postgresql://wend:secret@{nowhere}/wend",
    }
    for name, value in settings.items():
        bare.setenv(name, value)
    bare.setattr(examining, "GIVEN_UP_AFTER", 60.0)
    told = CliRunner().invoke(app, ["doctor", "--json"])
    assert told.exit_code == 1
    assert "no answer within" not in told.stdout  # nothing was waited for that is known not to be there
    answer = json.loads(told.stdout)
    assert answer["healthy"] is False
    levels = {each["check"]: each["level"] for each in answer["checks"]}
    assert {check: levels[check] for check in ("api", "temporal", "database", "link keys")} == {
        "api": "problem",
        "temporal": "problem",
        "database": "problem",
        "link keys": "warning",
    }
    assert "secret" not in told.stdout
    assert all(each["remedy"] for each in answer["checks"] if each["level"] != "ok")


def test_a_machine_on_which_wend_was_never_started_has_no_problem(bare: pytest.MonkeyPatch, closed: int) -> None:
    bare.setattr(examining, "PORTS", {closed: ("the API", "--port")})
    database = found("database")
    assert database.level == "warning"
    assert "make up" in (database.remedy or "")
    (elsewhere,) = [each for each in examine(Path("elsewhere"), {}) if each.check == "database"]
    assert "elsewhere" in elsewhere.message


def test_settings_that_do_not_hold_are_told_by_their_names(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("WEND_PORT", "none")
    finding = found("settings")
    assert finding.level == "problem"
    assert finding.message.startswith("WEND_PORT: ")


def test_an_older_schema_is_a_problem_with_a_remedy(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("WEND_DATABASE_URL", f"sqlite:///{tmp_path / 'wend.db'}")
    sqlite3.connect(tmp_path / "wend.db").close()
    assert found("database") == Finding(
        "database",
        "problem",
        f"{tmp_path / 'wend.db'} has no schema yet",
        "Bring it up to date with: wend migrate",
    )
    upgrade(f"sqlite:///{tmp_path / 'wend.db'}")
    assert found("database").level == "ok"


def test_a_state_directory_that_others_can_read_is_told(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = tmp_path / ".wend"
    state.mkdir(mode=0o700)
    assert found("state directory").level == "ok"
    state.chmod(0o755)
    finding = found("state directory")
    assert (finding.level, finding.remedy) == ("warning", f"chmod go-rwx {state}")


def test_broken_link_keys_are_a_problem(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("WEND_TOKEN_KEYS", "nonsense")
    assert found("link keys").level == "problem"
    bare.setenv("WEND_TOKEN_KEYS", f"1:{'ab' * 32}")
    assert found("link keys").level == "ok"
    bare.delenv("WEND_TOKEN_KEYS")
    (tmp_path / ".wend").mkdir(mode=0o700)
    (tmp_path / ".wend" / "secrets.env").touch(mode=0o600)
    assert found("link keys").level == "ok"


def test_an_old_sqlite_matters_where_it_is_used(bare: pytest.MonkeyPatch, closed: int) -> None:
    bare.setattr(examining.sqlite3, "sqlite_version_info", (3, 34, 1))
    assert found("sqlite").level == "problem"
    bare.setattr(examining.sqlite3, "sqlite_version_info", (3, 51, 2))
    assert "one process alone may write" in found("sqlite").message
    bare.setenv("WEND_DATABASE_URL", f"postgresql://wend@127.0.0.1:{closed}/wend")
    assert "not used" in found("sqlite").message


def test_a_port_that_is_taken_says_by_whom() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        taken = look_at_port(port, "the API", "--port")
        holder = listener_on(port)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert (taken.level, taken.remedy) == ("warning", "Stop it, or choose another port for the API: wend up --port")
        assert str(os.getpid()) in taken.message


def test_a_port_that_is_free_is_fine() -> None:
    assert look_at_port(0, "the API", "--port").level == "ok"  # any that is free at this moment


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("/srv/wend/.venv/bin/python /srv/wend/.venv/bin/wend up", True),
        ("python -m wend.cli up", True),
        ("/opt/temporal server start-dev --port 7233", True),
        ("/home/wend/bin/nginx -c /etc/nginx.conf", False),
    ],
)
def test_our_own_processes_are_known(command: str, ours: bool) -> None:
    assert is_ours(command) is ours


NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "skew"),
    [
        (NOON, timedelta(0)),
        (NOON - timedelta(seconds=1), timedelta(0)),  # a header that counts whole seconds and is kept for one
        (NOON + timedelta(seconds=30), timedelta(seconds=29)),  # answered at 12:00:01
        (NOON - timedelta(seconds=30), timedelta(seconds=28)),  # it may have shown 11:59:32 when asked at 12:00:00
    ],
)
def test_clocks_are_compared_as_closely_as_a_header_allows(shown: datetime, skew: timedelta) -> None:
    assert clock_skew(shown, NOON, NOON + timedelta(seconds=1)) == skew


def test_a_check_that_hangs_or_breaks_holds_nobody_up(bare: pytest.MonkeyPatch) -> None:
    def breaks(_: object) -> list[Finding]:
        raise RuntimeError("broken")

    def hangs(_: object) -> list[Finding]:
        released.wait()
        return []

    released = threading.Event()
    bare.setattr(examining, "GIVEN_UP_AFTER", 60.0)
    bare.setattr(examining, "CHECKS", {"broken": breaks, "slow": hangs})
    # The time is over when the first check has answered and the other one is waited for.
    looks = iter([0.0, 0.0, 60.0])
    bare.setattr(examining, "time", SimpleNamespace(monotonic=lambda: next(looks)))
    broken, slow = examine(Path(".wend"), {})
    released.set()
    assert broken.message == "cannot be examined: RuntimeError: broken"
    assert slow.message.startswith("no answer within")
    assert {broken.level, slow.level} == {"problem"}
