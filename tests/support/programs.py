"""``wend`` as a process of its own, as people start it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.eventually import assert_eventually

ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=90)


class Program:
    """One running ``wend`` command; what it prints is in files."""

    def __init__(self, directory: Path, *words: object) -> None:
        self.words = tuple(map(str, words))
        self._out = directory / f"{words[0]}-{len(list(directory.iterdir()))}.out"
        self._err = self._out.with_suffix(".err")
        # The tests themselves may have been started by make, and wend words its advice by that.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wend.cli", *self.words], cwd=ROOT, stdout=out, stderr=err, env=environment
            )

    @property
    def out(self) -> str:
        """What it has printed to standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """And to standard error."""
        return self._err.read_text()

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: timedelta = PATIENCE) -> int:
        """Return its exit status."""
        try:
            return self.process.wait(timeout.total_seconds())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"wend {' '.join(self.words)} does not end:\n{self.out}\n{self.err}") from None


@contextmanager
def program(directory: Path, *words: object) -> Iterator[Program]:
    """Run ``wend`` with these words inside the block; it is killed if it still runs then."""
    started = Program(directory, *words)
    try:
        yield started
    finally:
        if started.is_running:
            started.process.kill()
            started.process.wait()


def command(directory: Path, *words: object) -> Program:
    """Run ``wend`` to its end."""
    with program(directory, *words) as ran:
        ran.wait()
        return ran


def descendants(pid: int) -> list[int]:
    """Return the processes that this one has started, and those that they have."""
    children = Path(f"/proc/{pid}/task")
    found: list[int] = []
    for task in children.iterdir() if children.exists() else ():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


async def assert_gone(pids: list[int]) -> None:
    """Return when none of these processes is there any more."""

    def gone() -> None:
        assert not [pid for pid in pids if _is_there(pid)]

    await assert_eventually(gone)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
