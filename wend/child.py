"""Programs that run beside this process: started in a session of their own, stopped by their process id.

A session of its own keeps the terminal's Ctrl-C away: the parent hears it first, drains, and then stops its
children. ``wend.childexec`` sees to it that they do not outlive a parent that was killed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from wend import childexec
from wend.errors import WendError


class ChildFailed(WendError):
    """A program that belongs to Wend did not start, or ended when it should run."""

    def __init__(self, name: str, detail: str, log: Path | None = None) -> None:
        self.name = name
        self.log = log
        where = f"\nThe end of its log, {log}:\n{tail(log)}" if log else ""
        super().__init__(f"{name} {detail}.{where}")


class Child:
    """One program, from its start to its end.

    Any thread may start it. The kernel ties a child to the *thread* that made it, so a thread is kept for
    each child and lives exactly as long.

    Args:
        name: What a person calls it, for messages.
        argv: The program, by its path, and its arguments.
        log: Where its output is appended; None drops it.
        environment: Its whole environment; None hands on ours.
        user: Ids of another user and group to run as; needs root.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        user: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._environment = environment
        self._user = user or (-1, -1)
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._failure: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ChildFailed: It was not started.
        """
        if self._process is None:
            raise ChildFailed(self.name, "was not started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs."""
        return self._process.returncode if self._process and self._ended.is_set() else None

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and not self._ended.is_set()

    def start(self) -> None:
        """Start the program; returns as soon as it has a process id.

        Raises:
            ChildFailed: The system refused.
        """
        threading.Thread(target=self._keep, name=f"keeps {self.name}", daemon=True).start()
        self._begun.wait()
        if self._failure:
            raise ChildFailed(self.name, f"could not be started: {self._failure}") from self._failure

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Wait for its end; returns whether it has ended."""
        return self._ended.wait(timeout.total_seconds() if timeout is not None else None)

    def stop(self, signal_: int = signal.SIGTERM, patience: timedelta = timedelta(seconds=10)) -> None:
        """End the program: ask with ``signal_``, kill it after ``patience``. Harmless if it has ended."""
        if not self._process or self._ended.is_set():
            return
        self._process.send_signal(signal_)
        if not self.wait(patience):
            self._process.kill()
            self._ended.wait()

    def _keep(self) -> None:
        shim = [sys.executable, "-I", "-S", childexec.__file__, str(os.getpid()), *map(str, self._user)]
        try:
            with open(self.log or os.devnull, "ab") as output:
                self._process = subprocess.Popen(
                    [*shim, *self.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = error
            self._begun.set()
            return
        self._begun.set()
        self._process.wait()
        self._ended.set()


def runs(pid: int, command: Sequence[str]) -> bool:
    """Whether process ``pid`` exists and is that very command, and not another that got the same id later."""
    if sys.platform == "linux":
        try:
            told = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return told == b"".join(os.fsencode(word) + b"\0" for word in command)
    return _ps(pid, "command") == " ".join(command)


def parent_of(pid: int) -> int | None:
    """The process that ``pid`` belongs to now: its starter's, or another's since the starter is gone."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # proc(5): "pid (name) state ppid …", where the name is any text.
        return int(stat.rpartition(")")[2].split()[1])
    told = _ps(pid, "ppid")
    return int(told) if told else None


def stop_stray(pid: int, command: Sequence[str], patience: timedelta = timedelta(seconds=10)) -> bool:
    """End a process that is not our child, if it still is that command; returns whether it is gone."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + patience.total_seconds()
        if runs(pid, command):
            with suppress(ProcessLookupError):
                os.kill(pid, signal_)
        while runs(pid, command) and time.monotonic() < deadline:
            time.sleep(0.02)
    return not runs(pid, command)


def _ps(pid: int, column: str) -> str:
    question = ["ps", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(question, capture_output=True, text=True, check=False).stdout.strip()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, as far as it can be read, under the cause of a panic, if its stack hides that."""
    try:
        text = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"(cannot be read: {error})"
    causes = [line for line in text[:-lines] if line.startswith("panic: ")]
    return "\n".join([*(f"{cause}\n…" for cause in causes[-1:]), *text[-lines:]])
