"""Runs over HTTP: started once, read with their whole path."""

import asyncio
import base64
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.api.conftest import LOOPBACK, PERSON, Api
from tests.support.apis import make_app
from tests.support.world import AWAIT_CLICK, DAY, KEYS, MAIL, TEXT
from wend.storage import tables

JOURNEY = (MAIL, AWAIT_CLICK | {"on_timeout": "exit"}, TEXT)


def key(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


def test_a_person_is_entered_and_followed_to_the_end(api: Api) -> None:
    world = api.world
    world.journey(*JOURNEY)
    ada = world.person("ada")
    body = {"profile": {"namespace": "external_id", "value": "ada"}, "properties": {"order": "A-17"}}
    response = api.client.post("/v1/journeys/trip/runs", json=body)
    assert response.status_code == 202
    started = response.json()
    assert response.headers["location"] == f"/v1/runs/{started['id']}"
    assert (started["profile_id"], started["version"], started["entry_number"]) == (str(ada), 1, 1)
    assert world.waiting("start_run") == [started["id"]]
    pending = api.ok("GET", f"/v1/runs/{started['id']}")
    assert (pending["state"], pending["step"], pending["moves"]) == ("pending", None, [])
    assert pending["properties"] == {"order": "A-17"}
    assert pending["workflow_id"] == f"run/trip/{ada}/1"

    order = world.starter.claim_one(world.rows(tables.runs)[0].id, world.time())
    assert order is not None
    world.advance(order.run_id, 0)
    message = world.claimed(order.run_id)
    world.settle(message)
    waiting = api.ok("GET", f"/v1/runs/{started['id']}")
    assert (waiting["state"], waiting["step"]) == ("running", "look")
    assert waiting["parked_until"] == "2026-12-02T09:00:00Z"

    world.later(timedelta(hours=1))
    token = KEYS.sign(message.message.message_id, 1)
    assert api.client.get(f"/c/{token}", headers=PERSON).status_code == 302
    world.advance(order.run_id)
    world.send(order.run_id)
    done = api.ok("GET", f"/v1/runs/{started['id']}")
    assert (done["state"], done["reason"], done["ended_at"]) == ("completed", None, "2026-12-01T10:00:00Z")
    assert [(move["from_step"], move["to_step"], move["why_kind"]) for move in done["moves"]] == [
        (None, "mail", "entered"),
        ("mail", "look", "message_settled"),
        ("look", "text", "clicked"),
        ("text", "exit", "message_settled"),
    ]
    assert done["moves"][2]["why"]["link"] == "details"
    assert [(each["message"], each["channel"], each["state"]) for each in done["messages"]] == [
        ("hello", "email", "accepted"),
        ("ping", "sms", "accepted"),
    ]
    (click,) = done["clicks"]
    assert (click["link"], click["counted"], click["late_by"]) == ("details", True, None)


def test_runs_are_listed_and_narrowed(api: Api) -> None:
    world = api.world
    world.journey(DAY)
    world.journey(MAIL, key="other")
    ada, bob = world.person("ada"), world.person("bob")
    waiting, pending, elsewhere = world.enter(ada), world.request(bob), world.enter(ada, "other")

    def ids(query: str) -> set[str]:
        return {run["id"] for run in api.ok("GET", f"/v1/runs?{query}")["items"]}

    assert ids("") == {str(waiting), str(pending), str(elsewhere)}
    assert ids("journey=trip") == {str(waiting), str(pending)}
    assert ids(f"profile_id={ada}") == {str(waiting), str(elsewhere)}
    assert ids("journey=trip&state=pending") == {str(pending)}
    assert ids("step=day") == {str(waiting)}
    assert ids(f"entry_id={world.row(pending).entry_id}") == {str(pending)}
    page = api.ok("GET", "/v1/runs?limit=2")
    rest = api.ok("GET", f"/v1/runs?limit=2&cursor={page['next']}")
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    assert "query.state" in api.problems("GET", "/v1/runs?state=asleep")


def test_runs_are_listed_newest_first_page_by_page(api: Api) -> None:
    """Those of one instant, as an entry makes them, are neither lost nor told twice between pages."""
    world = api.world
    world.journey(DAY)
    together = [world.request(person) for person in world.people(["ada", "bob", "cem"])]
    world.later(timedelta(microseconds=1))
    last = world.request(world.person("dan"))
    listed: list[str] = []
    query = "journey=trip&limit=1"
    while True:
        page = api.ok("GET", f"/v1/runs?{query}")
        listed += [run["id"] for run in page["items"]]
        if page["next"] is None:
            break
        query = f"journey=trip&limit=1&cursor={page['next']}"
    assert listed == [str(last), *map(str, sorted(together, reverse=True))]


def test_a_run_that_comes_while_pages_are_read_moves_none_of_them(api: Api) -> None:
    world = api.world
    world.journey(DAY)
    first = world.request(world.person("ada"))
    world.later(timedelta(seconds=1))
    world.request(world.person("bob"))
    page = api.ok("GET", "/v1/runs?limit=1")
    world.later(timedelta(seconds=1))
    world.request(world.person("cem"))
    rest = api.ok("GET", f"/v1/runs?limit=1&cursor={page['next']}")
    assert ([run["id"] for run in rest["items"]], rest["next"]) == ([str(first)], None)


@pytest.mark.parametrize(
    "place", ["2026-12-01T09:00:00+00:00", "now/x", f"0001-01-01T00:00:00+14:00/{UUID(int=1)}", "//"]
)
def test_a_place_that_no_run_has_is_no_cursor(api_on_sqlite: Api, place: str) -> None:
    cursor = base64.urlsafe_b64encode(f"runs:{place}".encode()).decode().rstrip("=")
    assert "query.cursor" in api_on_sqlite.problems("GET", f"/v1/runs?cursor={cursor}")


def test_runs_and_entries_of_an_unknown_journey_are_told_as_such(api: Api) -> None:
    assert "'nosuch'" in api.problem(404, "GET", "/v1/runs?journey=nosuch")["detail"]
    assert "'nosuch'" in api.problem(404, "GET", "/v1/journeys/nosuch/entries")["detail"]
    api.world.journey(DAY)
    assert api.ok("GET", "/v1/runs?journey=trip&step=nosuch")["items"] == []
    assert api.ok("GET", "/v1/journeys/trip/entries")["items"] == []


def test_an_unknown_run_is_told_as_such(api: Api) -> None:
    told = api.problem(404, "GET", f"/v1/runs/{uuid4()}")
    assert told["type"] == "urn:wend:problem:not-found"
    assert "There is no run" in told["detail"]
    assert "path.id" in api.problems("GET", "/v1/runs/nonsense")


class TestRefusals:
    def test_nobody_of_this_id_or_name(self, api: Api) -> None:
        api.world.journey(DAY)
        api.problem(404, "POST", "/v1/journeys/trip/runs", {"profile_id": str(uuid4())})
        body = {"profile": {"namespace": "email", "value": "nobody@example.com"}}
        told = api.problem(404, "POST", "/v1/journeys/trip/runs", body)
        assert "nobody@example.com" not in told["detail"]
        body = {"profile": {"namespace": "email", "value": "no address"}}
        assert "email" in api.problems("POST", "/v1/journeys/trip/runs", body)

    def test_an_identity_that_several_share(self, api: Api) -> None:
        api.world.journey(DAY)
        api.world.person("ada", email="family@example.com")
        api.world.person("bob", email="family@example.com")
        body = {"profile": {"namespace": "email", "value": "family@example.com"}}
        told = api.problem(409, "POST", "/v1/journeys/trip/runs", body)
        assert told["type"] == "urn:wend:problem:ambiguous-identity"

    def test_somebody_who_is_still_inside(self, api: Api) -> None:
        api.world.journey(DAY)
        ada = api.world.person("ada")
        run = api.world.enter(ada)
        told = api.problem(409, "POST", "/v1/journeys/trip/runs", {"profile_id": str(ada)})
        assert told["type"] == "urn:wend:problem:still-inside"
        assert str(run) in told["detail"]

    def test_a_journey_that_is_a_draft(self, api: Api) -> None:
        api.ok("PUT", "/v1/journeys/trip/draft", {"key": "trip", "name": "Trip", "steps": [DAY]})
        told = api.problem(409, "POST", "/v1/journeys/trip/runs", {"profile_id": str(api.world.person("ada"))})
        assert "Publish it first" in told["detail"]

    def test_what_is_no_start(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        api.world.journey(DAY)
        assert "either" in api.problems("POST", "/v1/journeys/trip/runs", {})[""]
        body = {"profile_id": str(uuid4()), "propertys": {}, "properties": {"a.b": 1}}
        assert set(api.problems("POST", "/v1/journeys/trip/runs", body)) >= {"propertys", "properties"}
        headers = key("with space")
        ((path, _),) = api.problems(
            "POST", "/v1/journeys/trip/runs", {"profile_id": str(uuid4())}, headers=headers
        ).items()
        assert path == "header.idempotency-key"


class TestIdempotency:
    def test_the_same_key_and_body_get_the_same_answer(self, api: Api) -> None:
        api.world.journey(DAY)
        api.world.person("ada")
        body = {"profile": {"namespace": "external_id", "value": "ada"}, "properties": {"n": 1}}
        first = api.client.post("/v1/journeys/trip/runs", json=body, headers=key("a"))
        # the same request, its fields in another order
        again = api.client.post("/v1/journeys/trip/runs", json=dict(reversed(body.items())), headers=key("a"))
        assert (again.status_code, again.json(), again.headers["location"]) == (
            202,
            first.json(),
            first.headers["location"],
        )
        assert len(api.world.rows(tables.runs)) == 1
        assert len(api.world.waiting("start_run")) == 1

    def test_the_same_answer_is_given_when_the_run_has_long_ended(self, api: Api) -> None:
        api.world.journey(DAY)
        body = {"profile_id": str(api.world.person("ada"))}
        first = api.ok("POST", "/v1/journeys/trip/runs", body, headers=key("a"))
        api.world.stop()
        assert api.ok("POST", "/v1/journeys/trip/runs", body, headers=key("a")) == first

    def test_the_same_key_with_another_body_is_a_conflict(self, api: Api) -> None:
        api.world.journey(DAY)
        ada, bob = api.world.person("ada"), api.world.person("bob")
        api.ok("POST", "/v1/journeys/trip/runs", {"profile_id": str(ada)}, headers=key("a"))
        told = api.problem(409, "POST", "/v1/journeys/trip/runs", {"profile_id": str(bob)}, headers=key("a"))
        assert told["type"] == "urn:wend:problem:key-used-otherwise"
        assert len(api.world.rows(tables.runs)) == 1

    def test_a_key_belongs_to_its_journey(self, api: Api) -> None:
        api.world.journey(DAY)
        api.world.journey(DAY, key="other")
        body = {"profile_id": str(api.world.person("ada"))}
        first = api.ok("POST", "/v1/journeys/trip/runs", body, headers=key("a"))
        assert api.ok("POST", "/v1/journeys/other/runs", body, headers=key("a"))["id"] != first["id"]

    def test_a_refusal_leaves_the_key_free(self, api: Api) -> None:
        api.world.journey(DAY)
        body = {"profile": {"namespace": "external_id", "value": "ada"}}
        api.problem(404, "POST", "/v1/journeys/trip/runs", body, headers=key("a"))
        api.world.person("ada")
        api.ok("POST", "/v1/journeys/trip/runs", body, headers=key("a"))

    @pytest.mark.parametrize("keyed", [True, False], ids=["with one key", "without a key"])
    async def test_fifty_requests_at_once_give_one_run(self, api: Api, keyed: bool) -> None:
        api.world.journey(DAY)
        body = {"profile_id": str(api.world.person("ada"))}
        transport = httpx2.ASGITransport(make_app(api.parts))
        async with httpx2.AsyncClient(transport=transport, base_url=LOOPBACK) as client:
            post = [
                client.post("/v1/journeys/trip/runs", json=body, headers=key("a") if keyed else {}) for _ in range(50)
            ]
            answers = await asyncio.gather(*post)
        statuses = [answer.status_code for answer in answers]
        assert len(api.world.rows(tables.runs)) == 1
        if keyed:
            assert statuses == [202] * 50
            assert len({answer.json()["id"] for answer in answers}) == 1
        else:
            assert sorted(statuses) == [202] + [409] * 49
