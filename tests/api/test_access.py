"""Who may ask, and what is public."""

from dataclasses import replace

import pytest

from api.app import create_app
from api.parts import ApiParts
from tests.api.conftest import LOOPBACK, PUBLIC_URL, Api, make_client, make_parts
from wend.errors import Unavailable
from wend.storage.database import Database

TOKEN = "0123456789abcdef-secret"


@pytest.fixture
def guarded(api_on_sqlite: Api) -> ApiParts:
    return replace(api_on_sqlite.parts, api_token=TOKEN)


def test_with_the_token(guarded: ApiParts) -> None:
    assert make_client(guarded).get("/v1/journeys", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"authorization": f"Bearer {TOKEN}x"}, id="a wrong one"),
        pytest.param({"authorization": "Bearer t\u00f6ken".encode()}, id="one that is no ASCII"),
        pytest.param({"authorization": f"Basic {TOKEN}"}, id="another scheme"),
        pytest.param({"authorization": "Bearer"}, id="an empty one"),
    ],
)
def test_without_it(guarded: ApiParts, headers: dict[str, str]) -> None:
    client = make_client(guarded)
    for method, path in [("GET", "/v1/journeys"), ("POST", "/v1/profiles"), ("DELETE", "/v1/segments/x")]:
        response = client.request(method, path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="wend"'
        assert response.json()["type"] == "urn:wend:problem:unauthorized"


def test_a_stranger_s_body_is_not_even_read(guarded: ApiParts) -> None:
    content = b"[" * 2_000_000
    headers = {"content-type": "application/yaml"}
    assert make_client(guarded).put("/v1/journeys/x/draft", content=content, headers=headers).status_code == 401


def test_every_address_under_v1_asks_for_it(guarded: ApiParts) -> None:
    client = make_client(guarded)
    document = client.get("/openapi.json").json()
    asked = 0
    for path, operations in document["paths"].items():
        for method in operations:
            if path.startswith("/v1"):
                address = path.replace("{id}", "00000000-0000-0000-0000-000000000000").replace("{number}", "1")
                assert client.request(method, address.replace("{key}", "x")).status_code == 401, (method, path)
                asked += 1
    assert asked > 30


def test_links_and_health_are_public(guarded: ApiParts) -> None:
    client = make_client(guarded)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    assert client.get("/c/nothing").status_code == 404


def test_without_a_token_web_pages_of_other_sites_are_refused(api_on_sqlite: Api) -> None:
    client = api_on_sqlite.client
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    told = api_on_sqlite.problem(403, "POST", "/v1/journeys/x/stop", headers=foreign)
    assert told["type"] == "urn:wend:problem:foreign-page"
    assert "Authorization" not in told["detail"]
    assert client.get("/v1/journeys", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert client.get("/v1/journeys").status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:8025", "http://127.0.0.1.evil.example:8000"]
)
def test_without_a_token_a_foreign_origin_is_enough_to_be_refused(api_on_sqlite: Api, origin: str) -> None:
    """Browsers that are old, and those that do not trust the address, say nothing of sites."""
    for method, path in (("GET", "/v1/journeys"), ("POST", "/v1/profiles")):
        told = api_on_sqlite.problem(403, method, path, headers={"origin": origin})
        assert told["type"] == "urn:wend:problem:foreign-page"


def test_without_a_token_a_page_that_hides_its_origin_changes_nothing(api_on_sqlite: Api) -> None:
    api_on_sqlite.problem(403, "POST", "/v1/profiles", {"external_id": "ada"}, headers={"origin": "null"})
    assert api_on_sqlite.ok("GET", "/v1/profiles", headers={"origin": "null"})["items"] == []


@pytest.mark.parametrize("origin", [LOOPBACK, PUBLIC_URL])
def test_our_own_origins_pass(api_on_sqlite: Api, origin: str) -> None:
    api_on_sqlite.ok("POST", "/v1/profiles", {"external_id": "ada"}, headers={"origin": origin})


PLACES = ["/v1/journeys", "/v1/nothing", "/docs", "/docs/oauth2-redirect", "/openapi.json", "/nothing"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example:8000",
        "localhost.evil.example",
        "evil.example/@localhost",
        "wend.example.evil.example",
        "0.0.0.0:8000",
        "192.168.1.7:8000",
        "[2001:db8::1]:8000",
        "",
    ],
)
def test_without_a_token_a_name_that_was_led_here_is_refused(api_on_sqlite: Api, host: str) -> None:
    """A page that has its own name resolved to 127.0.0.1 is of the same site as the API, to its browser."""
    headers = {"host": host, "sec-fetch-site": "same-origin"}
    for path in PLACES:
        told = api_on_sqlite.problem(403, "GET", path, headers=headers)
        assert told["type"] == "urn:wend:problem:foreign-host"
    assert repr(host) in told["detail"]


def test_a_second_host_does_not_vouch_for_the_first(api_on_sqlite: Api) -> None:
    twice = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert api_on_sqlite.client.get("/v1/journeys", headers=twice).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8000",
        "127.0.0.1",
        "127.8.9.10:1",
        "[::1]",
        "[::1]:8000",
        "wend.example",
        "WEND.example:443",
    ],
)
def test_without_a_token_our_own_names_are_answered(api_on_sqlite: Api, host: str) -> None:
    for path in ("/v1/journeys", "/docs", "/openapi.json"):
        assert api_on_sqlite.client.get(path, headers={"host": host}).status_code == 200


def test_links_and_health_are_public_under_every_name(api_on_sqlite: Api) -> None:
    headers = {"host": "links.evil.example"}
    assert api_on_sqlite.client.get("/healthz", headers=headers).status_code == 200
    assert api_on_sqlite.client.get("/readyz", headers=headers).status_code == 200
    assert api_on_sqlite.client.get("/c/nothing", headers=headers).status_code == 404


def test_with_a_token_the_name_does_not_matter(guarded: ApiParts) -> None:
    headers = {"host": "journeys.internal:8000", "authorization": f"Bearer {TOKEN}"}
    assert make_client(guarded).get("/v1/journeys", headers=headers).status_code == 200


def test_the_token_is_in_no_representation(guarded: ApiParts) -> None:
    assert TOKEN not in repr(guarded)
    assert TOKEN not in repr(create_app(guarded).state.parts)


def test_not_ready_without_the_database(lost_database: Database) -> None:
    client = make_client(make_parts(lost_database))
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_not_ready_without_whatever_else_is_needed(api_on_sqlite: Api) -> None:
    def ready() -> None:
        raise Unavailable("The relay", "its connection is lost")

    response = make_client(replace(api_on_sqlite.parts, ready=ready)).get("/readyz")
    assert response.status_code == 503
    assert "The relay" in response.json()["detail"]
