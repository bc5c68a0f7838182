"""What a host has for processes: ports that stay free, and the patience for them to come up and down."""

import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.support.ports import not_handed_out
from wend.child import tail

LOCAL: Final = "127.0.0.1"


class NotReady(AssertionError):
    """A part did not come up, or down; the end of its log says why."""

    def __init__(self, what: str, log: Path | None = None) -> None:
        super().__init__(what + (f"\nThe end of its log, {log}:\n{tail(log)}" if log else ""))


def wait_until(holds: Callable[[], bool], within: timedelta = timedelta(seconds=60)) -> None:
    """Return when it holds.

    Raises:
        NotReady: It does not, for so long.
    """
    deadline = time.monotonic() + within.total_seconds()
    while not holds():
        if time.monotonic() > deadline:
            raise NotReady("a process that was killed is still there")
        time.sleep(0.01)


class Ports:
    """Ports that are this process's alone until ``close``, whether or not anybody listens on them.

    A part that is down must find its port free when it comes back. They lie outside of the range from which the system
    gives ports to connections, and whoever else takes theirs from here sees that these are taken.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._claims: list[socket.socket] = []
        self.numbers: list[int] = []
        while len(self.numbers) < count:
            self._take(secrets.choice(not_handed_out()))

    def close(self) -> None:
        """Leave them to others."""
        for claim in self._claims:
            claim.close()

    def _take(self, number: int) -> None:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0wend-chaos-port-{number}")  # a name without a file: it is gone with its socket
            with socket.socket() as tried:
                tried.bind((LOCAL, number))
        except OSError:
            claim.close()
            return
        self._claims.append(claim)
        self.numbers.append(number)
