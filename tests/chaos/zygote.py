"""A process that has imported everything and does nothing but fork: a Wend process then starts in milliseconds.

It has one thread and has never touched Temporal's runtime, so a child may go any way. Its children end when it does,
and it ends when the ring does, whatever ended that: see ``wend.child``. A child is known by its process id and
signalled by its parent alone, which knows whether the id is still that child's.
"""

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.worker._worker import load_default_build_id

from tests.chaos.life import Order
from wend.child import Child, ChildFailed

ROOT = Path(__file__).parents[2]
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


_EVERYTHING = (
    *("worker", "wend.cli.serving", "wend.cli.local", "wend.cli.processes", "wend.sink", "wend.storage.schema"),
    *("tests.chaos.process", "psycopg", "aiosmtplib", "uvicorn.protocols.http.auto"),
)


class Forked:
    """A child of the zygote."""

    def __init__(self, zygote: "Zygote", pid: int) -> None:
        self._zygote = zygote
        self.pid = pid
        self.ended = threading.Event()
        self.status: int | None = None
        """How it ended (negative: by that signal); None while it runs."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; harmless if it has ended."""
        self._zygote.ask({"signal": int(number), "pid": self.pid})

    def wait(self, within: timedelta) -> bool:
        """Wait for its end; returns whether it has ended."""
        return self.ended.wait(within.total_seconds())

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.is_set()


class Zygote:
    """The ring's side of it: started once, asked for children.

    Args:
        log: Where it writes what goes wrong.
    """

    def __init__(self, log: Path) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="wend-zygote-")
        self._path = Path(self._directory.name) / "socket"
        argv = [sys.executable, "-m", "tests.chaos.zygote", str(self._path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._child = Child("The zygote", argv, log=log, environment=environment)
        self._children: dict[int, Forked] = {}
        self._answers: list[dict[str, Any]] = []
        self._answered = threading.Condition()
        self._asking = threading.Lock()

    def start(self) -> None:
        """Start it, and return when it has imported everything: two seconds.

        Raises:
            ChildFailed: It ended instead.
        """
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen(1)
        self._child.start()
        listener.settimeout(0.2)
        while True:
            try:
                self._socket = listener.accept()[0]
                break
            except TimeoutError:
                if not self._child.is_running():
                    raise ChildFailed("The zygote", "ended at once", self._child.log) from None
        listener.close()
        threading.Thread(target=self._listen, name="listens to the zygote", daemon=True).start()

    def fork(self, order: Order) -> Forked:
        """Have a child forked."""
        return self._children[self.ask({"order": order.model_dump(mode="json")})["pid"]]

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the zygote's answer.

        Raises:
            ChildFailed: It has ended.
        """
        with self._asking:
            self._socket.sendall(json.dumps(question).encode() + b"\n")
            with self._answered:
                while not self._answers:
                    if not self._answered.wait(10) and not self._child.is_running():
                        raise ChildFailed("The zygote", "ended", self._child.log)
                return self._answers.pop(0)

    def stop(self) -> None:
        """End it, and every child with it."""
        for each in list(self._children.values()):
            if each.is_running:
                each.signal(signal.SIGKILL)
        for each in list(self._children.values()):
            each.wait(timedelta(seconds=60))
        self._child.stop()
        self._socket.close()
        self._directory.cleanup()

    def _listen(self) -> None:
        with suppress(OSError), self._socket.makefile("r") as lines:
            for line in lines:
                told = json.loads(line)
                with self._answered:
                    if "ended" in told:
                        child = self._children[told["ended"]]  # its beginning was told before
                        child.status = told["status"]
                        child.ended.set()
                    else:
                        if "pid" in told:
                            self._children[told["pid"]] = Forked(self, told["pid"])
                        self._answers.append(told)
                        self._answered.notify_all()


def main(path: str) -> None:
    """Import everything, then fork when asked, until the ring goes away."""
    _import_everything()
    assert len(os.listdir("/proc/self/task")) == 1, "a thread was started by an import: children would lack it"
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    chosen = selectors.DefaultSelector()
    chosen.register(connection, selectors.EVENT_READ)
    chosen.register(reading, selectors.EVENT_READ)
    alive: set[int] = set()
    heard = b""
    while True:
        for key, _ in chosen.select():
            if key.fileobj == reading:
                os.read(reading, 4096)
                _reap(connection, alive)
                continue
            if not (some := connection.recv(65536)):
                return
            *lines, heard = (heard + some).split(b"\n")
            for line in lines:
                _answer(connection, json.loads(line), alive)


def _answer(connection: socket.socket, asked: dict[str, Any], alive: set[int]) -> None:
    if "order" in asked:
        pid = _fork(connection, Order.model_validate(asked["order"]))
        alive.add(pid)
        connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        return
    if asked["pid"] in alive:  # not reaped: the id is still that child's
        os.kill(asked["pid"], asked["signal"])
    connection.sendall(b"{}\n")


def _reap(connection: socket.socket, alive: set[int]) -> None:
    while alive:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        alive.discard(pid)
        told = {"ended": pid, "status": os.waitstatus_to_exitcode(status)}
        connection.sendall(json.dumps(told).encode() + b"\n")


def _fork(connection: socket.socket, order: Order) -> int:
    parent = os.getpid()
    if pid := os.fork():
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.close()
        os.chdir(order.log.parent)
        log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        from tests.chaos import process

        process.run(order)
        status = 0
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _import_everything() -> None:
    for name in _EVERYTHING:
        importlib.import_module(name)
    load_default_build_id()  # reads the code of every module there is, once: children know the answer
    gc.freeze()


if __name__ == "__main__":
    main(sys.argv[1])
