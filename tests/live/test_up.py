"""``wend up``: everything with one command, and a run that waits goes on waiting whatever ends the process."""

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.eventually import assert_eventually
from tests.support.ports import lasting_port
from tests.support.programs import PATIENCE, Program, assert_gone, command, descendants, in_words, program
from wend.cli.sampling import PEOPLE_INSIDE, PEOPLE_OUTSIDE

PORTS = ("--port", "--temporal-port", "--ui-port", "--sink-port", "--smtp-port")
ANY = [word for option in PORTS for word in (option, 0)]
TIMEOUT = 60
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def running(up: Program, state: Path) -> dict[str, Any]:
    """Return where it is, as soon as it says so."""

    def says_where() -> dict[str, Any]:
        assert up.is_running, f"ended with {up.process.returncode}: {up.out}{up.err}"
        file = state / "running.json"
        assert file.exists()
        addresses: dict[str, Any] = json.loads(file.read_text())
        assert addresses["pid"] == up.process.pid
        assert "Inbox" in up.out
        return addresses

    return await assert_eventually(says_where, timeout=PATIENCE)


def caught(inbox: str, channel: str) -> dict[str, Any]:
    """Return the only message of a channel in the inbox."""
    answer = httpx2.get(f"{inbox}/api/messages", params={"channel": channel}, timeout=TIMEOUT)
    items = answer.json()["items"]
    assert len(items) == 1
    return dict(items[0])


def get(url: str) -> Any:
    answer = httpx2.get(url, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_that_it_keeps_its_state_to_its_owner_and_has_loaded_what_was_absent(
    up: Program, state: Path, where: Mapping[str, Any]
) -> None:
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "secrets.env").stat().st_mode) == 0o600
    segment = get(f"{where['api']}/v1/segments/most-valuable-customers/count")
    assert segment["count"] == PEOPLE_INSIDE
    assert f"Loaded {PEOPLE_INSIDE + PEOPLE_OUTSIDE} invented people" in up.out
    assert "@example.com" not in (state / "wend.log").read_text() + up.err


def is_served(url: str) -> None:
    """Assert that somebody answers there."""
    try:
        assert httpx2.get(url, timeout=TIMEOUT).status_code == 200
    except httpx2.TransportError as error:
        raise AssertionError(f"{url}: {error!r}") from error


async def test_a_run_that_waits_still_waits_after_an_interrupt_and_after_a_kill(tmp_path: Path, state: Path) -> None:
    again = ["--dir", state, *ANY, "--port", lasting_port()]  # which is in the links of mails
    with program(tmp_path, "up", *again) as first:
        where = await running(first, state)
        assert_that_it_keeps_its_state_to_its_owner_and_has_loaded_what_was_absent(first, state, where)
        refused = in_words("up", "--dir", state, *ANY)
        assert refused.exit_code == 1
        assert f"as process {first.process.pid}" in refused.err
        assert {key["key"] for key in get(f"{where['api']}/v1/journeys")["items"]} == {
            "product-launch",
            "product-launch-now",
        }
        assert httpx2.get(f"{where['api']}/docs", timeout=TIMEOUT).status_code == 200
        await assert_eventually(partial(is_served, where["temporal_ui"]), timeout=PATIENCE)
        assert all(where[name] in first.out for name in ("api", "temporal_ui", "inbox"))

        [pasted] = [line.strip() for line in first.out.splitlines() if " try --dir " in line]
        tried = command(tmp_path, *pasted.partition(" -m wend.cli ")[2].split())
        assert tried.wait() == 0, tried.err
        mail = caught(where["inbox"], "email")
        assert f"{where['inbox']}/messages/{mail['id']}" in tried.out
        [run] = re.findall(rf"{where['api']}/v1/runs/[\w-]+", tried.out)
        [pasted] = [line for line in tried.out.splitlines() if " run " in line and "--api" in line]
        told = command(tmp_path, *pasted.partition(" -m wend.cli ")[2].split())
        assert told.wait() == 0, told.err
        assert run.rpartition("/")[2] in told.out

        def is_parked() -> None:
            assert get(run)["step"] == "interested"

        await assert_eventually(is_parked, timeout=PATIENCE)
        first.signal(signal.SIGINT)
        assert first.wait() == 0, first.err
        assert not (state / "running.json").exists()

    with program(tmp_path, "up", *again) as second:
        await running(second, state)
        assert "Loaded" not in second.out, "what is there is not loaded again"
        assert get(run)["step"] == "interested"
        children = descendants(second.process.pid)
        second.signal(signal.SIGKILL)
        second.wait()
        if sys.platform == "linux":
            await assert_gone(children)

    with program(tmp_path, "up", *again) as third:
        where = await running(third, state)
        [link, _] = re.findall(rf"{where['api']}/c/[\w-]+", mail["html"])
        clicked = httpx2.get(link, headers=BROWSER, follow_redirects=False, timeout=TIMEOUT)
        assert (clicked.status_code, clicked.headers["location"][:20]) == (302, "https://example.com/")
        text = await assert_eventually(partial(caught, where["inbox"], "sms"), timeout=PATIENCE)
        assert text["recipient"] == "+12015550100"

        def has_ended() -> None:
            assert get(run)["state"] == "completed"

        await assert_eventually(has_ended, timeout=PATIENCE)
        third.signal(signal.SIGTERM)
        assert third.wait() == 0, third.err


async def test_a_key_that_is_set_is_asked_for_and_without_samples_nobody_is_sent(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a key of more than sixteen letters"
    monkeypatch.setenv("WEND_API_TOKEN", token)
    with program(tmp_path, "up", "--dir", state, "--no-samples", *ANY) as up:
        where = await running(up, state)
        assert "WEND_API_TOKEN" in up.out
        assert " try" not in up.out
        journeys = f"{where['api']}/v1/journeys"
        assert httpx2.get(journeys, timeout=TIMEOUT).status_code == 401
        keyed = httpx2.get(journeys, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT)
        assert keyed.status_code == 200
        tried = in_words("try", "--dir", state)
        assert tried.exit_code == 1
        assert "This Wend runs without samples" in tried.err
        monkeypatch.delenv("WEND_API_TOKEN")
        unkeyed = in_words("try", "--dir", state)
        assert unkeyed.exit_code == 1
        assert "The API asks for a key" in unkeyed.err
        up.signal(signal.SIGINT)
        assert up.wait() == 0, up.err


def test_without_a_wend_there_is_nothing_to_try(tmp_path: Path, state: Path) -> None:
    ran = in_words("try", "--dir", state)
    assert ran.exit_code == 1
    assert "Start it in another terminal: wend up" in ran.err


def test_taken_ports_are_told_at_once_and_nothing_is_started(tmp_path: Path, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"--ui-port": one.getsockname()[1], "--smtp-port": other.getsockname()[1]}
        ports = {**dict.fromkeys(PORTS, 0), **taken}
        ran = command(tmp_path, "up", "--dir", state, *(word for each in ports.items() for word in each))

    assert ran.wait() == 1
    for option, port in taken.items():
        assert re.search(rf"^ +{port} .*{option} changes it$", ran.err, re.MULTILINE), ran.err
    assert re.search(r"try: wend up --ui-port \d+ --smtp-port \d+", ran.err)
    assert not (state / "temporal.db").exists()
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("what", ["api", "worker", "relay"])
def test_processes_of_their_own_refuse_sqlite(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEND_DATABASE_URL", f"sqlite:///{tmp_path / 'wend.db'}")
    monkeypatch.setenv("WEND_TOKEN_KEYS", f"1:{'ab' * 16}")
    ran = in_words(what)
    assert ran.exit_code == 1
    assert "needs PostgreSQL" in ran.err
    assert "wend up" in ran.err


def test_settings_that_do_not_hold_are_told_without_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEND_PORT", "hunter2")
    monkeypatch.setenv("WEND_CHANNELS__SMTP__PORT", "swordfish")
    ran = in_words("migrate")
    assert ran.exit_code == 1
    assert "WEND_PORT: " in ran.err
    assert "WEND_CHANNELS__SMTP__PORT: " in ran.err
    assert "hunter2" not in ran.err
    assert "swordfish" not in ran.err


def test_migrate_makes_the_tables_and_finds_them_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEND_DATABASE_URL", f"sqlite:///{tmp_path / 'wend.db'}")
    first, second = command(tmp_path, "migrate"), in_words("migrate")
    assert (first.wait(), second.exit_code) == (0, 0), first.err + second.err
    assert "from None to" in first.out
    assert "up to date" in second.out


def test_the_directory_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    from wend.cli.state import StateDirectory

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chmod(theirs, 0o755)
    state = StateDirectory(theirs).make()
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    assert state.token_keys() == StateDirectory(theirs).token_keys()
