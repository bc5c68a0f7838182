"""Journeys over HTTP: drafts, checks, publishing, the end, entries, figures."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

from jsonschema_rs import Draft202012Validator

from api.journeys.models import EXAMPLES
from tests.api.conftest import Api
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0
from wend.documents import read_document
from wend.journeys.occurrences import Occurrence

YAML = {"content-type": "application/yaml"}
REFERENCE = EXAMPLES["the reference journey"]
DOCUMENT = """\
key: trip
name: A trip
time_zone: Europe/Paris
entry:
  segment: gold
  exclude: [staff]
  namespace: email
  frequency: repeating
  schedule: {start: {at: 2026-12-01T12:00}, every: week, on: [mon, thu], at: "09:30"}
steps:
  - {id: mail, type: send_email, message: hello}
  - {id: look, type: wait_for_click, sent_by: mail, link: details, within: P1D, on_timeout: exit}
  - {id: text, type: send_sms, message: ping}
"""


def ready_to_publish(api: Api) -> None:
    api.world.listed("gold")
    api.world.listed("staff")
    api.ok("PUT", "/v1/journeys/trip/draft", content=DOCUMENT, headers=YAML)


class TestDrafts:
    def test_a_draft_is_saved_and_read_as_json_and_as_yaml(self, api: Api) -> None:
        saved = api.ok("PUT", "/v1/journeys/trip/draft", content=DOCUMENT, headers=YAML)
        assert (saved["key"], saved["revision"]) == ("trip", 1)
        assert [problem["path"] for problem in saved["problems"]] == ["entry.segment", "entry.exclude.0"]

        as_json = api.ok("GET", "/v1/journeys/trip/draft")
        as_yaml = api.client.get("/v1/journeys/trip/draft", headers={"accept": "application/yaml"})
        assert as_yaml.headers["content-type"].startswith("application/yaml")
        assert read_document(as_yaml.content) == as_json
        assert as_json["entry"]["schedule"]["on"] == ["mon", "thu"]

        again = api.ok("PUT", "/v1/journeys/trip/draft", as_json)
        assert again["revision"] == 2
        assert api.ok("GET", "/v1/journeys/trip/draft") == as_json
        assert api.ok("GET", "/v1/journeys/trip")["state"] == "draft"

    def test_the_key_in_it_is_the_address_s(self, api_on_sqlite: Api) -> None:
        problems = api_on_sqlite.problems("PUT", "/v1/journeys/other/draft", content=DOCUMENT, headers=YAML)
        assert problems == {"key": "is 'trip', but the address says 'other'"}

    def test_unknown_fields_are_refused_with_a_suggestion(self, api_on_sqlite: Api) -> None:
        text = DOCUMENT.replace("message: hello", "mesage: hello").replace("name: A trip", "nane: A trip")
        problems = api_on_sqlite.problems("PUT", "/v1/journeys/trip/draft", content=text, headers=YAML)
        assert set(problems) == {"name", "nane", "steps.mail.message", "steps.mail.mesage"}
        assert "did you mean 'name'" in problems["nane"]

    def test_what_is_no_yaml_is_told_with_its_line(self, api_on_sqlite: Api) -> None:
        ((path, message),) = api_on_sqlite.problems(
            "PUT", "/v1/journeys/trip/draft", content="key: trip\nname: [", headers=YAML
        ).items()
        assert path.startswith("line ")
        assert "no YAML" in message

    def test_there_is_none(self, api: Api) -> None:
        for path in ("draft", "figures", "versions", "entries", "audience", "versions/1"):
            api.problem(404, "GET", f"/v1/journeys/nothing/{path}")
        for action in ("check", "publish", "close", "stop"):
            api.problem(404, "POST", f"/v1/journeys/nothing/{action}")
        api.problem(404, "POST", "/v1/journeys/nothing/runs", {"profile_id": str(uuid4())})
        api.problem(404, "GET", "/v1/journeys/nothing")

    def test_two_callers_who_make_the_same_journey_at_once_make_one(self, api: Api) -> None:
        def put(number: int) -> int:
            text = DOCUMENT.replace("A trip", f"Trip {number}")
            revision: int = api.ok("PUT", "/v1/journeys/trip/draft", content=text, headers=YAML)["revision"]
            return revision

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(put, range(8))) == list(range(1, 9))


class TestChecks:
    def test_of_the_saved_draft(self, api: Api) -> None:
        api.ok("PUT", "/v1/journeys/trip/draft", content=DOCUMENT, headers=YAML)
        found = api.ok("POST", "/v1/journeys/trip/check")
        assert not found["publishable"]
        assert len(found["problems"]) == 2
        ready_to_publish(api)
        assert api.ok("POST", "/v1/journeys/trip/check") == {"publishable": True, "problems": []}

    def test_of_a_definition_that_is_not_saved(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        found = api.ok("POST", "/v1/journeys/check", REFERENCE)
        assert not found["publishable"]
        paths = [problem["path"] for problem in found["problems"]]
        assert paths == ["entry.segment", "entry.exclude.0", "steps.announce.message", "steps.launched.message"]
        unknown = api.ok("POST", "/v1/journeys/check", REFERENCE | {"steps": [{"id": "a", "type": "send_fax"}]})
        assert "there is no type 'send_fax'" in unknown["problems"][0]["message"]
        assert api.ok("POST", "/v1/journeys/check", [])["publishable"] is False
        api.problem(404, "GET", "/v1/journeys/product-launch")

    def test_publishing_with_five_different_problems_tells_all_of_them(self, api: Api) -> None:
        api.world.message("extra", {"channel": "sms", "text": "Hi"})
        api.ok("PUT", "/v1/messages/sketch", {"name": "Sketch", "content": {"channel": "sms", "text": "Hi"}})
        document: dict[str, Any] = {
            "key": "trip",
            "name": "Trip",
            "entry": {"segment": "nobody-knows"},
            "steps": [
                {"id": "mail", "type": "send_email", "message": "helo", "next": "lok"},
                {"id": "look", "type": "wait_for_click", "sent_by": "mail", "link": "details", "within": "P1D"},
                {"id": "mail2", "type": "send_email", "message": "hello"},
                {"id": "look2", "type": "wait_for_click", "sent_by": "mail2", "link": "detials", "within": "P1D"},
                {"id": "text", "type": "send_email", "message": "extra"},
                {"id": "sketchy", "type": "send_sms", "message": "sketch"},
            ],
        }
        api.ok("PUT", "/v1/journeys/trip/draft", document)
        problems = api.problems("POST", "/v1/journeys/trip/publish")
        assert problems == {
            "steps.mail.next": "no step is called 'lok'; did you mean 'look'?",
            "entry.segment": "no segment is called 'nobody-knows'",
            "steps.mail.message": "no message is called 'helo'; did you mean 'hello'?",
            "steps.look2.link": "'hello' has no link 'detials'; did you mean 'details'? (links: details, other)",
            "steps.text.message": "'extra' is for sms, and the step sends email",
            "steps.sketchy.message": problems["steps.sketchy.message"],
        }
        assert "make it ready first" in problems["steps.sketchy.message"]
        assert api.ok("GET", "/v1/journeys/trip")["version"] == 0

    def test_the_schema_of_a_definition_is_one(self, api_on_sqlite: Api) -> None:
        schema = api_on_sqlite.ok("GET", "/v1/schema/journey")
        validator = Draft202012Validator(schema)
        assert validator.is_valid(REFERENCE)
        assert not validator.is_valid(REFERENCE | {"colour": "red"})


class TestPublishing:
    def test_versions_are_numbered_and_never_change(self, api: Api) -> None:
        ready_to_publish(api)
        first = api.ok("POST", "/v1/journeys/trip/publish")
        assert first == {"journey": "trip", "version": 1, "new": True, "state": "scheduled", "warnings": []}
        assert api.ok("POST", "/v1/journeys/trip/publish")["new"] is False
        assert api.world.waiting("ensure_schedule") == ["trip"]

        api.ok("PUT", "/v1/journeys/trip/draft", content=DOCUMENT.replace("P1D", "P2D"), headers=YAML)
        assert api.ok("POST", "/v1/journeys/trip/publish")["version"] == 2
        versions = api.ok("GET", "/v1/journeys/trip/versions")["items"]
        assert [version["version"] for version in versions] == [2, 1]
        assert versions[0]["messages"] == {"hello": 1, "ping": 1}
        first_definition = api.ok("GET", "/v1/journeys/trip/versions/1")["definition"]
        assert first_definition["steps"][1]["within"] == "P1D"
        api.problem(404, "GET", "/v1/journeys/trip/versions/3")
        api.problem(404, "GET", "/v1/journeys/trip/figures?version=3")
        page = api.ok("GET", "/v1/journeys/trip/versions?limit=1")
        assert api.ok("GET", f"/v1/journeys/trip/versions?limit=1&cursor={page['next']}")["items"][0]["version"] == 1

    def test_the_next_occurrences_are_told_with_their_instants(self, api: Api) -> None:
        ready_to_publish(api)
        assert api.ok("GET", "/v1/journeys/trip")["next_occurrences"] == []
        api.ok("POST", "/v1/journeys/trip/publish")
        journey = api.ok("GET", "/v1/journeys/trip")
        assert len(journey["next_occurrences"]) == 10
        # 1 December 2026 is a Tuesday; 09:30 in Paris is 08:30 UTC in winter
        assert journey["next_occurrences"][0] == {
            "key": "2026-12-03T09:30",
            "at": "2026-12-03T08:30:00Z",
            "local": "2026-12-03T09:30:00+01:00",
            "time_zone": "Europe/Paris",
            "clock_change": None,
            "note": None,
        }
        assert journey["first_published_at"] == "2026-12-01T09:00:00Z"

    def test_journeys_are_listed(self, api: Api) -> None:
        ready_to_publish(api)
        api.world.journey(MAIL, key="api-only")
        listed = api.ok("GET", "/v1/journeys")["items"]
        assert [(journey["key"], journey["state"]) for journey in listed] == [("api-only", "live"), ("trip", "draft")]
        assert [each["key"] for each in api.ok("GET", "/v1/journeys?state=draft")["items"]] == ["trip"]
        page = api.ok("GET", "/v1/journeys?limit=1")
        assert api.ok("GET", f"/v1/journeys?cursor={page['next']}")["items"][0]["key"] == "trip"


class TestTheEnd:
    def test_close_lets_those_inside_go_on(self, api: Api) -> None:
        api.world.journey(DAY)
        api.world.enter(api.world.person("ada"))
        assert api.ok("POST", "/v1/journeys/trip/close") == {"journey": "trip", "state": "closed", "runs": 1}
        told = api.problem(409, "POST", "/v1/journeys/trip/close")
        assert told["type"] == "urn:wend:problem:illegal-transition"
        assert "is closed and cannot be closed" in told["detail"]
        person = str(api.world.person("bob"))
        assert "is closed" in api.problem(409, "POST", "/v1/journeys/trip/runs", {"profile_id": person})["detail"]

    def test_stop_ends_every_run_at_once(self, api: Api) -> None:
        api.world.journey(DAY)
        run = api.world.enter(api.world.person("ada"))
        assert api.ok("POST", "/v1/journeys/trip/stop") == {"journey": "trip", "state": "stopped", "runs": 1}
        assert api.ok("GET", f"/v1/runs/{run}")["state"] == "stopped"
        for action in ("stop", "close", "publish"):
            assert api.problem(409, "POST", f"/v1/journeys/trip/{action}")["type"].endswith("illegal-transition")

    def test_a_draft_cannot_end(self, api_on_sqlite: Api) -> None:
        api_on_sqlite.ok("PUT", "/v1/journeys/trip/draft", content=DOCUMENT, headers=YAML)
        api_on_sqlite.problem(409, "POST", "/v1/journeys/trip/close")
        api_on_sqlite.problem(409, "POST", "/v1/journeys/trip/stop")


class TestEntries:
    def enter(self, api: Api) -> str:
        """Take in ten: two of them have no address, one is on the staff, one is inside already."""
        world = api.world
        people = [*world.people([f"p{number}" for number in range(8)]), world.person("x", email=None)]
        people.append(world.person("y", email=None))
        world.listed("gold", people)
        world.listed("staff", people[:1])
        world.journey(MAIL, AWAIT_CLICK, entry={"segment": "gold", "exclude": ["staff"], "namespace": "email"})
        world.enter(people[1])
        opened = world.desk.open("trip", Occurrence("2026-12-01T10:00:00Z", T0 + timedelta(hours=1)), T0)
        assert opened is not None
        return str(opened.id)

    def test_the_audience_is_told_before_anybody_enters(self, api: Api) -> None:
        ready_to_publish(api)
        people = [*api.world.people(["a", "b", "c"]), api.world.person("x", email=None)]
        api.world.listed("gold", people)
        api.world.listed("staff", people[:1])
        audience = api.ok("GET", "/v1/journeys/trip/audience?sample=1")
        assert (audience["members"], audience["entering"]) == (4, 2)
        assert audience["excluded"] == {"no_identity": 1, "excluded_segment": 1}
        assert audience["sample"][0]["external_id"] in ("b", "c")
        assert api.ok("GET", "/v1/journeys/trip/entries")["items"] == []

    def test_an_audience_needs_an_entry_with_segments_that_exist(self, api: Api) -> None:
        api.ok("PUT", "/v1/journeys/trip/draft", content=DOCUMENT, headers=YAML)
        assert set(api.problems("GET", "/v1/journeys/trip/audience")) == {"entry.segment", "entry.exclude.0"}
        api.world.journey(MAIL, key="alone")
        assert api.problem(409, "GET", "/v1/journeys/alone/audience")["type"] == "urn:wend:problem:no-entry"

    def test_an_entry_says_who_came_in_and_who_did_not_and_why(self, api: Api) -> None:
        id = self.enter(api)
        entry = api.ok("GET", f"/v1/journeys/trip/entries/{id}")
        assert (entry["members"], entry["entered"], entry["started"], entry["state"]) == (10, 6, 0, "open")
        assert entry["excluded"] == {"excluded_segment": 1, "no_identity": 2, "still_inside": 1}
        assert entry["due_at"] == "2026-12-01T10:00:00Z"
        assert api.ok("GET", "/v1/journeys/trip/entries")["items"] == [entry]
        (api_start,) = api.ok("GET", "/v1/journeys/trip/entries?kind=api")["items"]
        assert (api_start["members"], api_start["entered"], api_start["excluded"]) == (1, 1, {})
        api.problem(404, "GET", f"/v1/journeys/trip/entries/{uuid4()}")

    def test_figures_add_up(self, api: Api) -> None:
        self.enter(api)
        figures = api.ok("GET", "/v1/journeys/trip/figures")
        assert figures["members"] == 11  # ten of the segment, and the start through the API
        assert figures["members"] == figures["entered"] + sum(figures["excluded"].values())
        assert (figures["inside"], figures["pending"]) == (7, 6)
        mail, look = figures["steps"]
        assert (mail["step"], mail["entered"], mail["here"]) == ("mail", 1, 1)
        assert (look["step"], look["entered"]) == ("look", 0)
        assert api.ok("GET", "/v1/journeys/trip/figures?version=1")["version"] == 1
