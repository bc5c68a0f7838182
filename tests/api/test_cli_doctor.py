"""`wend doctor` on a machine that lacks nothing: a real Temporal server, a real API, a database in use."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.parts import ApiParts
from tests.support.commands import served
from tests.support.world import KEYS, World
from wend.cli import app, examining
from wend.devserver import DevServer
from wend.errors import Unavailable
from wend.storage.database import Database


@pytest.fixture
def machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str, temporal_server: DevServer
) -> pytest.MonkeyPatch:
    """An environment in which everything is said, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEND_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("WEND_TOKEN_KEYS", f"1:{'ab' * 32}")
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.delenv("WEND_API_TOKEN", raising=False)
    # Of a machine that is slow, or stands still for a moment, the doctor would tell.
    monkeypatch.setattr(examining, "ANSWERS_WITHIN", 60.0)
    monkeypatch.setattr(examining, "GIVEN_UP_AFTER", 120.0)
    monkeypatch.setattr(examining, "MOST_SKEW", timedelta(minutes=1))
    return monkeypatch


def levels() -> dict[str, str]:
    """Return what the doctor says of everything but ports, which other programs of this machine may have."""
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    return {each["check"]: each["level"] for each in told["checks"] if not each["check"].startswith("port ")}


def test_nothing_is_missing_where_everything_runs(machine: pytest.MonkeyPatch, sqlite_database: Database) -> None:
    world = World(sqlite_database)  # holds the SQLite file, as a running Wend does
    with served(ApiParts(world.database, KEYS, world.time, "https://wend.example")) as url:
        machine.setenv("WEND_API_URL", url)
        assert set(levels().values()) == {"ok"}
        told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 0
    assert "has Wend's search attributes" in told.stdout


def test_an_api_that_is_not_ready_or_wants_another_key_is_told(
    machine: pytest.MonkeyPatch, sqlite_database: Database
) -> None:
    def waits() -> None:
        raise Unavailable("Temporal", "it is restarting")

    world = World(sqlite_database)
    parts = ApiParts(world.database, KEYS, world.time, "https://wend.example", ready=waits)
    with served(parts) as url:
        machine.setenv("WEND_API_URL", url)
        told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 1
    assert "it is restarting" in " ".join(told.stdout.split())
    with served(ApiParts(world.database, KEYS, world.time, "https://wend.example", api_token="x" * 20)) as url:
        machine.setenv("WEND_API_URL", url)
        assert levels()["api"] == "problem"
        machine.setenv("WEND_API_TOKEN", "x" * 20)
        assert levels()["api"] == "ok"
