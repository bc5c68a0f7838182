"""Whatever goes wrong is told as a problem document, and never as a defect of ours."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from starlette.types import Message

from tests.api.conftest import LOOPBACK, Api, make_client, make_parts
from tests.support.apis import make_app
from wend.storage.database import Database

JSON = {"content-type": "application/json"}
YAML = {"content-type": "application/yaml"}


def test_addresses_and_methods_that_do_not_exist(api_on_sqlite: Api) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v2/journeys", "/v1/journeys/", "/c"):
        assert api_on_sqlite.problem(404, "GET", path)["type"] == "urn:wend:problem:not-found"
    told = api_on_sqlite.problem(405, "DELETE", "/v1/journeys")
    assert told["type"] == "urn:wend:problem:method-not-allowed"
    assert api_on_sqlite.client.delete("/v1/journeys").headers["allow"] == "GET"
    api_on_sqlite.problem(405, "POST", "/c/token")


class TestBodies:
    def put(self, api: Api, content: str | bytes, headers: dict[str, str] = JSON) -> dict[str, str]:
        return api.problems("PUT", "/v1/segments/x", content=content, headers=headers)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            pytest.param('{"name": "X",', "no JSON", id="cut off"),
            pytest.param('{"name": "X", "name": "Y"}', "twice", id="a name twice"),
            pytest.param('{"name": NaN}', "NaN", id="NaN"),
            pytest.param('{"name": 1e999}', "beyond all bounds", id="infinite"),
            pytest.param('{"name": 123456789012345678901}', "64 bits", id="a huge number"),
            pytest.param('{"name": ' + "1" * 5000 + "}", "64 bits", id="five thousand digits"),
            pytest.param('{"name": "\\u0000"}', "NUL", id="NUL"),
            pytest.param('{"name": "\\ud800"}', "surrogate", id="half a surrogate pair"),
            pytest.param(b'{"name": "\xff"}', "UTF-8", id="no UTF-8"),
            pytest.param("[" * 100_000, "levels deep", id="endlessly deep"),
            pytest.param("[" * 60 + "]" * 60, "levels deep", id="deep"),
            pytest.param("", "no JSON", id="empty"),
            pytest.param("null", "no object", id="null"),
            pytest.param("[]", "no object", id="a list"),
            pytest.param('"text"', "no object", id="text"),
        ],
    )
    def test_that_are_no_json(self, api_on_sqlite: Api, body: str | bytes, told: str) -> None:
        (message,) = self.put(api_on_sqlite, body).values()
        assert told in message

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param("name: [", id="open"),
            pytest.param("a: &a 1\nb: *a", id="an alias"),
            pytest.param("name: !!python/object:os.system x", id="a tag"),
            pytest.param("1: 2", id="a name that is no text"),
            pytest.param("[" * 5_000, id="endlessly deep"),
            pytest.param('name: "\\0"', id="NUL"),
            pytest.param("name: .inf", id="infinite"),
            pytest.param("", id="empty"),
        ],
    )
    def test_that_are_no_yaml(self, api_on_sqlite: Api, body: str) -> None:
        assert self.put(api_on_sqlite, body, YAML)

    @pytest.mark.parametrize(
        "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
    )
    def test_of_another_kind(self, api_on_sqlite: Api, kind: str) -> None:
        headers = {"content-type": kind} if kind else {}
        told = api_on_sqlite.problem(415, "PUT", "/v1/segments/x", content=b'{"name": "X"}', headers=headers)
        assert "application/json, application/yaml, text/yaml" in told["detail"]

    def test_yaml_is_read_only_where_something_is_defined(self, api_on_sqlite: Api) -> None:
        api_on_sqlite.problem(415, "POST", "/v1/profiles", content=b"external_id: a", headers=YAML)

    def test_json_by_other_names(self, api_on_sqlite: Api) -> None:
        headers = {"content-type": "application/vnd.wend+json; charset=utf-8"}
        body = json.dumps({"name": "X", "kind": "list"}).encode()
        api_on_sqlite.ok("PUT", "/v1/segments/x", content=b"\xef\xbb\xbf" + body, headers=headers)

    def test_that_are_too_large(self, api_on_sqlite: Api) -> None:
        padding = json.dumps({"name": "x" * 1_000_000}).encode()
        told = api_on_sqlite.problem(413, "PUT", "/v1/segments/x", content=padding, headers=JSON)
        assert "1,000,000 bytes" in told["detail"]
        unannounced = (padding[start : start + 65_536] for start in range(0, len(padding), 65_536))
        api_on_sqlite.problem(413, "PUT", "/v1/segments/x", content=unannounced, headers=JSON)
        batch = json.dumps([{"external_id": "a", "attributes": {"x": "y" * 1_000_000}}])
        assert "0.attributes" in api_on_sqlite.problems("POST", "/v1/profiles", content=batch, headers=JSON)

    def test_of_a_caller_who_hangs_up(self, api_on_sqlite: Api) -> None:
        """Half of a file is no file: nothing of it is imported, and nothing of it is our defect."""
        sent: list[Message] = []
        arriving: list[Message] = [
            {"type": "http.request", "body": b"external_id\na\n", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Message:
            return arriving.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/v1/profiles/import",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"text/csv")],
        }
        asyncio.run(make_app(api_on_sqlite.parts)(scope, receive, send))
        assert sent[0]["status"] == 400
        assert api_on_sqlite.ok("GET", "/v1/profiles")["items"] == []


class TestAddressesAndQueries:
    def test_unknown_parameters_are_refused_with_a_suggestion(self, api_on_sqlite: Api) -> None:
        assert api_on_sqlite.problems("GET", "/v1/runs?jorney=x&limit=1") == {
            "query.jorney": "there is no such parameter; did you mean 'journey'?"
        }
        assert "query.dry" in api_on_sqlite.problems("POST", "/v1/journeys/x/publish?dry=1")

    @pytest.mark.parametrize("body", [b'{"as": "accepted"}', b" 0", b"{}x", b"x" * 10_000_000])
    def test_a_body_that_nothing_would_be_read_of_is_refused(self, api_on_sqlite: Api, body: bytes) -> None:
        problems = api_on_sqlite.problems("POST", "/v1/journeys/x/publish", content=body, headers=JSON)
        assert problems == {"body": "nothing in it is read here; leave it out"}

    @pytest.mark.parametrize("body", [b"", b"{}", b" { }\n"])
    def test_a_body_that_says_nothing_is_as_good_as_none(self, api_on_sqlite: Api, body: bytes) -> None:
        api_on_sqlite.problem(404, "POST", "/v1/journeys/x/publish", content=body, headers=JSON)

    def test_a_parameter_that_is_given_twice_is_refused_rather_than_passed_over(self, api_on_sqlite: Api) -> None:
        twice = api_on_sqlite.problems("GET", "/v1/sent-messages?state=uncertain&state=accepted")
        assert twice == {"query.state": "is given more than once"}

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/journeys/UPPER",
            "/v1/segments/%00/count",
            "/v1/messages/a%2Fb",
            "/v1/journeys/x/versions/0",
            "/v1/journeys/x/versions/99999999999999999999",
            "/v1/runs?limit=1001",
            "/v1/runs?cursor=%00",
            "/v1/runs?cursor=cnVuczrigqw",
            "/v1/journeys?cursor=am91cm5leXM6AA",  # journeys:NUL
            "/v1/journeys/x/entries?cursor=c2VnbWVudC1lbnRyaWVzLXg6AA",
            "/v1/profiles?namespace=email&value=%00",
            "/v1/segments/x/sample?size=0",
            "/v1/journeys/x/figures?version=9223372036854775808",
        ],
    )
    def test_what_could_never_be_is_refused_before_any_database_sees_it(self, api: Api, path: str) -> None:
        response = api.client.get(path)
        assert response.status_code in (404, 422), response.text
        assert response.headers["content-type"] == "application/problem+json"

    def test_a_cursor_of_another_list(self, api_on_sqlite: Api) -> None:
        api_on_sqlite.world.people(["a", "b"])
        cursor = api_on_sqlite.ok("GET", "/v1/profiles?limit=1")["next"]
        assert "query.cursor" in api_on_sqlite.problems("GET", f"/v1/runs?cursor={cursor}")


class TestWhatIsNotTheCallersFault:
    def test_a_database_that_is_away(self, lost_database: Database) -> None:
        response = make_client(make_parts(lost_database)).get("/v1/journeys")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"] == "urn:wend:problem:unavailable"

    def test_a_defect_is_told_without_a_word_of_what_it_was(self, api_on_sqlite: Api) -> None:
        router = APIRouter()

        @router.get("/defect")
        def defect() -> None:
            raise RuntimeError("ada@example.com has the password hunter2")

        app = make_app(api_on_sqlite.parts)
        app.include_router(router)
        response = TestClient(app, LOOPBACK, raise_server_exceptions=False).get("/defect")
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert "hunter2" not in response.text
        assert "RuntimeError" not in response.text
