"""Running a journey over HTTP: pause and resume, light changes, versions, moving whoever is inside."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT
from wend.journeys.results import Park, Send

LATER = "2026-12-03T09:00:00Z"
PAST = "2026-12-01T08:59:59Z"
TRIP = "/v1/journeys/trip"
GOLD = {"segment": "gold", "schedule": {"start": {"after_publish": "PT1H"}}, "rate": "500/s"}


def kind(problem: dict[str, Any]) -> str:
    return str(problem["type"]).removeprefix("urn:wend:problem:")


@pytest.fixture
def trip(api_on_sqlite: Api) -> Api:
    """The API, with a journey in which one person is about to be mailed."""
    api_on_sqlite.world.journey(MAIL, AWAIT_CLICK, TEXT, description="There and back")
    api_on_sqlite.world.enter(api_on_sqlite.world.person("ada"))
    return api_on_sqlite


class TestPause:
    def test_nothing_is_sent_until_it_is_resumed(self, api: Api) -> None:
        world = api.world
        world.journey(MAIL, AWAIT_CLICK)
        run = world.enter(world.person("ada"))
        asked = {"entries": "queue", "waits": "freeze", "rate": 7, "resume_at": "2026-12-03T10:00:00+01:00"}
        assert api.ok("POST", f"{TRIP}/pause", asked) == {
            "journey": "trip",
            "state": "paused",
            "inside": 1,
            "held": 0,
            "resume_at": LATER,
        }
        answer = world.claim(run)
        assert isinstance(getattr(answer, "plan", None), Park)
        assert api.ok("GET", f"/v1/runs/{run}")["held_at"] == "2026-12-01T09:00:00Z"

        (listed,) = api.ok("GET", "/v1/journeys?state=paused")["items"]
        shown = api.ok("GET", TRIP)
        for told in (listed, shown):
            assert told["pause"] == {"entries": "queue", "waits": "freeze", "rate": 7, "since": "2026-12-01T09:00:00Z"}
            assert (told["state"], told["resume_at"]) == ("paused", LATER)
        assert api.ok("GET", f"{TRIP}/figures")["held"] == 1

        resumed = api.ok("POST", f"{TRIP}/resume", {"rate": 3})
        assert resumed == {"journey": "trip", "state": "live", "inside": 1, "held": 1, "resume_at": None}
        assert isinstance(world.advance(run).plan, Send)
        told = api.ok("GET", TRIP)
        assert (told["state"], told["pause"], told["resume_at"]) == ("live", None, None)

    def test_without_a_body_both_do_as_the_defaults_say(self, trip: Api) -> None:
        assert trip.ok("POST", f"{TRIP}/pause")["resume_at"] is None
        pause = trip.ok("GET", TRIP)["pause"]
        assert (pause["entries"], pause["waits"], pause["rate"]) == ("drop", "run", 100)
        assert trip.ok("POST", f"{TRIP}/resume")["state"] == "live"

    def test_a_resumption_may_be_put_off(self, trip: Api) -> None:
        trip.ok("POST", f"{TRIP}/pause")
        later = trip.ok("POST", f"{TRIP}/resume", {"at": LATER})
        assert (later["state"], later["resume_at"]) == ("paused", LATER)
        assert trip.ok("GET", TRIP)["resume_at"] == LATER

    def test_only_scheduled_and_live_ones_are_paused_and_only_paused_ones_resumed(self, trip: Api) -> None:
        for body in ({}, {"at": LATER}):
            told = trip.problem(409, "POST", f"{TRIP}/resume", body)
            assert kind(told) == "illegal-transition"
            assert "is live and cannot be resumed" in told["detail"]
        trip.ok("POST", f"{TRIP}/pause")
        told = trip.problem(409, "POST", f"{TRIP}/pause")
        assert kind(told) == "illegal-transition"
        assert "is paused and cannot be paused" in told["detail"]
        assert kind(trip.problem(409, "POST", f"{TRIP}/close")) == "illegal-transition"
        trip.ok("POST", f"{TRIP}/stop")
        for action in ("pause", "resume"):
            assert kind(trip.problem(409, "POST", f"{TRIP}/{action}")) == "illegal-transition"
            assert kind(trip.problem(404, "POST", f"/v1/journeys/nothing/{action}")) == "not-found"

    def test_a_pause_ends_after_it_begins(self, trip: Api) -> None:
        told = trip.problem(409, "POST", f"{TRIP}/pause", {"resume_at": PAST})
        assert kind(told) == "resumes-in-the-past"
        assert trip.ok("GET", TRIP)["state"] == "live"
        trip.ok("POST", f"{TRIP}/pause")
        assert kind(trip.problem(409, "POST", f"{TRIP}/resume", {"at": PAST})) == "resumes-in-the-past"

    def test_what_does_not_hold(self, trip: Api) -> None:
        for action, body in (
            ("pause", {"entries": "keep"}),
            ("pause", {"waits": "stop", "rate": 0}),
            ("pause", {"rate": 1_000_000}),
            ("pause", {"resume_at": "tomorrow"}),
            ("pause", {"resume_at": "2026-12-03T09:00"}),  # without its offset
            ("pause", {"resumes_at": LATER}),
            ("resume", {"rate": "fast"}),
        ):
            assert trip.problems("POST", f"{TRIP}/{action}", body).keys() == body.keys(), body
        assert "either rate or at" in trip.problems("POST", f"{TRIP}/resume", {"rate": 5, "at": LATER})[""]
        assert trip.ok("GET", TRIP)["state"] == "live"

    def test_who_would_enter_meanwhile_is_refused_or_queued(self, trip: Api) -> None:
        body = {"profile_id": str(trip.world.person("bob"))}
        trip.ok("POST", f"{TRIP}/pause")
        assert kind(trip.problem(409, "POST", f"{TRIP}/runs", body)) == "illegal-transition"
        trip.ok("POST", f"{TRIP}/resume")
        trip.ok("POST", f"{TRIP}/pause", {"entries": "queue"})
        run = trip.ok("POST", f"{TRIP}/runs", body)
        assert trip.ok("GET", f"/v1/runs/{run['id']}")["state"] == "pending"


class TestLightChanges:
    def test_name_description_and_rate_change_without_a_new_version(self, api: Api) -> None:
        world = api.world
        world.listed("gold")
        world.journey(MAIL, entry=GOLD, description="There and back", window={"closes": "2027-01-01T00:00"})
        before = api.ok("GET", TRIP)
        assert (before["description"], before["rate"]) == ("There and back", None)
        assert before["closes_at"] == "2027-01-01T00:00:00Z"
        changed = api.ok("PATCH", TRIP, {"name": "Journey", "description": "Away", "rate": "100/s"})
        assert changed == before | {"name": "Journey", "description": "Away", "rate": "100/s"}
        assert api.ok("GET", TRIP) == changed
        (listed,) = api.ok("GET", "/v1/journeys")["items"]
        assert changed | listed == changed  # all but the occurrences
        assert api.ok("PATCH", TRIP, {"rate": "50/s"})["name"] == "Journey"
        assert api.ok("PATCH", TRIP, {"description": ""})["description"] == ""

        world.journey(TEXT, entry=GOLD, description="By train")  # a new version brings its own
        told = api.ok("GET", TRIP)
        assert (told["version"], told["name"], told["description"], told["rate"]) == (2, "Trip", "By train", None)

    def test_a_draft_shows_its_own_description_and_is_not_changed_so(self, api: Api) -> None:
        document = {"key": "trip", "name": "Trip", "description": "Planned", "steps": [DAY]}
        api.ok("PUT", f"{TRIP}/draft", document)
        assert api.ok("GET", TRIP)["description"] == "Planned"
        told = api.problem(409, "PATCH", TRIP, {"name": "Journey"})
        assert kind(told) == "illegal-transition"
        assert "Change its draft" in told["detail"]

    def test_what_does_not_hold(self, trip: Api) -> None:
        assert "at least one" in trip.problems("PATCH", TRIP, {})[""]
        body = {"name": "", "description": "x" * 4001, "rate": 100, "state": "live"}
        assert set(trip.problems("PATCH", TRIP, body)) == {"name", "description", "rate", "state"}
        assert "write 500/s" in trip.problems("PATCH", TRIP, {"rate": "0/s"})["rate"]
        trip.problem(404, "PATCH", "/v1/journeys/nothing", {"name": "x"})
        trip.world.stop()
        assert kind(trip.problem(409, "PATCH", TRIP, {"name": "x"})) == "illegal-transition"

    def test_another_version_of_a_message_is_sent_from_now_on(self, trip: Api) -> None:
        world = trip.world
        world.message("ping", {"channel": "sms", "text": "Ping!"})
        world.message("hello", {"channel": "email", "subject": "Hi", "from": "a@example.com", "html": "<p>Hi</p>"})
        answer = trip.ok("PUT", f"{TRIP}/messages/ping", {"version": 2})
        assert answer == {"journey": "trip", "message": "ping", "version": 2, "versions": 1}

        ((path, told),) = trip.problems("PUT", f"{TRIP}/messages/hello", {"version": 2}).items()
        assert path.endswith("steps.look.link")
        assert "has no link 'details'" in told
        assert "has no version 9" in trip.problems("PUT", f"{TRIP}/messages/hello", {"version": 9})["version"]
        assert "sends 'pong'" in trip.problems("PUT", f"{TRIP}/messages/pong", {"version": 1})["message"]
        assert set(trip.problems("PUT", f"{TRIP}/messages/ping", {"version": 0})) == {"version"}
        assert set(trip.problems("PUT", f"{TRIP}/messages/PING", {"version": 1})) == {"path.message"}
        trip.problem(404, "PUT", "/v1/journeys/nothing/messages/ping", {"version": 1})
        world.stop()
        told_so = trip.problem(409, "PUT", f"{TRIP}/messages/ping", {"version": 1})
        assert kind(told_so) == "illegal-transition"


class TestVersions:
    def test_they_are_compared_by_their_structure(self, trip: Api) -> None:
        trip.world.journey(MAIL, AWAIT_CLICK | {"within": "P2D"}, DAY, description="There and back")
        told = trip.ok("GET", f"{TRIP}/diff?from=1&to=2")
        assert (told["from"], told["to"]) == (1, 2)
        found = {(each["path"], each["kind"]): (each["before"], each["after"]) for each in told["differences"]}
        assert found["steps.look.within", "changed"] == ("P1D", "P2D")
        assert found["steps.text", "removed"][1] is None
        assert found["steps.day", "added"][0] is None
        assert found["steps.look", "moved"] == ("text", "day")
        assert len(found) == 4
        assert trip.ok("GET", f"{TRIP}/diff?from=2") == {"from": 2, "to": "draft", "differences": []}
        assert len(trip.ok("GET", f"{TRIP}/diff?from=draft&to=1")["differences"]) == 4

    def test_comparing_what_is_not_there(self, trip: Api) -> None:
        assert "trip 9" in trip.problem(404, "GET", f"{TRIP}/diff?from=1&to=9")["detail"]
        trip.problem(404, "GET", "/v1/journeys/nothing/diff?from=1")
        assert set(trip.problems("GET", f"{TRIP}/diff?to=1")) == {"query.from"}
        assert set(trip.problems("GET", f"{TRIP}/diff?from=0&to=newest")) == {"query.from", "query.to"}
        assert set(trip.problems("GET", f"{TRIP}/diff?from=1&two=2")) == {"query.two"}

    def test_an_old_one_becomes_the_draft_again(self, trip: Api) -> None:
        first = trip.ok("GET", f"{TRIP}/draft")
        trip.world.journey(DAY)
        saved = trip.ok("POST", f"{TRIP}/versions/1/restore")
        assert saved == {"key": "trip", "revision": 3, "problems": []}
        assert trip.ok("GET", f"{TRIP}/draft") == first
        assert trip.ok("POST", f"{TRIP}/publish")["version"] == 3
        assert trip.ok("GET", f"{TRIP}/diff?from=1&to=3")["differences"] == []
        trip.problem(404, "POST", f"{TRIP}/versions/9/restore")
        trip.problem(404, "POST", "/v1/journeys/nothing/versions/1/restore")


class TestMoving:
    def test_those_who_wait_are_counted_first_and_moved_then(self, trip: Api) -> None:
        world = trip.world
        waiting = world.enter(world.person("bob"))
        world.send(waiting)
        pending = world.request(world.person("cem"))
        world.journey(MAIL, AWAIT_CLICK | {"within": "PT1H"}, TEXT)

        told = {
            "journey": "trip",
            "to": 2,
            "runs": 2,
            "moving": [{"version": 1, "step": None, "runs": 1}, {"version": 1, "step": "look", "runs": 1}],
            "sending": 1,
        }
        assert trip.ok("POST", f"{TRIP}/move?preview=true", {"to": 2}) == told
        assert {run["version"] for run in trip.ok("GET", "/v1/runs")["items"]} == {1}
        assert trip.ok("POST", f"{TRIP}/move", {"to": 2, "rate": 5}) == told
        assert trip.ok("GET", f"/v1/runs/{waiting}")["held_at"] == "2026-12-01T09:00:00Z"
        assert trip.ok("GET", f"/v1/runs/{pending}")["held_at"] is None
        figures = trip.ok("GET", f"{TRIP}/figures?version=2")
        assert (figures["moved_in"], figures["inside"]) == (2, 2)
        assert trip.ok("GET", f"{TRIP}/figures?version=1")["moved_out"] == 2
        again = trip.problem(409, "POST", f"{TRIP}/move", {"to": 2})
        assert kind(again) == "nothing-to-move"
        assert trip.ok("POST", f"{TRIP}/move?preview=true", {"to": 2})["runs"] == 0

    def test_a_step_that_is_gone_is_mapped_or_nobody_is_moved(self, trip: Api) -> None:
        world = trip.world
        waiting = world.enter(world.person("bob"))
        world.send(waiting)
        world.journey(MAIL, AWAIT_CLICK | {"id": "glance"}, TEXT)
        for query in ("", "?preview=true"):
            problems = trip.problems("POST", f"{TRIP}/move{query}", {"to": 2})
            assert set(problems) == {"steps.look"}
            assert "1 run(s) stand there" in problems["steps.look"]
            wrong = trip.problems("POST", f"{TRIP}/move{query}", {"to": 2, "steps": {"look": "glanze"}})
            assert "did you mean 'glance'" in wrong["steps.look"]
        body = {"to": 2, "from_versions": [1], "at_or_before": "look", "steps": {"look": "glance"}}
        assert trip.ok("POST", f"{TRIP}/move", body)["runs"] == 1
        assert trip.ok("GET", f"/v1/runs/{waiting}")["step"] == "glance"

    def test_only_some_are_moved(self, trip: Api) -> None:
        world = trip.world
        waiting = world.enter(world.person("bob"))
        world.send(waiting)
        world.journey(MAIL, AWAIT_CLICK, DAY)
        for body in ({"to": 2, "from_versions": [7]}, {"to": 2, "at_or_before": "mail"}):
            assert kind(trip.problem(409, "POST", f"{TRIP}/move", body)) == "nothing-to-move"

    def test_what_does_not_hold(self, trip: Api) -> None:
        assert set(trip.problems("POST", f"{TRIP}/move", {})) == {"to"}
        body = {"to": 0, "from_versions": [0], "at_or_before": "A b", "rate": 0, "frm": 1}
        wrong = set(trip.problems("POST", f"{TRIP}/move", body))
        assert wrong == {"to", "from_versions.0", "at_or_before", "rate", "frm"}
        assert set(trip.problems("POST", f"{TRIP}/move?preview=perhaps", {"to": 1})) == {"query.preview"}
        assert "trip 9" in trip.problem(404, "POST", f"{TRIP}/move", {"to": 9})["detail"]
        for query in ("", "?preview=true"):
            trip.problem(404, "POST", f"/v1/journeys/nothing/move{query}", {"to": 1})
        trip.world.stop()
        assert kind(trip.problem(409, "POST", f"{TRIP}/move", {"to": 1})) == "illegal-transition"


def test_a_journey_says_by_itself_when_it_goes_on_and_when_it_closes(trip: Api) -> None:
    trip.world.later(timedelta(minutes=1))
    told = trip.ok("GET", TRIP)
    assert (told["pause"], told["resume_at"], told["closes_at"], told["rate"]) == (None, None, None, None)
    assert told["updated_at"] == T0.isoformat().replace("+00:00", "Z")
