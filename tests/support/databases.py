"""Migrated databases of a test's own: an SQLite file, or a copy of a template in the private PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from wend.storage.database import Database
from wend.storage.schema import upgrade

_TEMPLATE = "wend_migrated"


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
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def migrated_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a migrated PostgreSQL database of the test's own."""
    url = postgres.create_from(_TEMPLATE, upgrade)
    yield url
    postgres.drop(url)


@pytest.fixture
def postgres_database(migrated_postgres_url: str) -> Iterator[Database]:
    """A migrated PostgreSQL database of the test's own."""
    database = Database(migrated_postgres_url)
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
