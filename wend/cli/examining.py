"""The checks of ``wend doctor``: each looks at one thing, changes nothing, and answers within seconds."""

import asyncio
import os
import platform
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import httpx2
import sqlalchemy as sa
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.envconfig import ClientConfig

from wend import temporal
from wend.cli.listeners import listener_on
from wend.cli.output import say_length
from wend.cli.ports import LOCAL, listen
from wend.cli.processes import read_settings
from wend.cli.session import DEFAULT_URL
from wend.cli.state import Addresses, StateDirectory
from wend.devserver import find_executable
from wend.errors import InvalidDocument, WendError
from wend.settings import Settings, is_loopback
from wend.storage import schema
from wend.storage.database import parse_url, sqlite_path

Level = Literal["ok", "warning", "problem"]

ANSWERS_WITHIN: Final = 3.0
"""Seconds that anything we ask may take."""

GIVEN_UP_AFTER: Final = 8.0
"""Seconds after which a check has no answer, whatever it hangs in: a name that does not resolve, say."""

OLDEST_SQLITE: Final = (3, 38, 0)
"""Statements of ours need RETURNING and today's JSON functions."""

SQLITE_WITH_SAFE_LOG: Final = (3, 51, 3)
"""Before it, a write-ahead log that several processes write to can, rarely, be reset wrongly."""

MOST_SKEW: Final = timedelta(seconds=1)

START: Final = "Start Wend with: make up"

PORTS: Final[Mapping[int, tuple[str, str]]] = {
    8000: ("the API", "--port"),
    7233: ("Temporal", "--temporal-port"),
    8233: ("the Temporal UI", "--ui-port"),
    8025: ("the sink's inbox", "--sink-port"),
    1025: ("the sink's mail", "--smtp-port"),
}
"""What `wend up` listens on, and the option that moves it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``remedy`` where there is something to do."""

    check: str
    level: Level
    message: str
    remedy: str | None = None


@dataclass(frozen=True)
class Machine:
    """What is examined.

    Attributes:
        settings: As Wend's processes would read them; ``None`` where they would refuse to.
        state: The state directory of ``wend up``.
        running: Where the Wend on that directory says that it is.
        environment: Variables.
    """

    settings: Settings | None
    state: StateDirectory
    running: Addresses | None
    environment: Mapping[str, str]


Check = Callable[[Machine], list[Finding]]


def examine(directory: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Return what every check found, in a fixed order."""
    state = StateDirectory(directory)
    findings: list[Finding] = []
    settings: Settings | None = None
    try:
        settings = read_settings()
    except InvalidDocument as error:
        remedy = "Settings come from WEND_… in the environment, and from .env here."
        findings = [Finding("settings", "problem", str(each), remedy) for each in error.problems]
    machine = Machine(settings, state, _read_addresses(state), environment)
    return findings + _side_by_side(machine, CHECKS)


def _read_addresses(state: StateDirectory) -> Addresses | None:
    try:
        return state.read_addresses()
    except (OSError, TypeError, ValueError):
        return None  # the state directory has a check of its own


def _side_by_side(machine: Machine, checks: Mapping[str, Check]) -> list[Finding]:
    """Run the checks at once; one that hangs is left behind, and one that breaks says so."""
    answers: dict[str, list[Finding]] = {}

    def run(name: str, check: Check) -> None:
        try:
            answers[name] = check(machine)
        except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, and the others go on
            answers[name] = [Finding(name, "problem", f"cannot be examined: {type(error).__name__}: {error}")]

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in checks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + GIVEN_UP_AFTER
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    hung = f"no answer within {GIVEN_UP_AFTER:.0f} seconds"
    return [each for name in checks for each in answers.get(name, [Finding(name, "problem", hung)])]


# -- programs and settings --------------------------------------------------------------------------------------


def _python(_: Machine) -> list[Finding]:
    try:
        version = f"Wend {metadata.version('wend')}"
    except metadata.PackageNotFoundError:
        version = "a Wend that is not installed but run from its directory"
    return [Finding("python", "ok", f"Python {platform.python_version()}, {version}")]


def _sqlite(machine: Machine) -> list[Finding]:
    version = sqlite3.sqlite_version
    used = machine.settings is None or machine.settings.database_url.startswith("sqlite")
    if not used:
        return [Finding("sqlite", "ok", f"SQLite {version}; not used, the database is another")]
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        remedy = "Use a Python with a newer one, or PostgreSQL: WEND_DATABASE_URL=postgresql://USER@HOST/NAME"
        return [Finding("sqlite", "problem", f"SQLite {version} is older than {oldest}", remedy)]
    if sqlite3.sqlite_version_info < SQLITE_WITH_SAFE_LOG:
        said = (
            f"SQLite {version} is older than 3.51.3: one process alone may write. `wend up` is one and locks the file;"
            " API, worker and relay as processes of their own want PostgreSQL"
        )
        return [Finding("sqlite", "ok", said)]
    return [Finding("sqlite", "ok", f"SQLite {version}")]


def _temporal_program(machine: Machine) -> list[Finding]:
    name = "temporal program"
    try:
        program = find_executable()
        command = [str(program), "--version"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=True).stdout
    except (WendError, OSError, subprocess.SubprocessError) as error:
        needed = not machine.environment.get("TEMPORAL_ADDRESS")
        said = f"there is no Temporal dev server here: {error}"
        return [Finding(name, "problem" if needed else "ok", said, "make setup" if needed else None)]
    return [Finding(name, "ok", f"{told.strip().splitlines()[0]}: {program}")]


def _keys(machine: Machine) -> list[Finding]:
    if machine.settings is None:
        return []
    return [_link_keys(machine.settings, machine.state), _api_key(machine.settings)]


def _link_keys(settings: Settings, state: StateDirectory) -> Finding:
    make = "Make one: export WEND_TOKEN_KEYS=1:$(openssl rand -hex 32)"
    if settings.token_keys is not None:
        try:
            settings.keys()
        except (WendError, ValueError) as error:
            return Finding("link keys", "problem", f"WEND_TOKEN_KEYS: {error}", make)
        return Finding("link keys", "ok", "WEND_TOKEN_KEYS is set")
    if (kept := state.path / "secrets.env").exists():
        return Finding("link keys", "ok", f"`wend up` keeps its own in {kept}")
    said = "WEND_TOKEN_KEYS is not set: `wend up` makes its own, processes started apart need it"
    return Finding("link keys", "warning", said, make)


def _api_key(settings: Settings) -> Finding:
    if settings.api_token is not None:
        return Finding("api key", "ok", "WEND_API_TOKEN is set")
    assert is_loopback(settings.host), "settings refuse an open door without a key"
    return Finding("api key", "ok", f"WEND_API_TOKEN is not set, and not needed: the API listens on {settings.host}")


# -- what is kept -----------------------------------------------------------------------------------------------


def _state_directory(machine: Machine) -> list[Finding]:
    name, path = "state directory", machine.state.path
    if not path.exists():
        return [Finding(name, "ok", f"{path} is not there yet; `wend up` makes it")]
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"Give it to this user: chown -R $USER {path}. Or choose another: wend up --dir"
        return [Finding(name, "problem", f"{path} is no directory that this user can write to", remedy)]
    secrets = path / "secrets.env"
    open_to_others = [each for each in (path, secrets) if each.exists() and each.stat().st_mode & 0o077]
    if not open_to_others:
        return [Finding(name, "ok", f"{path}, for its owner alone")]
    said = "others on this machine may read people's data and the keys of links in"
    return [Finding(name, "warning", f"{said} {each}", f"chmod go-rwx {each}") for each in open_to_others]


def _database(machine: Machine) -> list[Finding]:
    if machine.settings is None:
        return []
    name, url = "database", machine.settings.database_url
    if "database_url" not in machine.settings.model_fields_set:
        url = machine.state.database_url  # nobody named one: that of the directory which is asked about
    try:
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            where = str(sqlite_path(parsed))
            if not sqlite_path(parsed).exists():
                return [Finding(name, "warning", f"{where} is not there yet", f"{START}, which makes it.")]
        else:
            where = parsed.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
            _reach(parsed.host, parsed.port or 5432)
        found, wanted = schema.current(url), schema.head()
    except (WendError, OSError, sa.exc.SQLAlchemyError) as error:
        return [Finding(name, "problem", f"cannot be read: {error}", "Is it up, and is WEND_DATABASE_URL right?")]
    if found == wanted:
        return [Finding(name, "ok", f"{where}: its schema is current ({found})")]
    said = f"has schema {found}, and this Wend needs {wanted}" if found else "has no schema yet"
    return [Finding(name, "problem", f"{where} {said}", "Bring it up to date with: wend migrate")]


def _reach(host: str | None, port: int) -> None:
    """Return if something listens there: drivers take far longer to give up.

    Raises:
        OSError: Nothing does.
    """
    if host and not host.startswith("/"):
        socket.create_connection((host, port), timeout=ANSWERS_WITHIN).close()


# -- what runs --------------------------------------------------------------------------------------------------


def _temporal(machine: Machine) -> list[Finding]:
    name = "temporal"
    config = ClientConfig.load_client_connect_config(override_env_vars=dict(machine.environment))
    told = config.get("target_host")
    target = told or (machine.running.temporal if machine.running else None) or "127.0.0.1:7233"
    host, _, port = target.rpartition(":")
    try:
        _reach(host.strip("[]"), int(port))
        missing = asyncio.run(asyncio.wait_for(_missing_attributes(target), ANSWERS_WITHIN))
    except (WendError, OSError, TimeoutError) as error:
        remedy = "Is it up, and is TEMPORAL_ADDRESS right?" if told else START
        said = f"nothing answers at {target} ({str(error) or 'it takes too long'})"
        return [Finding(name, "problem" if told else "warning", said, remedy)]
    if missing:
        said = f"{target} answers, but lacks the search attributes {', '.join(missing)}"
        return [Finding(name, "problem", said, "They are registered when Wend starts: make up, or wend worker")]
    return [Finding(name, "ok", f"{target} answers, and has Wend's search attributes")]


async def _missing_attributes(target: str) -> list[str]:
    client = await temporal.connect(target)
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = await client.operator_service.list_search_attributes(request)
    return [each for each in temporal.SEARCH_ATTRIBUTES if each not in known.custom_attributes]


def _api(machine: Machine) -> list[Finding]:
    told = machine.environment.get("WEND_API_URL")
    url = (told or (machine.running.api if machine.running else None) or DEFAULT_URL).rstrip("/")
    ask = partial(httpx2.get, timeout=ANSWERS_WITHIN, trust_env=bool(told), verify=url.startswith("https:"))
    try:
        asked_at = datetime.now(UTC)
        ready = ask(f"{url}/readyz")
        answered_at = datetime.now(UTC)
        token = machine.environment.get("WEND_API_TOKEN")
        known = ask(f"{url}/v1/journeys?limit=1", headers={"Authorization": f"Bearer {token}"} if token else {})
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        said = f"nothing answers at {url} ({error})"
        remedy = f"{START}. Or is WEND_API_URL right?" if told else START
        return [Finding("api", "problem" if told else "warning", said, remedy)]
    return [_api_state(url, ready, known), *_clock(ready.headers.get("date"), asked_at, answered_at)]


def _api_state(url: str, ready: httpx2.Response, known: httpx2.Response) -> Finding:
    if known.status_code == 401:
        return Finding("api", "problem", f"{url} does not take our key", "Set WEND_API_TOKEN to the API's own.")
    if ready.status_code == 503:
        return Finding("api", "problem", f"{url} is not ready: {_detail(ready)}", "Its log says more.")
    if not (ready.is_success and known.is_success):
        said = f"{url} answers {ready.status_code}, but not as Wend's API does"
        return Finding("api", "problem", said, "Say where it is: WEND_API_URL")
    return Finding("api", "ok", f"{url} is ready")


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def clock_skew(date: datetime, asked_at: datetime, answered_at: datetime) -> timedelta:
    """Return by how much two clocks differ at least; zero where they may agree.

    Args:
        date: What the other clock showed between the next two, by a header that counts whole seconds.
        asked_at: By our clock.
        answered_at: By our clock.
    """
    latest = date + timedelta(seconds=2)  # the second that it counts, and one for which servers keep the header
    return max(date - answered_at, asked_at - latest, timedelta(0))


def _clock(date: str | None, asked_at: datetime, answered_at: datetime) -> list[Finding]:
    if date is None:
        return []
    skew = clock_skew(parsedate_to_datetime(date), asked_at, answered_at)
    if skew <= MOST_SKEW:
        return [Finding("clock", "ok", "agrees with the API's")]
    said = f"differs from the API's by at least {say_length(skew)}"
    return [Finding("clock", "warning", said, "Keep both by a time service (NTP): stamps of events come from it.")]


def _ports(_: Machine) -> list[Finding]:
    return [look_at_port(port, what, option) for port, (what, option) in PORTS.items()]


def look_at_port(port: int, what: str, option: str) -> Finding:
    """Return whether a port is free, or who has it.

    Args:
        port: Its number.
        what: What it is for.
        option: Of ``wend up``: moves it.
    """
    name = f"port {port}"
    try:
        listen(LOCAL, port).close()
    except OSError as error:
        return _taken(name, port, f"{what}: wend up {option}", str(error.strerror))
    return Finding(name, "ok", f"free, for {what}")


def _taken(name: str, port: int, move: str, reason: str) -> Finding:
    holder = listener_on(port)
    if holder is None:
        said = f"cannot be had ({reason}); this user may not see who has it"
        return Finding(name, "warning", said, f"Choose another port for {move}")
    said = f"taken by process {holder.pid} ({holder.program})"
    if is_ours(holder.command):
        return Finding(name, "ok", f"{said}, which is Wend's")
    return Finding(name, "warning", said, f"Stop it, or choose another port for {move}")


def is_ours(command: str) -> bool:
    """Return whether a process runs Wend, or the Temporal server that comes with it."""
    # An interpreter, perhaps an option of its, and then what it runs.
    names = {Path(word).name for word in command.split()[:3]}
    return bool(names & {"wend", "wend.cli", "temporal"})


CHECKS: Final[Mapping[str, Check]] = {
    "python": _python,
    "sqlite": _sqlite,
    "temporal program": _temporal_program,
    "keys": _keys,
    "state directory": _state_directory,
    "database": _database,
    "temporal": _temporal,
    "api": _api,
    "ports": _ports,
}
