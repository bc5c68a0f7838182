"""What a host has for processes: ports that stay free, and the patience for them to come up and down."""

import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from wend.child import tail

LOCAL: Final = "127.0.0.1"


class NotReady(AssertionError):
    """A part did not come up, or down; the end of its log says why."""

    def __init__(self, what: str, log: Path | None = None) -> None:
        super().__init__(what + (f"\nThe end of its log, {log}:\n{tail(log)}" if log else ""))


def wait_until(holds: Callable[[], bool], within: timedelta = timedelta(seconds=10)) -> None:
    """Return when it holds.

    Raises:
        NotReady: It does not, for so long.
    """
    deadline = time.monotonic() + within.total_seconds()
    while not holds():
        if time.monotonic() > deadline:
            raise NotReady("a process that was killed is still there")
        time.sleep(0.01)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, below those that the system gives to connections.

    A part that is down must find its port free when it comes back.
    """
    found: list[int] = []
    while len(found) < count:
        number = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as tried:
            try:
                tried.bind((LOCAL, number))
            except OSError:
                continue
        if number not in found:
            found.append(number)
    return found
