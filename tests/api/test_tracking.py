"""The links in messages, as recipients and machines follow them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.api.conftest import PERSON, Api, make_client, make_parts
from tests.support.world import AWAIT_CLICK, KEYS, MAIL, TEXT
from wend.messages.tokens import TokenKeys
from wend.storage import tables
from wend.storage.database import Database

JOURNEY = (MAIL, AWAIT_CLICK | {"on_timeout": "exit"}, TEXT)
DETAILS, OTHER = 1, 2
ONE_MILLISECOND = timedelta(milliseconds=1)


def waiting(api: Api, name: str = "ada") -> tuple[UUID, UUID]:
    """Have somebody wait for a click; return the run and the message."""
    if not api.world.rows(tables.journeys):
        api.world.journey(*JOURNEY)
    run = api.world.enter(api.world.person(name))
    message = api.world.claimed(run)
    api.world.settle(message)
    return run, message.message.message_id


def follow(
    api: Api, message: UUID, number: int = DETAILS, method: str = "GET", headers: Mapping[str, str] | None = None
) -> None:
    response = api.client.request(method, f"/c/{KEYS.sign(message, number)}", headers={**PERSON, **(headers or {})})
    assert response.status_code == 302
    assert response.headers["location"] == {DETAILS: "https://example.com/a", OTHER: "https://e.com/"}[number]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.content == b""


def clicks(api: Api, run: UUID) -> list[tuple[bool, str | None, str | None]]:
    return [(each["counted"], each["note"], each["late_by"]) for each in api.ok("GET", f"/v1/runs/{run}")["clicks"]]


class TestClicks:
    def test_a_click_leads_on_and_wakes_the_run(self, api: Api) -> None:
        run, message = waiting(api)
        follow(api, message)
        assert api.world.waiting("wake_run") == [str(run)]
        api.world.advance(run)
        assert api.world.steps(run)[-1] == ("text", "clicked")

    def test_a_click_on_the_other_link_counts_and_moves_nobody(self, api: Api) -> None:
        run, message = waiting(api)
        follow(api, message, OTHER)
        assert clicks(api, run) == [(True, None, None)]
        assert api.world.waiting("wake_run") == []

    def test_every_click_is_kept(self, api: Api) -> None:
        run, message = waiting(api)
        follow(api, message)
        follow(api, message)
        assert len(clicks(api, run)) == 2
        assert api.world.waiting("wake_run") == [str(run)]  # one bell is enough

    @pytest.mark.parametrize(
        ("method", "headers", "note"),
        [
            pytest.param("HEAD", {}, "head", id="HEAD"),
            pytest.param("GET", {"user-agent": "Barracuda Link Protection"}, "bot", id="mail gateway"),
            pytest.param("GET", {"user-agent": ""}, "no_agent", id="no agent"),
            pytest.param("GET", {"sec-purpose": "prefetch;prerender"}, "prefetch", id="prefetch"),
        ],
    )
    def test_what_no_person_did_is_kept_and_does_not_count(
        self, api: Api, method: str, headers: dict[str, str], note: str
    ) -> None:
        run, message = waiting(api)
        follow(api, message, method=method, headers=headers)
        assert clicks(api, run) == [(False, note, None)]
        assert api.world.waiting("wake_run") == []
        assert api.ok("GET", "/v1/journeys/trip/figures")["clicks"] == {note: 1}
        api.world.later(timedelta(days=1))
        api.world.advance(run)
        assert api.world.steps(run)[-1] == ("exit", "timed_out")

    def test_a_click_after_the_end_leads_on_is_late_and_changes_nothing(self, api: Api) -> None:
        run, message = waiting(api)
        api.world.later(timedelta(days=1))
        api.world.advance(run)
        api.world.later(timedelta(minutes=90))
        follow(api, message)
        assert clicks(api, run) == [(True, None, "PT1H30M")]
        assert api.ok("GET", f"/v1/runs/{run}")["state"] == "completed"
        assert api.ok("GET", "/v1/journeys/trip/figures")["clicks"] == {"late": 1}

    def test_links_lead_on_when_the_profile_is_gone_and_the_journey_stopped(self, api: Api) -> None:
        run, message = waiting(api)
        api.ok("DELETE", f"/v1/profiles/{api.world.row(run).profile_id}")
        follow(api, message)
        api.world.stop()
        follow(api, message)

    @pytest.mark.parametrize(
        ("offset", "goes_on"),
        [
            pytest.param(-ONE_MILLISECOND, True, id="a millisecond before"),
            pytest.param(timedelta(0), True, id="at the deadline"),
            pytest.param(ONE_MILLISECOND, False, id="a millisecond after"),
        ],
    )
    def test_the_stamp_decides(self, api: Api, offset: timedelta, goes_on: bool) -> None:
        run, message = waiting(api)
        deadline = api.world.now + timedelta(days=1)
        api.world.now = deadline + offset
        follow(api, message)
        api.world.now = deadline + timedelta(seconds=5)
        api.world.advance(run)
        assert (api.world.steps(run)[-1] == ("text", "clicked")) is goes_on

    def test_a_click_that_commits_after_the_timeout_was_decided_is_late(self, api: Api) -> None:
        """It came before the deadline by its own host's clock, and reached the database after the decision: its stamp
        follows the decision, so that the journal and the log of events never tell two stories."""
        run, message = waiting(api)
        deadline = api.world.now + timedelta(days=1)
        api.world.advance(run, now=deadline)
        assert api.world.steps(run)[-1] == ("exit", "timed_out")
        api.world.now = deadline - timedelta(milliseconds=200)
        follow(api, message)
        ((counted, _, late_by),) = clicks(api, run)
        assert (counted, late_by) == (True, "PT0.000001S")
        assert api.world.steps(run)[-1] == ("exit", "timed_out")

    def test_addresses_that_mail_programs_lengthen_still_lead_on(self, api_on_sqlite: Api) -> None:
        _, message = waiting(api_on_sqlite)
        token = KEYS.sign(message, DETAILS)
        assert api_on_sqlite.client.get(f"/c/{token}?utm_source=mail", headers=PERSON).status_code == 302

    def test_destinations_reach_browsers_in_ascii(self, api_on_sqlite: Api) -> None:
        api = api_on_sqlite
        html = '<a data-link="details" href="https://example.com/é?q=ü|&amp;a=%20">x</a>'
        api.world.message("hello", {"channel": "email", "from": "a@example.com", "subject": "S", "html": html})
        _, message = waiting(api)
        response = api.client.get(f"/c/{KEYS.sign(message, DETAILS)}", headers=PERSON)
        assert response.headers["location"] == "https://example.com/%C3%A9?q=%C3%BC%7C&a=%20"


class TestKeys:
    def test_links_signed_with_an_older_key_work_until_it_is_taken_away(self, api_on_sqlite: Api) -> None:
        _, message = waiting(api_on_sqlite)
        old, older = KEYS.sign(message, DETAILS), {1: bytes(range(32))}
        rotated, without = TokenKeys({2: b"n" * 32} | older), TokenKeys({2: b"n" * 32})

        def status(token: str, keys: TokenKeys) -> int:
            client = make_client(replace(api_on_sqlite.parts, keys=keys))
            return client.get(f"/c/{token}", headers=PERSON).status_code

        assert status(old, rotated) == 302
        assert status(rotated.sign(message, DETAILS), rotated) == 302
        assert status(old, without) == 404


def forged(token: str) -> str:
    return token[:-2] + ("AA" if token[-2:] != "AA" else "BA")


class TestLinksThatAreNone:
    @pytest.fixture
    def token(self, api_on_sqlite: Api) -> str:
        _, message = waiting(api_on_sqlite)
        return KEYS.sign(message, DETAILS)

    @pytest.mark.parametrize(
        "alter",
        [
            pytest.param(forged, id="forged"),
            pytest.param(lambda token: token[:-5], id="truncated"),
            pytest.param(lambda token: token + "A", id="lengthened"),
            pytest.param(lambda token: TokenKeys({9: b"k" * 32}).sign(uuid4(), 1), id="unknown key"),
            pytest.param(lambda token: KEYS.sign(uuid4(), 1), id="a message that was never sent"),
            pytest.param(lambda token: "x", id="nonsense"),
            pytest.param(lambda token: "%00", id="NUL"),
            pytest.param(lambda token: "%ff%fe", id="no UTF-8"),
            pytest.param(lambda token: "ü" * 47, id="no ASCII"),
            pytest.param(lambda token: "A" * 5000, id="endless"),
            pytest.param(lambda token: "https:%2f%2fevil.example", id="somebody else's address"),
        ],
    )
    def test_lead_nowhere_and_say_so(self, api_on_sqlite: Api, token: str, alter: Callable[[str], str]) -> None:
        path = f"/c/{alter(token)}"
        page = api_on_sqlite.client.get(path, headers=PERSON | {"accept": "text/html,*/*;q=0.8"})
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert "location" not in page.headers
        assert "This link does not work" in page.text
        told = api_on_sqlite.client.get(path, headers=PERSON | {"accept": "application/json"})
        assert told.status_code == 404
        assert told.headers["content-type"] == "application/problem+json"
        assert api_on_sqlite.client.head(path).status_code == 404

    def test_a_link_number_that_the_message_has_not(self, api_on_sqlite: Api) -> None:
        _, message = waiting(api_on_sqlite)
        assert api_on_sqlite.client.get(f"/c/{KEYS.sign(message, 3)}", headers=PERSON).status_code == 404


def test_without_the_database_the_recipient_is_asked_to_try_again(lost_database: Database) -> None:
    client = make_client(make_parts(lost_database))
    path = f"/c/{KEYS.sign(uuid4(), DETAILS)}"
    page = client.get(path, headers=PERSON)
    assert page.status_code == 503
    assert page.headers["retry-after"] == "2"
    assert "try again" in page.text
    assert client.get(path, headers=PERSON | {"accept": "application/json"}).json()["status"] == 503
    assert client.get("/c/forged").status_code == 404
