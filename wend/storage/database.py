"""The database: transactions, locks, and what the two dialects say differently.

Everything in which SQLite and PostgreSQL connect, lock and fail in their own ways is here. Queries elsewhere are
written once, in SQLAlchemy Core, and take a connection from ``Database.read`` or ``Database.write``.

Locks are taken before what they protect is read, always in the order journey → profile → runs by id. On PostgreSQL
(READ COMMITTED) they are row locks; on SQLite there is one write transaction at a time, so a plain read is one.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from wend.errors import Conflict, InvalidDocument, NotFound, Problem, Unavailable
from wend.storage.exclusive import FileLock, Turns
from wend.storage.tables import journeys, profiles, runs

T = TypeVar("T")

LOCK_TIMEOUT = timedelta(seconds=10)
"""How long a transaction waits for another's lock. Longer than any transaction of one person's, shorter than a caller's
patience: a caller that is told to try again is better off than one that hangs behind an import."""

FROZEN_TIMEOUT = timedelta(seconds=60)
"""When PostgreSQL ends a transaction whose process says nothing: a frozen worker must not hold a person for ever."""

CHUNK = 1_000
"""Values in one ``IN`` list: far below the limits of both databases, large enough that round trips do not count."""

_TRANSIENT_STATES = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "25P03"}
_TRANSIENT_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN}
_DRIVER_ERRORS = (sa.exc.DBAPIError, sa.exc.TimeoutError, psycopg.Error, sqlite3.Error)


class CommitUnknown(Unavailable):
    """The connection was lost while committing: the change was made or it was not."""

    def __init__(self, detail: str) -> None:
        Exception.__init__(
            self,
            f"The connection to the database was lost during a commit: {detail}. "
            "Whether the change was made is not known; ask for it again, with the same ids.",
        )
        self.what = "The database"


class ReadOnly(Conflict):
    """A write was asked of a database that was opened for reading only."""

    def __init__(self) -> None:
        super().__init__("This database was opened for reading only. Nothing was changed.")


class Database:
    """Transactions on one database; every thread may use it.

    Args:
        url: ``sqlite:///path`` (three slashes and a relative path, four and an absolute one) or ``postgresql://…``.
        connections: SQLite: readers beside the one writer. PostgreSQL: all connections.
        lock_timeout: How long a transaction waits for its turn, a row or a free connection.
        read_only: Refuse ``write``; an SQLite file may then be open in another process too.

    Raises:
        DatabaseInUse: Another process holds the SQLite file.
        Unavailable: The SQLite file cannot be opened. (A PostgreSQL server is met at the first transaction.)
        InvalidDocument: The URL names no database that Wend knows.
    """

    dialect: Literal["sqlite", "postgresql"]
    _reader: Engine
    _writer: Engine

    def __init__(
        self,
        url: str,
        *,
        connections: int = 10,
        lock_timeout: timedelta = LOCK_TIMEOUT,
        read_only: bool = False,
    ) -> None:
        parsed = parse_url(url)
        self._patience = lock_timeout.total_seconds()
        self._read_only = read_only
        self._file_lock: FileLock | None = None
        self._turns: Turns | None = None
        if parsed.get_backend_name() == "postgresql":
            self.dialect = "postgresql"
            self._writer = _postgresql_engine(parsed, connections, lock_timeout)
            self._reader = self._writer.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
            return
        self.dialect = "sqlite"
        path = sqlite_path(parsed)
        self._turns = Turns()
        self._writer = _sqlite_engine(path, 1, lock_timeout, writes=True)
        self._reader = _sqlite_engine(path, connections, lock_timeout, writes=False)
        if not read_only:
            self._file_lock = FileLock(path)
            try:
                with self._transaction(self._writer):
                    pass  # makes the file, and its write-ahead log before the first reader comes
            except BaseException:
                self.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that cannot write, and reads one snapshot throughout.

        Raises:
            Unavailable: The database cannot be reached, or was lost on the way.
        """
        with self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block, and is undone by any exception.

        Raises:
            Unavailable: The database cannot be reached, was lost on the way, or chose this transaction as the victim
                of a deadlock or of a lock that did not come free; nothing was changed.
            CommitUnknown: The connection was lost during the commit itself.
            ReadOnly: This database was opened for reading only.
        """
        if self._read_only:
            raise ReadOnly
        turn = self._turns.turn(self._patience) if self._turns else nullcontext()
        with turn, self._transaction(self._writer) as connection:
            yield connection

    def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            Unavailable: There is none.
        """
        with self.read() as connection:
            connection.execute(sa.select(1))

    def close(self) -> None:
        """Close every connection and give the file back; a second call does nothing."""
        self._reader.dispose()
        self._writer.dispose()
        if self._file_lock:
            self._file_lock.release()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        try:
            with engine.connect() as connection:  # leaving it undoes what was not committed
                yield connection
                _commit(connection)
        except _DRIVER_ERRORS as error:
            if is_transient(error):
                raise Unavailable("The database", _detail(error)) from error
            raise


def is_transient(error: BaseException) -> bool:
    """Return whether the same transaction may go through if it is tried again.

    So it is for a lost or refused connection, a lock that did not come free, a deadlock and a serialization failure;
    not for a broken constraint or a wrong statement.
    """
    if isinstance(error, (Unavailable, sa.exc.TimeoutError)):
        return True
    if isinstance(error, sa.exc.DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_transient(error.orig))
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is None:  # said by the client itself: no connection, or none any more
            return isinstance(error, psycopg.OperationalError)
        return state in _TRANSIENT_STATES or state[:2] in ("08", "53")
    if isinstance(error, sqlite3.OperationalError):
        # The primary code is the lowest byte: SQLITE_BUSY_SNAPSHOT and the like count as SQLITE_BUSY.
        return (error.sqlite_errorcode & 0xFF) in _TRANSIENT_CODES
    return False


def parse_url(url: str) -> sa.URL:
    """Return the URL with the driver that Wend uses.

    Raises:
        InvalidDocument: It is no URL of an SQLite file or a PostgreSQL database.
    """
    with suppress(sa.exc.ArgumentError):
        parsed = sa.make_url(url)
        backend = parsed.drivername.partition("+")[0]
        if backend in ("postgresql", "postgres"):
            return parsed.set(drivername="postgresql+psycopg")
        if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
            return parsed.set(drivername="sqlite")
    # The URL itself may hold a password: it is not repeated.
    wanted = "must be sqlite:///FILE or postgresql://USER@HOST/NAME (a database in memory has no second connection)"
    raise InvalidDocument("The database URL", [Problem("", wanted)])


def sqlite_path(url: sa.URL) -> Path:
    """Return the file that an SQLite URL names."""
    return Path(url.database or "").resolve()


# -- locks ------------------------------------------------------------------------------------------------------

# NO KEY UPDATE excludes every other lock of ours, and lets the foreign keys of others' new rows refer to this one.
_JOURNEY = sa.select(*[column for column in journeys.c if column.name != "draft"])
_PROFILE = sa.select(profiles).with_for_update(key_share=True)
_RUN = sa.select(runs).with_for_update(key_share=True)


def lock_journey(connection: Connection, key: str, share: bool = True) -> sa.Row[Any] | None:
    """Return the journey's row without its draft, locked until the transaction ends; None if there is no such journey.

    Claims and advances share the lock; whoever changes the journey's state takes it alone (``share=False``).
    """
    query = _JOURNEY.where(journeys.c.key == key)
    if connection.dialect.name == "postgresql":
        # A row lock alone would let newcomers join those that share it, past whoever waits to have it alone, for as
        # long as they come. Advisory locks are granted in turn; taken by the filter, it comes before the row's lock,
        # which reads the row again if it was changed meanwhile.
        number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)
        turn = sa.func.pg_advisory_xact_lock_shared if share else sa.func.pg_advisory_xact_lock
        query = query.where(turn(sa.cast(number, sa.BigInteger)).is_not(None))
    locking = query.with_for_update(read=True) if share else query.with_for_update(key_share=True)
    return connection.execute(locking).one_or_none()


def hold_journey(connection: Connection, key: str) -> sa.Row[Any]:
    """Return the journey's row as ``lock_journey`` does, locked alone: for whoever changes what it is.

    Raises:
        NotFound: There is no such journey.
    """
    row = lock_journey(connection, key, share=False)
    if row is None:
        raise NotFound("journey", key)
    return row


def lock_profile(connection: Connection, id: UUID) -> sa.Row[Any] | None:
    """Return the profile's row, locked until the transaction ends; None if there is no such profile."""
    return connection.execute(_PROFILE.where(profiles.c.id == id)).one_or_none()


def lock_profiles(connection: Connection, ids: Iterable[UUID]) -> list[sa.Row[Any]]:
    """Return the rows of those profiles that exist, in the order of their ids, locked until the transaction ends."""
    return _lock_all(connection, _PROFILE, profiles.c.id, ids)


def lock_run(connection: Connection, id: UUID) -> sa.Row[Any] | None:
    """Return the run's row, locked until the transaction ends; None if there is no such run."""
    return connection.execute(_RUN.where(runs.c.id == id)).one_or_none()


def lock_runs(connection: Connection, ids: Iterable[UUID]) -> list[sa.Row[Any]]:
    """Return the rows of those runs that exist, in the order of their ids, locked until the transaction ends."""
    return _lock_all(connection, _RUN, runs.c.id, ids)


def skip_locked(query: sa.Select[Any], of: sa.Table | None = None) -> sa.Select[Any]:
    """Return the query such that it locks its rows and passes over those that somebody else has locked.

    Args:
        of: The table whose rows are meant, where the query joins several.
    """
    return query.with_for_update(skip_locked=True, key_share=True, of=of)


def _lock_all(
    connection: Connection, query: sa.Select[Any], column: sa.Column[UUID], ids: Iterable[UUID]
) -> list[sa.Row[Any]]:
    return [
        row
        for some in chunks(sorted(set(ids)))
        for row in connection.execute(query.where(column.in_(some)).order_by(column))
    ]


# -- statements -------------------------------------------------------------------------------------------------


def insert(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """Return the dialect's own INSERT, which has ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_ignoring(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that leaves out every row that a unique index refuses, and still reports other errors."""
    return insert(connection, table).on_conflict_do_nothing()


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Yield the values in order, at most ``size`` at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


# -- engines ----------------------------------------------------------------------------------------------------

# Without it PostgreSQL's ``rowcount`` of an INSERT is -1, and nobody could tell whether a row was left out.
_OPTIONS = {"preserve_rowcount": True}


def _to_json(value: object) -> str:
    # PostgreSQL refuses NaN and SQLite would keep it: refuse it on both.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _postgresql_engine(url: sa.URL, connections: int, lock_timeout: timedelta) -> Engine:
    settings = {
        "timezone": "UTC",
        "lock_timeout": f"{lock_timeout // timedelta(milliseconds=1)}",
        "idle_in_transaction_session_timeout": f"{FROZEN_TIMEOUT // timedelta(milliseconds=1)}",
    }
    options = [f"-c {name}={value}" for name, value in settings.items()]
    if isinstance(given := url.query.get("options"), str):
        options.append(given)
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        connect_args={
            "connect_timeout": 5,
            "application_name": url.query.get("application_name", "wend"),
            "options": " ".join(options),
        },
        pool_size=connections,
        max_overflow=0,
        pool_timeout=lock_timeout.total_seconds(),
        pool_pre_ping=True,  # a restarted server costs the next caller a reconnection, not an error
        hide_parameters=True,  # addresses and attributes stay out of exceptions, and so out of logs
        json_serializer=_to_json,
        execution_options=_OPTIONS,
    )


def _sqlite_engine(path: Path, connections: int, lock_timeout: timedelta, *, writes: bool) -> Engine:
    uri = f"file:{quote(str(path))}?mode={'rwc' if writes else 'rw'}"

    def connect() -> sqlite3.Connection:
        # The driver's own transaction handling is off: it would begin late, and never IMMEDIATE.
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    engine = sa.create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=lock_timeout.total_seconds(),
        hide_parameters=True,
        json_serializer=_to_json,
        execution_options=_OPTIONS,
    )
    pragmas = [f"busy_timeout = {lock_timeout // timedelta(milliseconds=1)}", "foreign_keys = ON"]
    if writes:
        pragmas += ["journal_mode = WAL", "synchronous = FULL", "cache_size = -32768", "temp_store = MEMORY"]
    else:
        pragmas += ["query_only = ON"]

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _commit(connection: Connection) -> None:
    try:
        connection.commit()
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise CommitUnknown(_detail(error)) from error
        raise


def _detail(error: BaseException) -> str:
    """Return the first line of what the driver said: no statement, no values."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0].rstrip(".") if said else type(error).__name__
