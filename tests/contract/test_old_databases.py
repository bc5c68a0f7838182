"""Databases of earlier releases, with what those left in them: refused before the migration, whole after it."""

import pytest
import sqlalchemy as sa

from tests.support.old_databases import OLD_DATABASES, comparable, load, stored
from wend.cli import run
from wend.storage.database import Database
from wend.storage.schema import SchemaMismatch, check_schema, current, head, upgrade


@pytest.mark.parametrize("revision", OLD_DATABASES)
def test_an_old_database_is_refused_until_it_is_migrated_and_then_has_every_row(revision: str, empty_url: str) -> None:
    rows = load(empty_url, revision)
    assert {"profiles", "journeys", "runs", "sent_messages", "outbox", "entries"} <= rows.keys()
    database = Database(empty_url)
    try:
        with pytest.raises(SchemaMismatch, match=rf"has schema '{revision}'; this Wend needs '{head()}'.*wend migrate"):
            check_schema(database)
    finally:
        database.close()
    upgrade(empty_url)
    database = Database(empty_url)
    try:
        check_schema(database)
        assert comparable(stored(database, rows)) == comparable(rows)
    finally:
        database.close()


def test_every_schema_that_is_left_behind_has_a_recording() -> None:
    assert [f"{number:04}" for number in range(1, int(head()))] == OLD_DATABASES


def test_a_worker_refuses_a_schema_that_is_older_or_newer_and_says_what_to_do(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a supervisor meets it: an exit status and words. It gets as far as the schema without a Temporal server."""
    monkeypatch.setenv("WEND_DATABASE_URL", postgres_url)
    monkeypatch.setenv("WEND_TOKEN_KEYS", f"1:{'00' * 32}")

    def wend(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["wend", *words])
        status = run()
        printed = capsys.readouterr()
        return status, " ".join((printed.out + printed.err).split())

    oldest = OLD_DATABASES[0]
    load(postgres_url, oldest)
    for process in ("worker", "relay", "api"):
        older = f"error: The database has schema '{oldest}'; this Wend needs '{head()}'."
        assert wend(process, "--patience", "0") == (1, f"{older} Bring it up to date with: wend migrate")
    assert wend("migrate") == (0, f"The database went from {oldest} to {head()}")

    database = Database(postgres_url)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    newer = f"error: The database has schema '9999'; this Wend needs '{head()}'. A newer Wend has migrated it: run that"
    for process in ("worker", "relay", "api", "migrate"):
        status, said = wend(process, "--patience", "0")
        assert (status, said) == (1, f"{newer} version, or a later one.")
    assert current(postgres_url) == "9999"
