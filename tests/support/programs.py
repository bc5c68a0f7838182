"""``wend`` as people start it: as a process of its own, or, where it only says no, inside this one."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Ran
from tests.support.eventually import assert_eventually
from wend.cli import run

ROOT = Path(__file__).parents[2]

_MAKES = ("MAKE", "MFLAGS")
"""Variables of make, which may have started the tests: ``wend`` words its advice by them."""

PATIENCE = timedelta(seconds=120)


class Program:
    """One running ``wend`` command; what it prints is in files."""

    def __init__(self, directory: Path, *words: object) -> None:
        self.words = tuple(map(str, words))
        self._out = directory / f"{words[0]}-{len(list(directory.iterdir()))}.out"
        self._err = self._out.with_suffix(".err")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_MAKES)}
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


def in_words(*words: object) -> Ran:
    """Run ``wend`` in this process, to its end; for what needs no process to be shown: two seconds less each."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["wend", *map(str, words)])
        for name in [name for name in os.environ if name.startswith(_MAKES)]:
            patch.delenv(name)
        status = run()
    return Ran(status, out.getvalue(), err.getvalue())


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
