"""Profiles over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from tests.api.conftest import Api, make_api
from tests.support.world import AWAIT_CLICK, MAIL
from wend.storage import tables
from wend.storage.database import Database

ADA: dict[str, Any] = {
    "external_id": "crm-1",
    "identities": {"email": "Ada@EXAMPLE.com", "phone": "+33 6 12 34 56 78"},
    "attributes": {"first_name": "Ada", "orders": [{"total": 9.5}]},
    "time_zone": "Europe/Paris",
}


def test_a_profile_is_made_read_changed_and_deleted(api: Api) -> None:
    (made,) = api.ok("POST", "/v1/profiles", ADA)["items"]
    assert made["created"]
    read = api.ok("GET", f"/v1/profiles/{made['id']}")
    assert read["external_id"] == "crm-1"
    assert read["identities"] == {"email": "Ada@example.com", "phone": "+33612345678"}
    assert read["attributes"] == ADA["attributes"]
    assert read["time_zone"] == "Europe/Paris"

    (changed,) = api.ok("POST", "/v1/profiles", {"external_id": "crm-1", "attributes": {"vip": True}})["items"]
    assert changed == {"id": made["id"], "created": False}
    assert api.ok("GET", f"/v1/profiles/{made['id']}")["attributes"] == {**ADA["attributes"], "vip": True}

    assert api.ok("DELETE", f"/v1/profiles/{made['id']}") == {"id": made["id"], "open_runs": 0}
    assert api.problem(404, "GET", f"/v1/profiles/{made['id']}")["detail"] == f"There is no profile '{made['id']}'."
    api.problem(404, "DELETE", f"/v1/profiles/{made['id']}")


def test_a_batch_answers_in_its_own_order(api: Api) -> None:
    api.ok("POST", "/v1/profiles", ADA)
    items = api.ok("POST", "/v1/profiles", [{"external_id": "new"}, {"external_id": "crm-1"}])["items"]
    assert [item["created"] for item in items] == [True, False]


def test_every_problem_of_a_batch_is_told_and_nothing_is_stored(api_on_sqlite: Api) -> None:
    batch = [ADA, {"external_id": "b", "atributes": {}}, {"identities": {"email": "nobody"}, "time_zone": "Mars/Base"}]
    problems = api_on_sqlite.problems("POST", "/v1/profiles", batch)
    assert set(problems) == {"1.atributes", "2.identities.email", "2.time_zone"}
    assert problems["1.atributes"] == "there is no such field here; did you mean 'attributes'?"
    assert api_on_sqlite.ok("GET", "/v1/profiles")["items"] == []


def test_a_batch_has_between_one_and_a_thousand(api_on_sqlite: Api) -> None:
    assert "at least 1 item" in api_on_sqlite.problems("POST", "/v1/profiles", [])[""]
    too_many = [{"external_id": str(number)} for number in range(1001)]
    assert "at most 1000 items" in api_on_sqlite.problems("POST", "/v1/profiles", too_many)[""]
    assert len(api_on_sqlite.ok("POST", "/v1/profiles", too_many[:1000])["items"]) == 1000


def test_an_id_that_nobody_has_and_one_that_another_has(api: Api) -> None:
    api.problem(404, "POST", "/v1/profiles", {"id": str(uuid4())})
    (ada,) = api.ok("POST", "/v1/profiles", ADA)["items"]
    (bob,) = api.ok("POST", "/v1/profiles", {"external_id": "bob"})["items"]
    taken = api.problem(409, "POST", "/v1/profiles", {"id": bob["id"], "external_id": "crm-1"})
    assert taken["type"] == "urn:wend:problem:external-id-taken"
    assert ada["id"] != bob["id"]


def test_profiles_are_found_by_identity_however_it_is_written(api: Api) -> None:
    api.ok("POST", "/v1/profiles", [ADA, {"external_id": "crm-2", "identities": {"email": "ada@example.com"}}])
    found = api.ok("GET", "/v1/profiles?namespace=email&value=Ada@Example.COM")["items"]
    assert [profile["external_id"] for profile in found] == ["crm-1"]
    assert api.ok("GET", "/v1/profiles?namespace=external_id&value=nobody")["items"] == []
    assert "go together" in api.problems("GET", "/v1/profiles?namespace=email")["query"]
    assert "email" in api.problems("GET", "/v1/profiles?namespace=email&value=nobody")


def test_a_list_is_read_page_by_page(api: Api) -> None:
    api.world.people([f"p{number}" for number in range(7)])
    seen, cursor = [], ""
    while cursor is not None:
        page = api.ok("GET", f"/v1/profiles?limit=3{cursor and f'&cursor={cursor}'}")
        seen += [profile["external_id"] for profile in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(f"p{number}" for number in range(7))


def test_phone_numbers_are_read_in_the_default_region(sqlite_database: Database) -> None:
    api = make_api(sqlite_database, default_region="FR")
    (made,) = api.ok("POST", "/v1/profiles", {"identities": {"phone": "06 12 34 56 78"}})["items"]
    assert api.ok("GET", f"/v1/profiles/{made['id']}")["identities"] == {"phone": "+33612345678"}
    assert len(api.ok("GET", "/v1/profiles?namespace=phone&value=0612345678")["items"]) == 1


class TestImport:
    def test_a_csv_file(self, api: Api) -> None:
        api.ok("POST", "/v1/profiles", ADA)
        text = "external_id,email,first_name,orders\ncrm-1,,Augusta,\ncrm-2,grace@example.com,Grace,3\n"
        report = api.ok("POST", "/v1/profiles/import", content=text, headers={"content-type": "text/csv"})
        assert report == {"created": 1, "updated": 1, "lines": 2}
        (grace,) = api.ok("GET", "/v1/profiles?namespace=external_id&value=crm-2")["items"]
        assert grace["attributes"] == {"first_name": "Grace", "orders": 3}

    def test_a_streamed_ndjson_file(self, api: Api) -> None:
        lines = (
            f'{{"external_id": "p{number}", "attributes": {{"n": {number}}}}}\n'.encode() for number in range(3000)
        )
        headers = {"content-type": "application/x-ndjson; charset=utf-8"}
        assert api.ok("POST", "/v1/profiles/import", content=lines, headers=headers)["created"] == 3000

    def test_problems_have_line_numbers_and_nothing_is_half_imported(self, api: Api) -> None:
        text = "external_id,email\na,a@example.com\nb,nobody\na,c@example.com\n"
        problems = api.problems("POST", "/v1/profiles/import", content=text, headers={"content-type": "text/csv"})
        assert "no e-mail address" in problems["line 3"]
        assert "line 2" in problems["line 4"]
        assert api.ok("GET", "/v1/profiles")["items"] == []

    def test_national_numbers_need_a_region(self, api_on_sqlite: Api) -> None:
        headers = {"content-type": "text/csv"}
        text = "external_id,phone\na,0612345678\n"
        assert "line 2" in api_on_sqlite.problems("POST", "/v1/profiles/import", content=text, headers=headers)
        assert api_on_sqlite.ok("POST", "/v1/profiles/import?region=FR", content=text, headers=headers)["created"] == 1

    def test_other_files_are_refused(self, api_on_sqlite: Api) -> None:
        headers = {"content-type": "application/pdf"}
        told = api_on_sqlite.problem(415, "POST", "/v1/profiles/import", content=b"%PDF", headers=headers)
        assert "text/csv" in told["detail"]
        assert api_on_sqlite.client.post("/v1/profiles/import", content=b"a").status_code == 415


class TestDeletionDuringRuns:
    def test_open_runs_are_woken_and_end_as_exited(self, api: Api) -> None:
        """One that has no workflow yet begins by finding nobody."""
        world = api.world
        world.journey(MAIL, AWAIT_CLICK)
        world.journey(MAIL, AWAIT_CLICK, key="other")
        person = world.person("ada")
        waiting, _ = world.enter(person), world.request(person, "other")
        world.send(waiting)
        world.deliver_nothing()

        assert api.ok("DELETE", f"/v1/profiles/{person}")["open_runs"] == 2
        assert world.waiting("wake_run") == [str(waiting)]

        world.later(timedelta(minutes=1))
        world.advance(waiting)
        run = api.ok("GET", f"/v1/runs/{waiting}")
        assert (run["state"], run["reason"]) == ("exited", "profile_deleted")

    def test_the_address_is_forgotten_and_the_message_stays_counted(self, api: Api) -> None:
        world = api.world
        world.journey(MAIL)
        person = world.person("ada")
        world.send(world.enter(person))
        api.ok("DELETE", f"/v1/profiles/{person}")
        assert [row.address for row in world.rows(tables.sent_messages)] == [None]
        assert api.ok("GET", "/v1/journeys/trip/figures")["messages"] == {"accepted": 1}
