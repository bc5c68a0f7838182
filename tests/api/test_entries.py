"""Who enters and when, over HTTP and by the command line: told ahead, looked after, and asked for after all."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.api.conftest import Api, make_parts
from tests.support.commands import Ran, run_command, served
from tests.support.world import DAY, MAIL, T0, World
from wend.storage.tables import entries, outbox

PAGE = Path(__file__).parents[2] / "docs/api.md"

# Paris skips 02:00 to 03:00 on 28 March 2027, and shows it twice on 31 October 2027.
THROUGH_THE_GAP = {"start": {"at": "2027-03-26T02:30"}, "every": "day"}
THROUGH_THE_OVERLAP = {"start": {"at": "2027-10-30T02:30"}, "every": "day"}


def draft(api: Api, schedule: dict[str, Any], zone: str = "Europe/Paris", **more: Any) -> dict[str, Any]:
    """Save a draft whose entry has this schedule; return its document."""
    frequency = "repeating" if "every" in schedule else "once"
    document = {
        "key": "trip",
        "name": "Trip",
        "time_zone": zone,
        "entry": {"segment": ["gold", "silver"], "frequency": frequency, "schedule": schedule, **more},
        "steps": [DAY],
    }
    saved: dict[str, Any] = api.ok("PUT", "/v1/journeys/trip/draft", document)
    return saved


def write(world: World, occurrence: str, state: str, due_at: datetime = T0, **values: Any) -> UUID:
    """Write an entry that took nobody in; return its id."""
    row = {"id": uuid4(), "journey_key": "trip", "version": 1, "members": 0, "kind": "segment", **values}
    moments = {"due_at": due_at, "opened_at": due_at}
    with world.database.write() as connection:
        connection.execute(sa.insert(entries).values(**row, **moments, occurrence=occurrence, state=state))
    return UUID(str(row["id"]))


@pytest.fixture
def segments(api_on_sqlite: Api) -> Api:
    """The API, with two segments that share a member."""
    world = api_on_sqlite.world
    ada, bob, cem = world.people(["ada", "bob", "cem"])
    world.listed("gold", [ada, bob])
    world.listed("silver", [bob, cem])
    return api_on_sqlite


class Wend:
    """Runs commands against an API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, *words: object) -> Ran:
        return run_command(*words, api=self._url)


@pytest.fixture
def wend(segments: Api) -> Iterator[Wend]:
    with served(make_parts(segments.world.database, segments.world.time)) as url:
        yield Wend(url)


class TestAhead:
    def test_a_draft_tells_when_it_would_take_members_in_if_it_were_published_now(self, segments: Api) -> None:
        draft(segments, {"start": {"after_publish": "PT1H"}})
        told = segments.ok("GET", "/v1/journeys/trip/audience")
        assert (told["members"], told["entering"], told["as_if_published_at"]) == (3, 3, "2026-12-01T09:00:00Z")
        assert [each["at"] for each in told["next_occurrences"]] == ["2026-12-01T10:00:00Z"]

    def test_a_published_journey_counts_from_its_publication(self, segments: Api) -> None:
        draft(segments, {"start": {"after_publish": "PT1H"}})
        segments.ok("POST", "/v1/journeys/trip/publish")
        segments.world.later(timedelta(minutes=30))
        told = segments.ok("GET", "/v1/journeys/trip/audience")
        assert told["as_if_published_at"] is None
        assert [each["at"] for each in told["next_occurrences"]] == ["2026-12-01T10:00:00Z"]
        assert segments.ok("GET", "/v1/journeys/trip")["next_occurrences"] == told["next_occurrences"]

    def test_the_next_ten_are_told_and_the_clocks_that_skip_one_are_marked(self, segments: Api) -> None:
        draft(segments, THROUGH_THE_GAP)
        segments.ok("POST", "/v1/journeys/trip/publish")
        coming = segments.ok("GET", "/v1/journeys/trip/audience")["next_occurrences"]
        assert len(coming) == 10
        assert [each["clock_change"] for each in coming] == [None, None, "skipped"] + [None] * 7
        assert segments.ok("GET", "/v1/journeys/trip")["next_occurrences"] == coming
        shown = next(block for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S) if "skipped" in block)
        assert coming[2] == json.loads(shown)

    def test_clocks_that_show_one_twice_are_marked(self, segments: Api) -> None:
        draft(segments, THROUGH_THE_OVERLAP)
        second = segments.ok("GET", "/v1/journeys/trip/audience")["next_occurrences"][1]
        # The first of the two: clocks still stand two hours ahead of UTC.
        assert (second["clock_change"], second["at"]) == ("repeated", "2027-10-31T00:30:00Z")
        assert second["local"] == "2027-10-31T02:30:00+02:00"
        assert "twice" in second["note"]

    def test_the_command_line_shows_them_with_their_marks(self, segments: Api, wend: Wend) -> None:
        draft(segments, THROUGH_THE_GAP)
        audience = wend("audience", "trip")
        assert "as if it were published now" in audience.said
        assert "2027-03-28T02:30 2027-03-28 01:00:00 Sun 28 Mar 2027 03:00 CEST" in audience.said
        assert "02:30 is skipped that day" in audience.said
        segments.ok("POST", "/v1/journeys/trip/publish")
        journey = wend("journey", "trip")
        assert "Next occurrences" in journey.said
        assert "02:30 is skipped that day" in journey.said
        draft(segments, {"start": {"at": "2027-01-01T10:00Z"}, "every": {"hours": 6}}, "America/New_York")
        assert "the clocks change" not in wend("audience", "trip").said


class TestWhatBecameOfThem:
    def test_occurrences_that_took_nobody_in_are_listed_with_their_reasons(self, api: Api) -> None:
        api.world.listed("gold")
        api.world.journey(DAY, entry={"segment": "gold"})
        write(api.world, "2026-12-01T09:00", "missed", reason="outage")
        write(api.world, "2026-12-02T09:00", "skipped", T0 + timedelta(days=1), reason="window_closed")
        id = write(api.world, "2026-12-03T09:00", "failing", T0 + timedelta(days=2), error="it is away", attempts=3)
        joiners = {"kind": "joiners", "finished_at": T0}
        write(api.world, "2026-12-02T12:00:00Z", "done", T0 + timedelta(days=1, hours=3), **joiners)
        api.world.request(api.world.person("ada"))

        listed = api.ok("GET", "/v1/journeys/trip/entries")["items"]
        assert [(each["occurrence"], each["kind"], each["state"], each["reason"]) for each in listed] == [
            ("2026-12-03T09:00", "segment", "failing", None),
            ("2026-12-02T12:00:00Z", "joiners", "done", None),
            ("2026-12-02T09:00", "segment", "skipped", "window_closed"),
            ("2026-12-01T09:00", "segment", "missed", "outage"),
        ]
        missed = api.ok("GET", "/v1/journeys/trip/entries?state=missed")["items"]
        assert [each["occurrence"] for each in missed] == ["2026-12-01T09:00"]
        failing = api.ok("GET", f"/v1/journeys/trip/entries/{id}")
        assert (failing["error"], failing["attempts"], failing["members"]) == ("it is away", 3, 0)
        assert [each["kind"] for each in api.ok("GET", "/v1/journeys/trip/entries?kind=api")["items"]] == ["api"]
        assert "query.state" in api.problems("GET", "/v1/journeys/trip/entries?state=late")
        figures = api.world.figures()
        assert (figures.members, figures.entered, figures.excluded) == (1, 1, {})

    def test_pages_go_back_in_time_and_part_what_was_due_at_one_instant(self, api: Api) -> None:
        api.world.listed("gold")
        api.world.journey(DAY, entry={"segment": "gold"})
        for number in range(5):
            write(api.world, f"n{number}", "done", T0 + timedelta(days=number // 2))
        seen: list[str] = []
        cursor = ""
        while True:
            page = api.ok("GET", f"/v1/journeys/trip/entries?limit=2{cursor}")
            seen += [each["occurrence"] for each in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert seen[0] == "n4"
        assert (set(seen[1:3]), set(seen[3:])) == ({"n2", "n3"}, {"n0", "n1"})

    def test_the_command_line_lists_them(self, segments: Api, wend: Wend) -> None:
        segments.world.journey(DAY, entry={"segment": "gold"})
        write(segments.world, "2026-12-01T09:00", "missed", reason="schedule_paused")
        id = write(segments.world, "2026-12-02T09:00", "failing", error="it is away", attempts=2)
        listed = wend("entries", "trip")
        assert "schedule paused" in listed.said
        assert "2 attempt(s) failed: it is away" in listed.said
        assert [each["state"] for each in wend("entries", "trip", "--state", "missed", "--json").json] == ["missed"]
        assert wend("entries", "trip", "--state", "skipped").said == "No entry of trip is skipped."
        assert "failed attempts 2, the last: it is away" in wend("entry", "trip", id).said


class TestTakingIn:
    def test_one_that_was_missed_is_taken_in_after_all(self, api: Api) -> None:
        api.world.listed("gold")
        api.world.journey(DAY, entry={"segment": "gold"})
        api.world.deliver_nothing()
        write(api.world, "2026-12-01T09:00", "missed", reason="outage")
        asked = {"occurrence": "2026-12-01T09:00"}
        key = {"headers": {"Idempotency-Key": "mend-1"}}
        answer = {"journey": "trip", **asked}
        assert api.ok("POST", "/v1/journeys/trip/entries", asked, **key) == answer
        assert api.ok("POST", "/v1/journeys/trip/entries", asked, **key) == answer
        assert api.world.waiting("enter") == ["trip"]
        other = {"occurrence": "2026-12-02T09:00"}
        assert api.problem(409, "POST", "/v1/journeys/trip/entries", other, **key)["type"].endswith(
            "key-used-otherwise"
        )

    def test_one_that_was_taken_in_is_not_taken_in_again(self, api: Api) -> None:
        api.world.listed("gold")
        api.world.journey(DAY, entry={"segment": "gold"})
        api.world.deliver_nothing()
        write(api.world, "2026-12-01T09:00", "done")
        told = api.problem(409, "POST", "/v1/journeys/trip/entries", {"occurrence": "2026-12-01T09:00"})
        assert told["type"] == "urn:wend:problem:not-missed"
        api.problem(404, "POST", "/v1/journeys/trip/entries", {"occurrence": "2026-12-07T09:00"})
        api.problem(404, "POST", "/v1/journeys/nothing/entries", {"occurrence": "2026-12-01T09:00"})
        assert "occurrence" in api.problems("POST", "/v1/journeys/trip/entries", {"occurrence": "no name!"})
        assert api.world.rows(outbox, outbox.c.done_at.is_(None)) == []

    def test_by_the_command_line(self, segments: Api, wend: Wend) -> None:
        segments.world.journey(DAY, entry={"segment": "gold"})
        write(segments.world, "2026-12-01T09:00", "skipped", reason="schedule_paused")
        words = ("take-in", "trip", "2026-12-01T09:00", "--key", "mend-1")
        assert "is taken in within moments" in wend(*words).said
        assert wend(*words, "--json").json == {"journey": "trip", "occurrence": "2026-12-01T09:00"}
        refused = wend("take-in", "trip", "2026-12-01T09:00")
        assert refused.exit_code == 1
        assert "it is being taken in" in refused.err


class TestStarts:
    """Starts of one person through the API, where the journey's rules of re-entry or its window keep them out."""

    @pytest.mark.parametrize(
        ("rules", "kind", "said"),
        [
            pytest.param({"reentry": {"limit": 1}}, "entry-limit-reached", "has had its 1 run(s)", id="limit"),
            pytest.param({"reentry": {"after": "P7D"}}, "too-soon", "2026-12-08T09:00:00Z", id="gap"),
        ],
    )
    def test_who_has_been_in_is_kept_out_as_reentry_says(
        self, segments: Api, wend: Wend, rules: dict[str, Any], kind: str, said: str
    ) -> None:
        world = segments.world
        ada = world.person("ada")
        world.journey(MAIL, **rules)
        world.send(world.enter(ada))
        told = segments.problem(409, "POST", "/v1/journeys/trip/runs", {"profile_id": str(ada)})
        assert told["type"] == f"urn:wend:problem:{kind}"
        assert said in told["detail"]
        refused = wend("start", "trip", "--profile", ada)
        assert refused.exit_code == 1
        assert said in refused.err

    @pytest.mark.parametrize(
        ("window", "said"),
        [
            pytest.param({"opens": "2026-12-02T09:00Z"}, "opens at 2026-12-02T09:00:00Z", id="not open yet"),
            pytest.param({"closes": "2026-12-01T10:00Z"}, "closed at 2026-12-01T10:00:00Z", id="closed"),
        ],
    )
    def test_nobody_is_started_outside_of_the_window(
        self, segments: Api, wend: Wend, window: dict[str, Any], said: str
    ) -> None:
        world = segments.world
        ada = world.person("ada")
        world.journey(MAIL, window=window)
        world.later(timedelta(hours=2))
        told = segments.problem(409, "POST", "/v1/journeys/trip/runs", {"profile_id": str(ada)})
        assert told["type"] == "urn:wend:problem:outside-window"
        assert said in told["detail"]
        assert said in wend("start", "trip", "--profile", ada).err
