"""The state directory of a Wend that runs on one machine: what is kept, where, and who may read it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from wend.errors import Conflict, NotFound

_KEYS = "WEND_TOKEN_KEYS="


class AlreadyRunning(Conflict):
    """Another process runs Wend on this state directory."""

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(
            f"Wend runs already on {str(path)!r}, as process {owner}. "
            "Stop that one, or choose another state directory with --dir."
        )
        self.path = path


class UnusableDirectory(Conflict):
    """The state directory cannot be made or written to."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = "it is no directory" if isinstance(error, FileExistsError) else error.strerror
        super().__init__(f"{str(path)!r} cannot be the state directory: {reason}. Choose another one with --dir.")
        self.path = path


@dataclass(frozen=True)
class Addresses:
    """Where a running Wend is; no address ends in a slash."""

    pid: int
    api: str
    temporal: str
    temporal_ui: str | None
    inbox: str | None

    @classmethod
    def here(cls, api: str, temporal: str, temporal_ui: str | None, inbox: str | None) -> Self:
        """Return the addresses of this very process."""
        return cls(os.getpid(), api, temporal, temporal_ui, inbox)

    def workflow_url(self, workflow_id: str) -> str | None:
        """Return a workflow's address in the Temporal UI; ``None`` where there is no UI."""
        if self.temporal_ui is None:
            return None
        return f"{self.temporal_ui}/namespaces/default/workflows/{quote(workflow_id, safe='')}"


class StateDirectory:
    """One directory that holds everything; made for its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))

    @property
    def database_url(self) -> str:
        """Wend's own database."""
        from sqlalchemy import URL

        return URL.create("sqlite", database=str(self.path / "wend.db")).render_as_string()

    @property
    def temporal_database(self) -> Path:
        """Temporal's."""
        return self.path / "temporal.db"

    @property
    def sink_database(self) -> Path:
        """The sink's."""
        return self.path / "sink.db"

    @property
    def log(self) -> Path:
        """What the process has to say."""
        return self.path / "wend.log"

    @property
    def addresses(self) -> Path:
        """Where the running process says where it is."""
        return self.path / "running.json"

    def make(self) -> Self:
        """Make the directory if it is not there; one that is there keeps its permissions.

        Raises:
            UnusableDirectory: It cannot be made, or something else has its name.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UnusableDirectory(self.path, error) from error
        return self

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory inside the block; the system gives it back however the process ends.

        Raises:
            AlreadyRunning: Another process holds it.
            UnusableDirectory: Nothing can be written there.
        """
        try:
            file = os.open(self.path / "running.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnusableDirectory(self.path, error) from error
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(file, 100, 0).decode(errors="replace").strip()
                raise AlreadyRunning(self.path, owner or "unknown") from None
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(file)

    def token_keys(self) -> str:
        """Return the secrets of link tokens as ``WEND_TOKEN_KEYS`` takes them, made at the first call.

        They stay as long as the directory does: links in mails that were sent must go on working.
        """
        path = self.path / "secrets.env"
        if not path.exists():
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as written:
                written.write(f"{_KEYS}1:{secrets.token_hex(32)}\n")
            fresh.replace(path)
        for line in path.read_text().splitlines():
            if line.startswith(_KEYS):
                return line.removeprefix(_KEYS).strip()
        raise NotFound("line", _KEYS, f"It belongs into {path}; remove the file to have one made.")

    def announce(self, addresses: Addresses) -> None:
        """Write down where the running process is."""
        write_json(self.addresses, asdict(addresses))

    def withdraw(self) -> None:
        """Take the addresses back."""
        self.addresses.unlink(missing_ok=True)

    def read_addresses(self) -> Addresses | None:
        """Return where the process is that runs on this directory, or ran and was killed; None if nobody says."""
        try:
            return Addresses(**json.loads(self.addresses.read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None


def write_json(path: Path, value: Any) -> None:
    """Write a file that others read: they see the old one or the new one, never half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=2) + "\n")
    fresh.replace(path)
