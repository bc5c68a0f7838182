"""Clocks that disagree: an alarm says so, and no decision is contradicted by a later stamp."""

from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from tests.support.metrics import told
from tests.support.world import AWAIT_CLICK, MAIL, World
from wend.clocks import ClockWatch, Seldom, ahead_of_database
from wend.events.recording import EventLog
from wend.storage.database import Database
from wend.telemetry import Telemetry

FIVE_MINUTES = timedelta(minutes=5)
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def host(off_by: timedelta = timedelta(0)) -> Telemetry:
    """Return the telemetry of a host whose clock is off."""
    return Telemetry("api", clock=lambda: datetime.now(UTC) + off_by)


def standing(off_by: timedelta = timedelta(0)) -> Telemetry:
    """Return the telemetry of a host on which it is noon, or noon and a bit."""
    return Telemetry("api", clock=lambda: NOON + off_by)


@pytest.mark.parametrize("off_by", [FIVE_MINUTES, -FIVE_MINUTES], ids=["ahead", "behind"])
def test_a_host_or_a_database_that_is_five_minutes_off_is_an_alarm(
    postgres_database: Database, off_by: timedelta, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which of the two is wrong nobody can tell from here: the figure is that they differ, and by how much."""
    telemetry, began = host(off_by), monotonic()
    ClockWatch(postgres_database, telemetry).look()
    lasted = monotonic() - began  # the question's way there and back is taken off
    skew = told(telemetry)["wend_clock_skew_seconds", "database"]
    assert skew == pytest.approx(off_by.total_seconds(), abs=0.1 + lasted)
    said = capsys.readouterr().out
    assert "clocks disagree" in said
    assert "against=database" in said


def test_clocks_that_agree_are_told_as_such(
    postgres_database: Database, sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = host()
    ClockWatch(postgres_database, telemetry).look()
    assert told(telemetry)["wend_clock_skew_seconds", "database"] == 0
    telemetry = standing()
    telemetry.heard_temporal(NOON)
    ClockWatch(sqlite_database, telemetry).look()
    assert told(telemetry)["wend_clock_skew_seconds", "temporal"] == 0
    assert "clocks disagree" not in capsys.readouterr().out


def test_an_sqlite_file_has_no_clock_of_its_own(sqlite_database: Database) -> None:
    telemetry = host(FIVE_MINUTES)
    assert ahead_of_database(sqlite_database, telemetry) is None
    ClockWatch(sqlite_database, telemetry).look()
    assert not [key for key in told(telemetry) if key[0] == "wend_clock_skew_seconds"]


@pytest.mark.parametrize("off_by", [FIVE_MINUTES, -FIVE_MINUTES], ids=["ahead", "behind"])
def test_a_worker_whose_clock_differs_from_temporals_is_an_alarm(
    sqlite_database: Database, off_by: timedelta, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = standing(off_by)
    for late in (3, 0, 1):  # what Temporal has stamped is on its way for a while
        telemetry.heard_temporal(NOON - timedelta(seconds=late))
    ClockWatch(sqlite_database, telemetry).look()
    assert told(telemetry)["wend_clock_skew_seconds", "temporal"] == off_by.total_seconds()
    assert "against=temporal" in capsys.readouterr().out


@pytest.mark.parametrize("off_by", [FIVE_MINUTES, -FIVE_MINUTES], ids=["ahead", "behind"])
def test_no_click_of_an_api_that_is_off_is_stamped_before_a_decision(database: Database, off_by: timedelta) -> None:
    """A worker decides at its time; whatever the API's clock says, what it stores afterwards is stamped afterwards."""
    world = World(database)
    world.journey(MAIL, AWAIT_CLICK)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.later(timedelta(days=1))
    world.advance(run_id)  # timed out
    decided = world.path(run_id)
    message = decided.messages[0].id
    click = EventLog(database, lambda: world.time() + off_by).record_click(message, 1, None)
    assert click.late_by is not None
    assert click.late_by > timedelta(0)
    assert world.path(run_id).moves == decided.moves
    assert world.steps(run_id)[-1][1] == "timed_out"


def test_a_complaint_is_repeated_once_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr("wend.clocks.time.monotonic", lambda: seconds[0])
    complaint = Seldom()
    heard = []
    for now in (100.0, 101.0, 159.9, 160.0, 161.0):
        seconds[0] = now
        heard.append(complaint.is_time())
    assert heard == [True, False, False, True, False]
