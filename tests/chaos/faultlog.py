"""The log of faults: what befell whom, written before it happens, so that nothing happens unseen."""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Befallen:
    """One fault.

    Attributes:
        fault: Its name: a probe's, or what the driver did, as ``kill worker``.
        at: Seconds since the epoch, for people.
        detail: What it met: for a probe the run and message, and the runs whose sends were under way.
    """

    fault: str
    at: float
    detail: dict[str, Any]


class FaultLog:
    """A file with a line for each fault; several processes append to it.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, fault: str, **detail: Any) -> None:
        """Append a line, and return when it will survive this process."""
        line = json.dumps({"at": time.time(), "fault": fault, "detail": detail}) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)

    def entries(self, since: int = 0) -> Sequence[Befallen]:
        """Return the lines from the given number on."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines()[since:]
        return [Befallen(each["fault"], each["at"], each["detail"]) for each in map(json.loads, lines)]

    def length(self) -> int:
        """Return how many lines there are."""
        return len(self.entries())

    def counts(self, since: int = 0) -> Counter[str]:
        """Return how often each fault befell somebody."""
        return Counter(each.fault for each in self.entries(since))
