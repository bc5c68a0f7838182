"""The schema's state: bring it up to date, and refuse to run on one that this code does not know."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from wend.errors import Conflict
from wend.storage.database import Database, parse_url, sqlite_path

_UPGRADE_LOCK = 0x77656E64  # any number, as long as every Wend has the same


class SchemaMismatch(Conflict):
    """The database's schema is not the one that this code was written for."""

    def __init__(self, found: str | None, wanted: str, remedy: str) -> None:
        state = f"has schema {found!r}" if found else "has no schema yet"
        super().__init__(f"The database {state}; this Wend needs {wanted!r}. {remedy}")
        self.found = found
        self.wanted = wanted


def head() -> str:
    """Return the revision that this code was written for."""
    revision = _scripts().get_current_head()
    assert revision, "the package ships its migrations"
    return revision


def current(url: str) -> str | None:
    """Return the revision that the database is at; None where there is none yet.

    Raises:
        Unavailable: The database cannot be reached.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not sqlite_path(parsed).exists():
        return None
    database = Database(url, connections=1, read_only=True)
    try:
        with database.read() as connection:
            return _revision(connection)
    finally:
        database.close()


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to the revision, in one transaction; does nothing where it is there.

    Two processes may do it at once: on PostgreSQL the second one waits and finds nothing left to do.

    Raises:
        DatabaseInUse: A running process holds the SQLite file.
        SchemaMismatch: The database is at a revision that this code does not know.
        Unavailable: The database cannot be reached.
    """
    database = Database(url, connections=1)
    try:
        with database.write() as connection:
            if database.dialect == "postgresql":
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
            _refuse_unknown(_revision(connection))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        database.close()


def check_schema(database: Database) -> None:
    """Refuse to go on with a schema that is not exactly this code's.

    Raises:
        SchemaMismatch: It is older, newer, or not there.
        Unavailable: The database cannot be reached.
    """
    with database.read() as connection:
        found = _revision(connection)
    _refuse_unknown(found)
    if found != head():
        raise SchemaMismatch(found, head(), "Bring it up to date with: wend migrate")


def _refuse_unknown(found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise SchemaMismatch(found, head(), "A newer Wend has migrated it: run that version, or a later one.")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    # Everything alembic wants to know is given here: no alembic.ini is looked for, wherever the process runs.
    config = Config()
    config.set_main_option("script_location", str(files("wend.storage") / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
