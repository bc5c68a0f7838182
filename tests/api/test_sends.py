"""Sent messages over HTTP: what became of them, what providers tell of them, what operators do about them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.api.conftest import Api
from tests.support.world import DAY, MAIL, T0
from wend.channels.port import Accepted, Unknown
from wend.journeys.state import message_id

LOST = Unknown("connection_lost", "after the data")


def uncertain(api: Api, name: str = "ada") -> UUID:
    """Return a message of which nobody knows whether its provider took it."""
    run_id = api.world.enter(api.world.person(name))
    api.world.send(run_id, LOST)
    return message_id(run_id, "mail", 1)


def event(message: object, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e/{message}",
        "message_id": str(message),
        "kind": "delivered",
        "occurred_at": "2026-12-01T10:00:07+01:00",
        **more,
    }


def uncertain_metric(api: Api) -> str:
    lines = api.client.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("wend_sends_uncertain{")).rpartition(" ")[2]


def test_uncertain_sends_are_listed_and_settled_by_what_providers_tell(api: Api) -> None:
    api.world.journey(MAIL, DAY)
    ids = [uncertain(api, name) for name in ("ada", "bob")]
    listed = api.ok("GET", "/v1/sent-messages?state=uncertain&journey=trip")["items"]
    assert {each["id"] for each in listed} == set(map(str, ids))
    assert listed[0]["reason"] == "connection_lost"
    assert "example.com" not in str(listed)
    assert uncertain_metric(api) == "2.0"

    (answer,) = api.ok("POST", "/v1/provider-events", event(ids[0]))["items"]

    assert answer == {"id": f"e/{ids[0]}", "status": "recorded", "message_id": str(ids[0])}
    assert api.ok("POST", "/v1/provider-events", [event(ids[0])])["items"] == [answer | {"status": "known"}]
    shown = api.ok("GET", f"/v1/sent-messages/{ids[0]}")
    assert (shown["state"], shown["reason"]) == ("accepted", "told_by_provider")
    assert shown["delivered_at"] == "2026-12-01T09:00:07Z"
    assert [(each["kind"], each["received_at"]) for each in shown["events"]] == [("delivered", "2026-12-01T09:00:00Z")]
    left = api.ok("GET", "/v1/sent-messages?state=uncertain")["items"]
    assert [each["id"] for each in left] == [str(ids[1])]
    assert uncertain_metric(api) == "1.0"


def test_lists_are_narrowed_and_paged_the_latest_first(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    api.world.journey(MAIL, DAY)
    ids = []
    for number in range(5):
        ids.append(str(uncertain(api, f"person-{number}")))
        if number % 2:
            api.world.later(timedelta(seconds=1))
    first = api.ok("GET", "/v1/sent-messages?limit=3")
    rest = api.ok("GET", f"/v1/sent-messages?limit=3&cursor={first['next']}")
    found = [each["id"] for each in first["items"] + rest["items"]]
    assert (found[0], sorted(found), rest["next"]) == (ids[4], sorted(ids), None)
    one = first["items"][0]
    for narrowed in (f"run_id={one['run_id']}", f"profile_id={one['profile_id']}"):
        assert [each["id"] for each in api.ok("GET", f"/v1/sent-messages?{narrowed}")["items"]] == [one["id"]]
    assert api.ok("GET", "/v1/sent-messages?state=accepted")["items"] == []
    api.problem(404, "GET", "/v1/sent-messages?journey=nothing")
    api.problem(404, "GET", f"/v1/sent-messages/{uuid4()}")


def test_a_document_that_does_not_hold_is_refused_whole_with_every_place(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    api.world.journey(MAIL, DAY)
    id = uncertain(api)
    wrong = [
        event(id),
        event(id, id="kind", kind="clickd"),
        event(id, id="zone", occurred_at="2026-12-01T10:00:00"),
        {"id": "nobody's", "kind": "opened", "occurred_at": "2026-12-01T10:00:00Z"},
        {"id": "half", "channel": "sms", "kind": "opened", "occurred_at": "2026-12-01T10:00:00Z"},
        {"id": "never", "message_id": str(id), "kind": "opened"},
    ]
    problems = api.problems("POST", "/v1/provider-events", wrong)
    assert set(problems) == {"kind.kind", "zone.occurred_at", "nobody's", "half", "never.occurred_at"}
    assert "give either message_id, or channel and reference" in problems["half"]
    assert api.ok("GET", f"/v1/sent-messages/{id}")["events"] == []


def test_what_nobody_knows_is_told_apart_and_holds_up_nothing(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    api.world.journey(MAIL, DAY)
    id = uncertain(api)
    called = {"message_id": None, "channel": "email", "reference": f"<{id.hex}@news.example.com>"}
    batch = [event(uuid4()), event(id, **called), event(id, id="e/other"), event(id, kind="opened")]
    answers = api.ok("POST", "/v1/provider-events", batch)["items"]
    said = [(each["status"], each["message_id"]) for each in answers]
    assert said == [
        ("unknown_message", None),
        ("recorded", str(id)),
        ("recorded", str(id)),
        ("used_otherwise", str(id)),
    ]


def test_an_operator_settles_one_and_it_is_written_down(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    api.world.journey(MAIL, DAY)
    path = f"/v1/sent-messages/{uncertain(api)}"
    assert api.problems("POST", f"{path}/settle", {"as": "perhaps"}).keys() == {"as"}
    body = {"as": "refused", "reason": "not in the provider's log"}
    settled = api.ok("POST", f"{path}/settle", body, headers={"Wend-Actor": "ada"})
    assert (settled["state"], settled["reason"]) == ("refused", "settled_by_operator")
    told = api.problem(409, "POST", f"{path}/settle", {"as": "accepted"})
    assert told["type"] == "urn:wend:problem:not-uncertain"
    assert "is refused, and only what is uncertain" in told["detail"]
    deed = api.ok("GET", "/v1/journeys/trip/audit")["items"][0]
    assert (deed["by"], deed["action"], deed["detail"]["as"]) == ("ada", "settle", "refused")
    assert uncertain_metric(api) == "0.0"


def test_one_is_sent_again_when_somebody_asks_and_not_twice_at_a_time(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    api.world.journey(MAIL, DAY)
    id = uncertain(api)
    asked = api.client.post(f"/v1/sent-messages/{id}/resend", headers={"Wend-Actor": "ada"})
    assert (asked.status_code, asked.json()["resend_asked_at"]) == (202, "2026-12-01T09:00:00Z")
    assert api.world.waiting("resend") == [str(id)]
    told = api.problem(409, "POST", f"/v1/sent-messages/{id}/resend")
    assert told["type"] == "urn:wend:problem:resend-under-way"
    assert api.ok("GET", "/v1/audit")["items"][0]["action"] == "resend"

    settled = api.world.enter(api.world.person("bob"))
    api.world.send(settled, Accepted("r-1"))
    api.problem(409, "POST", f"/v1/sent-messages/{message_id(settled, 'mail', 1)}/resend")
    other = uncertain(api, "cleo")
    api.world.pause()
    told = api.problem(409, "POST", f"/v1/sent-messages/{other}/resend")
    assert told["type"] == "urn:wend:problem:not-resent"
    assert "'trip' is paused" in told["detail"]
    assert T0.isoformat() in api.problem(409, "POST", f"/v1/sent-messages/{id}/resend")["detail"]
