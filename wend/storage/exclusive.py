"""One writer on an SQLite file: one process by a lock file, one thread at a time in the order they came."""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wend.errors import Conflict, Unavailable


class DatabaseInUse(Conflict):
    """Another process has this SQLite file open for writing."""

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(
            f"The database {str(path)!r} is in use by {owner}. One process at a time can write to an SQLite file: "
            "stop that process, go through its API, or use PostgreSQL."
        )
        self.path = path


class FileLock:
    """The right to write to an SQLite file, held from ``__init__`` to ``release``.

    It is an ``flock`` on ``<file>.lock``: the system gives it back when the process dies, however it dies. The
    lock file stays behind, and says who holds it only while somebody does.

    Raises:
        DatabaseInUse: Somebody else holds it.
        Unavailable: The lock file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Unavailable(f"The database {str(database)!r}", str(error)) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._file, 100, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise DatabaseInUse(database, owner or "another process") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the right back; a second call does nothing."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1


class Turns:
    """A mutual exclusion of threads, first come, first served.

    ``threading.Lock`` lets a thread that releases and asks again overtake those that wait: a fan-out that
    writes in a loop would starve the clicks.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._owner: int | None = None

    @contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """Hold the turn inside the block.

        Raises:
            Unavailable: It was not our turn within ``timeout`` seconds.
            RuntimeError: This thread holds the turn already; waiting for itself would never end.
        """
        self._acquire(timeout)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, timeout: float) -> None:
        with self._guard:
            if self._owner is None:
                self._owner = threading.get_ident()
                return
            if self._owner == threading.get_ident():
                raise RuntimeError("A write transaction was opened inside another one: pass the connection on.")
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        came = mine.acquire(timeout=timeout)
        with self._guard:
            if not came and mine in self._waiting:
                self._waiting.remove(mine)
                raise Unavailable("The database", f"other writers held it for {timeout:g} seconds")
            self._owner = threading.get_ident()  # also where the turn came in the instant after the timeout

    def _release(self) -> None:
        with self._guard:
            if self._waiting:
                self._owner = -1  # handed over: taken, by the thread that is about to wake
                self._waiting.popleft().release()
            else:
                self._owner = None
