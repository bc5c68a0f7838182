"""The demo as it runs: people come in, mails go out, some are clicked, and at the end everything is counted."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from wend.cli.people import invent
from wend.cli.plan import Plan
from wend.cli.reader import read_followed
from wend.cli.sampling import load_audience
from wend.cli.screen import err, out
from wend.cli.stage import Stage
from wend.cli.state import StateDirectory
from wend.cli.tally import MAIL, TEXT, WAIT, Tally, figures_of, left, tally
from wend.errors import WendError
from wend.lifecycle.figures import JourneyFigures
from wend.storage import schema
from wend.storage.database import Database

OTHERS = 5
"""One profile outside of the segment for so many members."""

POLL = 0.4
MOST_RESTARTS = 20


class DemoStuck(WendError):
    """The journey did not come to its end in time."""

    def __init__(self, seconds: float, figures: JourneyFigures, directory: Path) -> None:
        super().__init__(
            f"After {seconds:.0f} seconds, {figures.entered} of {figures.members} members have entered and "
            f"{figures.inside} are still inside. The logs are in {directory}."
        )


@dataclass(frozen=True)
class Result:
    """A demo that came to its end."""

    tally: Tally
    seconds: float
    restarts: int
    directory: Path

    @property
    def consistent(self) -> bool:
        """Whether everything adds up."""
        return not self.tally.problems

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        figures = asdict(self.tally)
        problems = figures.pop("problems")
        return {
            **figures,
            "consistent": self.consistent,
            "problems": problems,
            "restarts": self.restarts,
            "seconds": round(self.seconds, 1),
            "directory": str(self.directory),
        }


def fresh_directory() -> Path:
    """Return where a demo is kept if nobody says where."""
    return Path(".wend") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"


class Demo:
    """Runs one demo.

    Args:
        state: Its directory, which the caller holds.
        plan: What it is.
        ports: Of ``temporal``, ``ui``, ``sink`` and ``smtp``; 0 takes a free one.
        kill: Kill the Wend process when half of the mails are out.
        live: Show progress.
    """

    def __init__(self, state: StateDirectory, plan: Plan, ports: Mapping[str, int], *, kill: bool, live: bool) -> None:
        self._state = state
        self._plan = plan
        self._stage = Stage(state, plan, ports)
        self._kill = kill
        self._live = live
        self._restarts = 0

    def run(self) -> Result:
        """Run to the end; every process that was started has ended when this returns or raises.

        Raises:
            DemoStuck: It did not come to an end in time.
            ChildFailed: One of its processes did not start, or ended.
        """
        began = time.monotonic()
        schema.upgrade(self._state.database_url)
        with closing(Database(self._state.database_url)) as database, database.write() as connection:
            members = self._plan.members
            load_audience(connection, list(invent(members, members // OTHERS)), datetime.now(UTC))
        with self._stage as stage, closing(Database(self._state.database_url, read_only=True)) as database:
            with _progress(self._live, self._plan.members, self._said()) as show:
                while not _is_over(figures := self._look(database)):
                    show(figures)
                    self._keep_going(figures)
                    if time.monotonic() - began > self._plan.patience:
                        raise DemoStuck(time.monotonic() - began, figures, self._state.path)
                    time.sleep(POLL)
                show(figures)
            stage.stop_reading()
            with database.read() as connection:
                counted = tally(connection, stage.delivered(), read_followed(stage.followed))
        return Result(counted, time.monotonic() - began, self._restarts, self._state.path)

    def _look(self, database: Database) -> JourneyFigures:
        with database.read() as connection:
            return figures_of(connection)

    def _keep_going(self, figures: JourneyFigures) -> None:
        """Start Wend again if it was killed; kill it, if that is wanted."""
        self._stage.check()
        if self._kill and figures.entered and sum(figures.messages.values()) >= figures.entered / 2:
            self._kill = False
            os.kill(self._stage.wend.pid, signal.SIGKILL)
            self._stage.wend.wait()
        if not self._stage.wend.is_running() and self._restarts < MOST_RESTARTS:
            self._restarts += 1
            self._stage.start_wend()
            err.print(f"The Wend process was ended from outside; it runs again, as process {self._stage.wend.pid}.")

    def _said(self) -> str:
        stage = self._stage
        return (
            f"Temporal UI {stage.temporal_ui}, inbox {stage.inbox}\n"
            f"Wend is process {stage.wend.pid}: whoever kills it (kill -9 {stage.wend.pid}) changes nothing."
        )


def _is_over(figures: JourneyFigures) -> bool:
    return bool(figures.members) and not figures.inside and not figures.messages.get("claimed")


class _Show:
    """Bars, one for each thing that is counted."""

    def __init__(self, progress: Progress, members: int) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {
            name: progress.add_task(name, total=members)
            for name in ("entered", "mails", "clicks", "timeouts", "texts", "at an end")
        }

    def __call__(self, figures: JourneyFigures) -> None:
        messages = {each.step: each.messages for each in figures.steps}
        clicks, timeouts = left(figures, WAIT, "clicked"), left(figures, WAIT, "timed_out")
        counts = {
            "entered": figures.entered,
            "mails": messages[MAIL].get("accepted", 0),
            "clicks": clicks,
            "timeouts": timeouts,
            "texts": messages[TEXT].get("accepted", 0),
            "at an end": sum(figures.outcomes.values()),
        }
        for name, count in counts.items():
            self._progress.update(self._tasks[name], completed=count)
            if figures.entered:
                self._progress.update(self._tasks[name], total=figures.entered)


@contextmanager
def _progress(live: bool, members: int, said: str) -> Iterator[_Show]:
    """Yield what shows the figures; nothing is shown unless ``live``."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(50), MofNCompleteColumn())
    with Progress(*columns, console=out, disable=not live) as progress:
        if live:
            progress.console.print(said)
        yield _Show(progress, members)
