"""The migrations give exactly the schema of tables.py, once, whoever runs them."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.support.postgres import PostgresServer
from wend.storage.database import Database
from wend.storage.exclusive import DatabaseInUse
from wend.storage.schema import SchemaMismatch, check_schema, current, head, upgrade
from wend.storage.tables import metadata


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def shape(connection: sa.Connection) -> list[tuple[object, ...]]:
    """Everything that the database itself says about the schema, in its own words."""
    if connection.dialect.name == "sqlite":
        return sorted(_sqlite_shape(connection), key=repr)
    queries = [
        "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity FROM"
        " information_schema.columns WHERE table_schema = 'public'",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
    ]
    found: list[tuple[object, ...]] = [tuple(row) for query in queries for row in connection.exec_driver_sql(query)]
    return sorted((row for row in found if row[0] != "alembic_version"), key=repr)


def _sqlite_shape(connection: sa.Connection) -> Iterator[tuple[object, ...]]:
    """Columns without their order: one that was added later stands last in a table that was altered."""
    named = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT IN ('alembic_version')"
    for table, _ in connection.exec_driver_sql(named).all():
        for _, *column in connection.exec_driver_sql(f"PRAGMA table_info({table})").all():
            yield (table, "column", *column)
        for _, _, *key in connection.exec_driver_sql(f"PRAGMA foreign_key_list({table})").all():
            yield (table, "foreign key", *key)
        for _, index, unique, origin, partial in connection.exec_driver_sql(f"PRAGMA index_list({table})").all():
            columns = tuple(row[2] for row in connection.exec_driver_sql(f"PRAGMA index_info({index})").all())
            yield (table, "index", unique, origin, partial, columns)
    for name, table, sql in connection.exec_driver_sql("SELECT name, tbl_name, sql FROM sqlite_master").all():
        if sql is not None and "INDEX" in sql.split("(")[0]:
            yield (table, name, sql)


def test_migrating_gives_what_the_tables_say(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_gives_what_creating_the_tables_gives(empty_url: str) -> None:
    """The comparison above does not see the conditions of partial indexes; this one sees everything."""
    with opened(empty_url) as database, database.write() as connection:
        metadata.create_all(connection)
        created = shape(connection)
        metadata.drop_all(connection)
    upgrade(empty_url)
    with opened(empty_url) as database, database.read() as connection:
        migrated = shape(connection)
    assert migrated == created
    assert any("uq_runs_open" in row for row in migrated)


def test_an_empty_database_is_brought_to_the_head_and_left_there(empty_url: str) -> None:
    assert current(empty_url) is None
    upgrade(empty_url)
    assert current(empty_url) == head()
    upgrade(empty_url)
    with opened(empty_url) as database:
        check_schema(database)


def test_asking_for_the_state_makes_no_file(tmp_path: Path) -> None:
    assert current(f"sqlite:///{tmp_path}/none.db") is None
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_a_schema_is_refused_with_the_remedy(empty_url: str) -> None:
    with opened(empty_url) as database, pytest.raises(SchemaMismatch, match=r"has no schema yet.*wend migrate"):
        check_schema(database)


def test_a_schema_of_a_newer_version_is_refused_and_not_touched(database_url: str) -> None:
    with opened(database_url) as database:
        with database.write() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(SchemaMismatch, match=rf"'9999'; this Wend needs '{head()}'. A newer Wend"):
            check_schema(database)
    with pytest.raises(SchemaMismatch):
        upgrade(database_url)
    assert current(database_url) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    with opened(empty_url) as database, database.write() as connection:
        connection.execute(sa.text("CREATE TABLE outbox (id integer)"))
    with pytest.raises(sa.exc.DBAPIError, match="already exists"):
        upgrade(empty_url)
    assert current(empty_url) is None
    with opened(empty_url) as database, database.read() as connection:
        assert sa.inspect(connection).get_table_names() == ["outbox"]


def test_six_upgrades_at_once_are_one(postgres_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(upgrade, [postgres_url] * 6))
    assert current(postgres_url) == head()


def test_a_file_in_use_is_not_migrated(sqlite_url: str, sqlite_database: Database) -> None:
    with pytest.raises(DatabaseInUse):
        upgrade(sqlite_url)
    assert current(sqlite_url) == head()


def test_no_configuration_file_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = /nowhere\n")
    monkeypatch.chdir(tmp_path)
    upgrade("sqlite:///here.db")
    assert current("sqlite:///here.db") == head()
    assert "here.db" in os.listdir()
