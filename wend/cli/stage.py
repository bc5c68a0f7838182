"""The processes that a demo consists of."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from wend.child import Child, ChildFailed
from wend.cli.plan import Plan
from wend.cli.ports import LOCAL
from wend.cli.state import StateDirectory
from wend.cli.tally import Delivered
from wend.devserver import DevServer

READY_WITHIN = timedelta(seconds=60)
PAGE = 1000


class Stage:
    """The demo's processes: Temporal, the sink, Wend, the reader. As a context: they run inside the block.

    Args:
        state: The demo's directory, its database migrated.
        plan: What it is.
        ports: Of ``temporal``, ``ui``, ``sink`` and ``smtp``; 0 takes a free one.
    """

    def __init__(self, state: StateDirectory, plan: Plan, ports: Mapping[str, int]) -> None:
        self._state = state
        self._plan = plan
        self._ports = ports
        self._children: dict[str, Child] = {}
        self._sink: dict[str, Any] = {}
        self._stack = ExitStack()
        self._temporal = DevServer(port=ports["temporal"], ui_port=ports["ui"], database=state.temporal_database)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._temporal.stop)
            self._temporal.start()
            stack.callback(self._stop, "sink")
            self._start_sink()
            stack.callback(self._stop, "wend")
            self.start_wend()
            stack.callback(self._stop, "reader")
            self._start("reader", "demo-reader", self.inbox, f"http://{LOCAL}:{self._plan.port}/c/", str(self.followed))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def wend(self) -> Child:
        """The Wend process."""
        return self._children["wend"]

    @property
    def inbox(self) -> str:
        """Where the sink is."""
        return str(self._sink["url"])

    @property
    def temporal_ui(self) -> str | None:
        """Where the Temporal UI is."""
        return self._temporal.ui_url

    @property
    def followed(self) -> Path:
        """Where the reader writes down what it did."""
        return self._state.path / "followed.ndjson"

    def start_wend(self) -> None:
        """Start the Wend process, and return when it is ready.

        Raises:
            ChildFailed: It ended, or was not ready in time.
        """
        options = {
            "dir": self._state.path,
            "port": self._plan.port,
            "temporal": self._temporal.address,
            "smtp-port": self._sink["smtp_port"],
            "sink": self.inbox,
        }
        child = self._start("wend", "demo-wend", *(f"--{name}={value}" for name, value in options.items()))
        (self._state.path / "wend.pid").write_text(f"{child.pid}\n")

        def is_ready() -> bool:
            addresses = self._state.read_addresses()
            return addresses is not None and addresses.pid == child.pid

        _wait(child, is_ready)

    def check(self) -> None:
        """Return if everything beside Wend runs.

        Raises:
            ChildFailed: Something has ended.
        """
        if not self._temporal.is_running():
            raise ChildFailed("The Temporal server", "ended", self._temporal.log)
        for name in ("sink", "reader"):
            if not (child := self._children[name]).is_running():
                raise ChildFailed(child.name, f"ended ({child.returncode})", child.log)

    def stop_reading(self) -> None:
        """Stop the reader; clicks that it is making are made."""
        self._stop("reader")

    def delivered(self) -> list[Delivered]:
        """Return everything that the sink has."""
        found: list[Delivered] = []
        since = 0
        with httpx2.Client(base_url=self.inbox, timeout=30, trust_env=False) as client:
            while True:
                answer = client.get("/api/messages", params={"since": since, "limit": PAGE})
                answer.raise_for_status()
                items = answer.json()["items"]
                found += [Delivered(item["channel"], item["message_id"], item["recipient"]) for item in items]
                if len(items) < PAGE:
                    return found
                since = items[-1]["id"]

    def _start_sink(self) -> None:
        ready = self._state.path / "sink.json"
        ready.unlink(missing_ok=True)
        ports = [f"--port={self._ports['sink']}", f"--smtp-port={self._ports['smtp']}"]
        child = self._start("sink", "sink", *ports, f"--file={self._state.sink_database}", f"--ready={ready}")
        _wait(child, ready.exists)
        self._sink = json.loads(ready.read_text())

    def _start(self, name: str, command: str, *arguments: str) -> Child:
        log = self._state.path / f"{name}.log"
        argv = [sys.executable, "-m", "wend.cli", command, *arguments]
        child = Child(f"The demo's {name} process", argv, log=log, environment=_environment())
        child.start()
        self._children[name] = child
        return child

    def _stop(self, name: str) -> None:
        if name in self._children:
            self._children[name].stop()


def _wait(child: Child, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN.total_seconds()
    while not is_ready():
        if child.wait(timedelta(milliseconds=50)):
            raise ChildFailed(child.name, f"ended at once ({child.returncode})", child.log)
        if time.monotonic() > deadline:
            raise ChildFailed(child.name, f"was not ready after {READY_WITHIN.seconds} seconds", child.log)


def _environment() -> dict[str, str]:
    """Return our environment without what would send the demo to another database or another Temporal."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("WEND_", "TEMPORAL_"))}
