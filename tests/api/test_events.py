"""Events over HTTP."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import Api
from wend.storage import tables

WAIT = {"id": "buy", "type": "wait_for_event", "event": "order_placed", "within": "P1D"}


def order(id: str = "order-1", **more: Any) -> dict[str, Any]:
    who = {} if "profile_id" in more else {"profile": {"namespace": "external_id", "value": "ada"}}
    return {"id": id, "name": "order_placed", **who, **more}


def test_an_event_is_stored_once_whatever_comes_again(api: Api) -> None:
    ada = api.world.person("ada")
    body = order(occurred_at="2026-11-30T10:00:00+01:00", properties={"total": 9.5})
    (first,) = api.ok("POST", "/v1/events", body)["items"]
    (again,) = api.ok("POST", "/v1/events", [body])["items"]
    assert first["new"]
    assert again == first | {"new": False}
    (stored,) = api.world.rows(tables.events)
    assert (stored.profile_id, stored.key, stored.properties) == (ada, "order-1", {"total": 9.5})
    assert stored.occurred_at.isoformat() == "2026-11-30T09:00:00+00:00"


def test_a_batch_is_taken_in_order_and_may_repeat_itself(api: Api) -> None:
    ada = api.world.person("ada")
    items = api.ok("POST", "/v1/events", [order("a"), order("b", profile_id=str(ada)), order("a")])["items"]
    assert [(item["id"], item["new"]) for item in items] == [("a", True), ("b", True), ("a", False)]
    assert len(api.world.rows(tables.events)) == 2


def test_an_event_wakes_the_run_that_waits_for_it(api: Api) -> None:
    api.world.journey(WAIT)
    run = api.world.enter(api.world.person("ada"))
    api.ok("POST", "/v1/events", order("other", name="page_seen"))
    assert api.world.waiting("wake_run") == []
    api.ok("POST", "/v1/events", order())
    assert api.world.waiting("wake_run") == [str(run)]
    api.world.advance(run)
    assert ("exit", "happened") in api.world.steps(run)


def test_all_or_none(api: Api) -> None:
    api.world.person("ada")
    api.problem(404, "POST", "/v1/events", [order(), order("b", profile_id=str(uuid4()))])
    stranger = {"profile": {"namespace": "external_id", "value": "nobody"}}
    api.problem(404, "POST", "/v1/events", [order(), order("b") | stranger])
    assert api.world.rows(tables.events) == []


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"name": "order_paid"}, "name"),
        ({"properties": {"total": 2}}, "properties"),
        ({"properties": {"total": True}}, "properties"),
        ({"properties": {}}, "properties"),
        ({"profile": {"namespace": "external_id", "value": "bob"}}, "profile"),
    ],
)
def test_an_id_that_another_event_has_is_a_conflict(api: Api, other: dict[str, Any], differs: str) -> None:
    api.world.people(["ada", "bob"])
    first = order(properties={"total": 1})
    api.ok("POST", "/v1/events", first)
    told = api.problem(409, "POST", "/v1/events", [order("order-2"), first | other])
    assert told["type"] == "urn:wend:problem:event-id-used-otherwise"
    assert "'order-1'" in told["detail"]
    assert f"with another {differs};" in told["detail"]
    assert [stored.key for stored in api.world.rows(tables.events)] == ["order-1"]
    api.problem(409, "POST", "/v1/events", [order("order-3"), order("order-3") | {"name": "order_paid"}])
    assert len(api.world.rows(tables.events)) == 1


def test_the_same_event_with_another_time_is_the_same(api: Api) -> None:
    """Senders who retry stamp anew; and databases write numbers in their own way."""
    api.world.person("ada")
    properties = {"a": 1.0, "b": 1e17, "c": [0.1, {"d": None}], "e": 1e-7, "f": -0.0}
    api.ok("POST", "/v1/events", order(properties=properties, occurred_at="2026-12-01T09:00:00Z"))
    again = order(properties=properties, occurred_at="2026-12-01T09:00:05Z")
    assert not api.ok("POST", "/v1/events", again)["items"][0]["new"]


def test_every_problem_is_told(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    batch = [
        order(name="click"),
        order(occurred_at="2026-12-01T09:00"),
        order(occured_at="2026-12-01T09:00Z"),
        order(occurred_at="0001-01-01T00:00:00+14:00"),
        {"id": "x", "name": "y"},
        order(properties={"a": {"b": float(2**70)}}),
    ]
    problems = api.problems("POST", "/v1/events", batch)
    # list items go by their own ids where they have one
    assert "is the name of clicks" in problems["order-1.name"]
    assert "with its offset" in problems["order-1.occurred_at"]
    assert "did you mean 'occurred_at'" in problems["order-1.occured_at"]
    assert "either" in problems["x"]
    assert "64 bits" in problems["order-1.properties"]
    assert "at most 500" in api.problems("POST", "/v1/events", [order(str(n)) for n in range(501)])[""]
