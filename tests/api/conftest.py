"""The API in process, over a small world whose time stands still."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.parts import ApiParts
from tests.support.apis import make_app
from tests.support.world import KEYS, T0, World
from wend.storage.database import Database

PUBLIC_URL = "https://wend.example"
LOOPBACK = "http://127.0.0.1:8000"
PERSON = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


@dataclass(frozen=True)
class Api:
    """The API, and the world behind it."""

    world: World
    parts: ApiParts
    client: TestClient

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Return the JSON of an answer that must be good."""
        given = {} if body is None else {"json": body}
        response = self.client.request(method, path, **given, **more)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def problem(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Return the problem document of an answer that must have this status."""
        given = {} if body is None else {"json": body}
        response = self.client.request(method, path, **given, **more)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = response.json()
        assert problem["status"] == status
        assert problem["instance"] == path.partition("?")[0]
        assert problem["type"].startswith("urn:wend:problem:")
        assert problem["title"]
        assert problem["detail"]
        return problem

    def problems(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, str]:
        """Return what is wrong with a document that must be refused: path → message."""
        told = self.problem(422, method, path, body, **more)["problems"]
        return {problem["path"]: problem["message"] for problem in told}


def make_parts(database: Database, clock: Callable[[], datetime] = lambda: T0, **more: Any) -> ApiParts:
    """Return the parts of an API, with other ones than usual if they are given."""
    options: Mapping[str, Any] = {"keys": KEYS, "clock": clock, "public_url": PUBLIC_URL, **more}
    return ApiParts(database, **options)


def make_client(parts: ApiParts) -> TestClient:
    """Return a client of the API made of these parts."""
    return TestClient(make_app(parts), LOOPBACK, raise_server_exceptions=False, follow_redirects=False)


def make_api(database: Database, **more: Any) -> Api:
    """Return the API over a world in the database."""
    world = World(database)
    parts = make_parts(database, world.time, **more)
    return Api(world, parts, make_client(parts))


@pytest.fixture
def api(database: Database) -> Api:
    """The API on each kind of database."""
    return make_api(database)


@pytest.fixture
def api_on_sqlite(sqlite_database: Database) -> Api:
    """The API, for what no database has a say in."""
    return make_api(sqlite_database)


@pytest.fixture
def lost_database() -> Iterator[Database]:
    """A database that nobody reaches."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    yield database
    database.close()
