"""Taking people out, finding the run of a workflow, and who did what."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from starlette.types import Message

from tests.api.conftest import Api
from tests.support.apis import make_app
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0
from wend.storage.tables import entries
from wend.temporal import parse_run_workflow_id, run_workflow_id

TRIP = "/v1/journeys/trip"


def kind(problem: dict[str, Any]) -> str:
    return str(problem["type"]).removeprefix("urn:wend:problem:")


def named(name: str | bytes) -> dict[str, Any]:
    return {"headers": {"wend-actor": name}}


class TestExit:
    def test_one_run_ends_where_it_is(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        api.world.journey(MAIL, AWAIT_CLICK)
        ada = api.world.person("ada")
        run = api.world.enter(ada)
        assert api.ok("POST", f"/v1/runs/{run}/exit") == {"profile_id": str(ada), "runs": [str(run)]}
        told = api.ok("GET", f"/v1/runs/{run}")
        assert (told["state"], told["reason"]) == ("exited", "taken_out")
        again = api.problem(409, "POST", f"/v1/runs/{run}/exit")
        assert kind(again) == "run-has-ended"
        assert "is exited already" in again["detail"]
        assert kind(api.problem(404, "POST", f"/v1/runs/{uuid4()}/exit")) == "not-found"
        assert set(api.problems("POST", "/v1/runs/mine/exit")) == {"path.id"}

    def test_a_run_that_is_held_and_taken_out_is_held_no_more(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        api.world.journey(MAIL)
        run = api.world.enter(api.world.person("ada"))
        api.ok("POST", f"{TRIP}/pause")
        api.world.claim(run)
        assert api.ok("GET", f"{TRIP}/figures")["held"] == 1
        api.ok("POST", f"/v1/runs/{run}/exit")
        assert api.ok("GET", f"/v1/runs/{run}")["held_at"] is None
        assert api.ok("GET", f"{TRIP}/figures")["held"] == 0

    def test_a_person_leaves_one_journey_or_all(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        ada = api.world.person("ada")
        for key in ("trip", "other", "third"):
            api.world.journey(DAY, key=key)
        runs = {key: str(api.world.enter(ada, key)) for key in ("trip", "other", "third")}
        one = api.ok("POST", f"/v1/profiles/{ada}/exit", {"journey": "trip"})
        assert one == {"profile_id": str(ada), "runs": [runs["trip"]]}
        rest = api.ok("POST", f"/v1/profiles/{ada}/exit")
        assert set(rest["runs"]) == {runs["other"], runs["third"]}
        assert api.ok("POST", f"/v1/profiles/{ada}/exit", {"journey": None})["runs"] == []  # in none any more

        path = f"/v1/profiles/{ada}/exit"
        assert "journey 'nothing'" in api.problem(404, "POST", path, {"journey": "nothing"})["detail"].lower()
        assert kind(api.problem(404, "POST", f"/v1/profiles/{uuid4()}/exit")) == "not-found"
        assert set(api.problems("POST", path, {"journey": "No Key"})) == {"journey"}
        assert set(api.problems("POST", path, {"journeys": []})) == {"journeys"}


class TestWorkflows:
    def test_a_run_is_found_by_its_workflow(self, api: Api) -> None:
        api.world.journey(DAY, reentry={"still_inside": "overlap"})
        ada, bob = api.world.person("ada"), api.world.person("bob")
        first, second, other = api.world.enter(ada), api.world.enter(ada), api.world.enter(bob)

        def found(workflow_id: str, more: str = "") -> list[str]:
            return [run["id"] for run in api.ok("GET", f"/v1/runs?workflow_id={workflow_id}{more}")["items"]]

        for run in api.ok("GET", "/v1/runs")["items"]:
            assert found(run["workflow_id"]) == [run["id"]]
        assert found(f"run/trip/{ada}/1") == [str(first)]
        assert found(f"run/trip/{ada}/2", f"&journey=trip&profile_id={ada}&state=running") == [str(second)]
        assert found(f"run/trip/{ada}/3") == []
        assert found(f"run/trip/{ada}/1", f"&profile_id={bob}") == []
        assert found(f"run/trip/{bob}/1", "&journey=trip") == [str(other)]
        api.problem(404, "GET", f"/v1/runs?workflow_id=run/nothing/{ada}/1")

    def test_what_is_no_workflow_of_a_run(self, api_on_sqlite: Api) -> None:
        profile = "6b3a1f0e-0000-4000-8000-000000000000"
        others = [f"run/trip/{profile}/0", f"run/trip/{profile.upper()}/1", f"run/trip/{profile}/1x"]
        for text in ("", "run/trip", "run/trip/ada/1", "entry/trip/2026-12-01T09:00", *others):
            assert set(api_on_sqlite.problems("GET", f"/v1/runs?workflow_id={text}")) == {"query.workflow_id"}, text

    def test_ids_are_read_as_they_are_written(self) -> None:
        run = ("a-b_9", UUID(int=7), 12)
        assert parse_run_workflow_id(run_workflow_id(*run)) == run


class TestAudit:
    def records(self, api: Api, path: str = "/v1/audit") -> list[tuple[str, str]]:
        return [(record["by"], record["action"]) for record in api.ok("GET", path)["items"]]

    def test_every_change_says_who_made_it(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        world = api.world
        world.listed("gold")
        schedule = {"start": {"at": "2026-12-01T09:00"}, "every": "day"}
        entry = {"segment": "gold", "schedule": schedule, "frequency": "repeating"}
        trip = {"key": "trip", "name": "Trip", "entry": entry, "steps": [MAIL, AWAIT_CLICK]}
        api.ok("PUT", f"{TRIP}/draft", trip)
        api.ok("POST", f"{TRIP}/publish", **named("a"))
        api.ok("POST", f"{TRIP}/pause", **named("b"))
        api.ok("POST", f"{TRIP}/resume", {"at": "2026-12-03T09:00:00Z"}, **named("c"))
        api.ok("POST", f"{TRIP}/resume", **named("d"))
        api.ok("PATCH", TRIP, {"rate": "9/s"}, **named("e"))
        api.ok("PUT", f"{TRIP}/messages/hello", {"version": 1}, **named("f"))
        api.ok("POST", f"{TRIP}/versions/1/restore", **named("g"))
        ada, bob = world.person("ada"), world.person("bob")
        run = world.enter(ada)
        world.send(run)
        world.enter(bob)
        world.journey(MAIL, AWAIT_CLICK | {"within": "P2D"}, entry=entry)
        api.ok("POST", f"{TRIP}/move", {"to": 2}, **named("h"))
        api.ok("POST", f"{TRIP}/move?preview=true", {"to": 2}, **named("nobody"))  # changes nothing
        api.ok("POST", f"/v1/runs/{run}/exit", **named("i"))
        api.ok("POST", f"/v1/profiles/{bob}/exit", **named("j"))
        _write_missed(api)
        api.ok("POST", f"{TRIP}/entries", {"occurrence": "2026-11-30T09:00"}, **named("k"))
        api.ok("POST", f"{TRIP}/stop", **named("l"))
        world.journey(DAY, key="other")
        api.ok("POST", "/v1/journeys/other/close")

        assert self.records(api) == [
            ("api", "close"),
            ("wend", "publish"),  # made without the API
            ("l", "stop"),
            ("k", "take_in"),
            ("j", "exit"),
            ("i", "exit"),
            ("h", "move"),
            ("wend", "publish"),
            ("g", "restore_draft"),
            ("f", "adjust"),
            ("e", "adjust"),
            ("d", "resume"),
            ("c", "pause"),
            ("b", "pause"),
            ("a", "publish"),
        ]
        assert self.records(api, "/v1/journeys/other/audit") == [("api", "close"), ("wend", "publish")]
        assert self.records(api, "/v1/audit?journey=other") == [("api", "close"), ("wend", "publish")]
        assert self.records(api, f"/v1/audit?profile_id={ada}") == [("i", "exit")]
        (exit_of_ada,) = api.ok("GET", f"/v1/audit?profile_id={ada}&journey=trip")["items"]
        told = {"at": "2026-12-01T09:00:00Z", "journey": "trip", "version": 2, "run_id": str(run)}
        assert exit_of_ada | told == exit_of_ada
        taken_in = next(each for each in api.ok("GET", "/v1/audit")["items"] if each["action"] == "take_in")
        assert taken_in["detail"] == {"occurrence": "2026-11-30T09:00", "was": "missed"}

    def test_it_is_read_page_by_page(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        api.world.journey(DAY)
        for _ in range(3):
            api.ok("POST", f"{TRIP}/pause")
            api.ok("POST", f"{TRIP}/resume")
        for path in ("/v1/audit?limit=3", f"{TRIP}/audit?limit=3"):
            pages, cursor = [], ""
            while cursor is not None:
                page = api.ok("GET", f"{path}{cursor and '&cursor='}{cursor}")
                pages.append([record["action"] for record in page["items"]])
                cursor = page["next"]
            assert pages == [["resume", "pause", "resume"], ["pause", "resume", "pause"], ["publish"]]
        other = api.ok("GET", "/v1/audit?limit=3")["next"]
        assert set(api.problems("GET", f"{TRIP}/audit?cursor={other}")) == {"query.cursor"}

    def test_what_is_not_there(self, api_on_sqlite: Api) -> None:
        for path in ("/v1/audit?journey=nothing", "/v1/journeys/nothing/audit"):
            assert kind(api_on_sqlite.problem(404, "GET", path)) == "not-found"
        assert api_on_sqlite.ok("GET", f"/v1/audit?profile_id={uuid4()}") == {"items": [], "next": None}
        assert set(api_on_sqlite.problems("GET", "/v1/audit?profile_id=ada")) == {"query.profile_id"}
        assert set(api_on_sqlite.problems("GET", "/v1/audit?by=ada")) == {"query.by"}

    def test_names_are_taken_as_they_are(self, api_on_sqlite: Api) -> None:
        api_on_sqlite.world.journey(DAY)
        for name in ("Ada Lovelace <ada@example.com>", "Zoë 京", "é" * 100):
            api_on_sqlite.ok("PATCH", TRIP, {"name": "x"}, **named(name.encode()))
            assert self.records(api_on_sqlite)[0] == (name, "adjust")

    def test_what_is_no_name_is_refused(self, api_on_sqlite: Api) -> None:
        api_on_sqlite.world.journey(DAY)
        for header in ("", " ", "a" * 101, "a\tb", "a\u202eb"):
            told = api_on_sqlite.problems("POST", f"{TRIP}/close", **named(header.encode()))
            assert set(told) == {"header.Wend-Actor"}, header

    def test_every_change_refuses_what_is_no_name(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        api.world.journey(DAY)
        some = str(api.world.enter(api.world.person("ada")))
        changing: Mapping[str, tuple[str, Any]] = {
            f"{TRIP}/publish": ("POST", None),
            f"{TRIP}/close": ("POST", None),
            f"{TRIP}/stop": ("POST", None),
            f"{TRIP}/pause": ("POST", {}),
            f"{TRIP}/resume": ("POST", {}),
            TRIP: ("PATCH", {"name": "x"}),
            f"{TRIP}/messages/hello": ("PUT", {"version": 1}),
            f"{TRIP}/versions/1/restore": ("POST", None),
            f"{TRIP}/move": ("POST", {"to": 1}),
            f"{TRIP}/entries": ("POST", {"occurrence": "2026-12-01T09:00"}),
            f"/v1/runs/{some}/exit": ("POST", None),
            f"/v1/profiles/{some}/exit": ("POST", {}),
        }
        for path, (method, body) in changing.items():
            assert set(api.problems(method, path, body, **named("a" * 101))) == {"header.Wend-Actor"}, path
        assert self.records(api) == [("wend", "publish")]


async def test_a_name_that_is_no_utf_8_is_refused(api_on_sqlite: Api) -> None:
    api_on_sqlite.world.journey(DAY)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"wend-actor", "Zoë".encode("latin-1"))]  # the test client writes UTF-8
    scope = {"type": "http", "method": "POST", "path": f"{TRIP}/close", "query_string": b"", "headers": headers}
    await make_app(api_on_sqlite.parts)(scope, receive, send)
    assert sent[0]["status"] == 422
    assert b"is no UTF-8" in sent[1]["body"]


def test_a_journey_that_is_entered_by_its_segment_alone_says_so(api_on_sqlite: Api) -> None:
    world = api_on_sqlite.world
    world.listed("gold")
    entry = {"segment": "gold", "schedule": {"start": {"at": "2026-12-01T09:00"}}, "api": False}
    world.journey(DAY, entry=entry)
    told = api_on_sqlite.problem(409, "POST", f"{TRIP}/runs", {"profile_id": str(world.person("ada"))})
    assert kind(told) == "not-through-api"


def _write_missed(api: Api) -> None:
    row = {"id": uuid4(), "journey_key": "trip", "version": 1, "members": 0, "kind": "segment", "state": "missed"}
    with api.world.database.write() as connection:
        connection.execute(
            sa.insert(entries).values(**row, occurrence="2026-11-30T09:00", due_at=T0, opened_at=T0, finished_at=T0)
        )
