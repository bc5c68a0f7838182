"""Who may ask, and what is public."""

from dataclasses import replace

import pytest

from api.app import create_app
from api.parts import ApiParts
from tests.api.conftest import Api, make_client, make_parts
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
    assert client.post("/v1/journeys/x/stop", headers=foreign).status_code == 401
    assert client.get("/v1/journeys", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert client.get("/v1/journeys").status_code == 200


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
