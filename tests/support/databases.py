"""Migrated databases of a test's own: an SQLite file, or a copy of a template in the private PostgreSQL."""

import shutil
from collections.abc import Hashable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.util import LRUCache

from tests.support.postgres import PostgresServer
from wend.storage.database import Database
from wend.storage.schema import upgrade

_TEMPLATE = "wend_migrated"

PATIENCE = timedelta(minutes=1)
"""Longer than a slow machine takes: whoever waits for a lock gets it."""


class _CompiledOnce(LRUCache[tuple[Hashable, ...], Any]):
    """Compiled statements of every engine of a kind: an engine compiles its own, and each test has new engines."""

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        return super().__getitem__(_of_a_kind(key))

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(_of_a_kind(key), default)

    def __setitem__(self, key: tuple[Any, ...], value: Any) -> None:
        super().__setitem__(_of_a_kind(key), value)


def _of_a_kind(key: tuple[Any, ...]) -> tuple[Hashable, ...]:
    """The key with the name of the dialect in place of one engine's instance of it."""
    dialect, *statement = key
    return (dialect.name, *statement)


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    compiled = _CompiledOnce(2_000)

    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=compiled)

    sa.event.listen(Engine, "engine_connect", share)
    yield
    sa.event.remove(Engine, "engine_connect", share)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to be copied, never opened."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """The address of a migrated SQLite file of the test's own."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'wend.db')}"


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A migrated SQLite database of the test's own."""
    database = Database(sqlite_url, lock_timeout=PATIENCE)
    yield database
    database.close()


@pytest.fixture
def migrated_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a migrated PostgreSQL database of the test's own."""
    url = postgres.lend(_TEMPLATE, upgrade)
    yield url
    postgres.give_back(_TEMPLATE, url)


@pytest.fixture
def postgres_database(migrated_postgres_url: str) -> Iterator[Database]:
    """A migrated PostgreSQL database of the test's own."""
    database = Database(migrated_postgres_url, lock_timeout=PATIENCE)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated database of the test's own; the test runs once on each kind."""
    name = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}[request.param]
    opened: Database = request.getfixturevalue(name)
    return opened


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without a schema; the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database; the test runs once on each kind and opens it itself."""
    name = {"sqlite": "sqlite_url", "postgresql": "migrated_postgres_url"}[request.param]
    url: str = request.getfixturevalue(name)
    return url
