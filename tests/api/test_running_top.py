"""How everything stands, at a glance."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from tests.api.conftest import Api
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT
from wend.channels.port import Refused
from wend.storage.tables import entries


def lines(api: Api) -> dict[str, dict[str, Any]]:
    return {line["key"]: line for line in api.ok("GET", "/v1/top")["items"]}


def test_one_line_tells_how_a_journey_stands(api: Api) -> None:
    world = api.world
    world.journey(MAIL, AWAIT_CLICK, TEXT)
    waiting = world.enter(world.person("ada"))
    world.send(waiting)
    world.enter(world.person("bob"))  # at the mail
    world.request(world.person("cem"))  # has not begun
    refused = world.enter(world.person("dan"))
    world.send(refused, Refused("invalid_address"))
    with world.database.write() as connection:
        row = {"id": uuid4(), "journey_key": "trip", "version": 1, "members": 0, "kind": "segment", "state": "missed"}
        moments = {"due_at": T0, "opened_at": T0, "finished_at": T0}
        connection.execute(sa.insert(entries).values(**row, **moments, occurrence="2026-11-30T09:00"))

    told = api.ok("GET", "/v1/top")
    assert told["at"] == "2026-12-01T09:00:00Z"
    (line,) = told["items"]
    assert line == {
        "key": "trip",
        "name": "Trip",
        "state": "live",
        "version": 1,
        "inside": 3,
        "held": 0,
        "pending": 1,
        "steps": [{"step": "mail", "here": 1}, {"step": "look", "here": 1}],
        "sent_last_minute": 1,
        "failed": 1,
        "overdue_seconds": 0.0,
        "missed": 1,
        "resume_at": None,
    }
    world.later(timedelta(minutes=1))
    assert lines(api)["trip"]["sent_last_minute"] == 0


def test_a_run_that_nobody_woke_is_late_unless_it_is_held(api: Api) -> None:
    world = api.world
    world.journey(DAY, MAIL)
    run = world.enter(world.person("ada"))
    world.later(timedelta(hours=3))
    world.enter(world.person("bob"))
    world.later(timedelta(hours=21, seconds=5))
    assert lines(api)["trip"]["overdue_seconds"] == 0  # its workflow is on its way
    world.later(timedelta(seconds=1.5))
    assert lines(api)["trip"]["overdue_seconds"] == 6.5  # and bob's is not due yet

    api.ok("POST", "/v1/journeys/trip/pause", {"resume_at": "2026-12-09T09:00:00Z"})
    world.advance(run)
    line = lines(api)["trip"]
    assert (line["state"], line["held"], line["overdue_seconds"]) == ("paused", 1, 0)
    assert line["resume_at"] == "2026-12-09T09:00:00Z"
    api.ok("POST", "/v1/journeys/trip/resume")
    assert lines(api)["trip"]["held"] == 1  # it is yet to be woken
    world.advance(run)
    world.stop()
    assert lines(api) == {}


def test_every_journey_that_is_not_over_is_there(api: Api) -> None:
    world = api.world
    api.ok("PUT", "/v1/journeys/plan/draft", {"key": "plan", "name": "Plan", "steps": [DAY]})
    world.journey(TEXT, DAY, key="moving")
    old = world.enter(world.person("ada"), "moving")
    world.send(old)
    world.journey(MAIL, {"id": "week", "type": "wait", "for": "P7D"}, key="moving")
    world.enter(world.person("bob"), "moving")
    for key, end in (("closing", world.close), ("closed", world.close), ("stopped", world.stop)):
        world.journey(DAY, key=key)
        if key == "closing":
            world.enter(world.person("cem"), key)
        end(key)

    told = lines(api)
    assert list(told) == ["closing", "moving", "plan"]
    assert [told[key]["state"] for key in told] == ["closed", "live", "draft"]
    moving, plan = told["moving"], told["plan"]
    # the newest version's steps first, then those of older ones
    assert moving["steps"] == [{"step": "mail", "here": 1}, {"step": "day", "here": 1}]
    assert (moving["version"], moving["inside"]) == (2, 2)
    assert (plan["version"], plan["inside"], plan["steps"]) == (0, 0, [])
