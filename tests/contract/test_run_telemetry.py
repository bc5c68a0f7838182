"""What deciding and starting runs tells of itself."""

from datetime import timedelta

from tests.support.metrics import told
from tests.support.world import DAY, World
from wend.runs.advancing import Advancer
from wend.runs.starting import Starter
from wend.storage.database import Database
from wend.telemetry import Telemetry

LATE = "wend_wake_late_seconds_sum"
BOUGHT = {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P1D"}


def watched(database: Database) -> tuple[World, Telemetry]:
    """Return a world whose starts and decisions are told of."""
    world, telemetry = World(database), Telemetry()
    world.advancer = Advancer(database, world.versions, telemetry)
    world.starter = Starter(database, world.versions, telemetry=telemetry)
    return world, telemetry


def test_a_run_is_counted_as_started_once(database: Database) -> None:
    world, telemetry = watched(database)
    world.journey(DAY)
    started = world.enter(world.person("ada"))
    world.starter.mark_started([started], world.time())  # by somebody who did not know
    assert told(telemetry)["wend_runs_started_total", "trip"] == 1


def test_a_wake_is_as_late_as_its_wait_was_over(sqlite_database: Database) -> None:
    world, telemetry = watched(sqlite_database)
    world.journey(DAY, DAY | {"id": "another"})
    run_id = world.enter(world.person("ada"))
    world.later(timedelta(days=1, seconds=7))
    world.advance(run_id)
    assert told(telemetry)[LATE,] == 7


def test_a_bell_before_the_deadline_and_a_run_that_was_held_are_not_late(sqlite_database: Database) -> None:
    world, telemetry = watched(sqlite_database)
    world.journey(BOUGHT, {"id": "mail", "type": "send_email", "message": "hello"})
    run_id = world.enter(world.person("ada"))
    world.later(timedelta(hours=1))
    world.happen(world.row(run_id).profile_id, "bought")
    world.pause()
    world.advance(run_id)
    assert world.row(run_id).held_at is not None
    world.later(timedelta(days=30))
    world.resume()
    world.advance(run_id)
    assert told(telemetry)["wend_wakes_total",] == 3
    assert told(telemetry)["wend_wake_late_seconds_count",] == 0
