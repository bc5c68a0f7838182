"""A line of the ring: what is done to an installation, and what must hold afterwards."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TypeVar

from tests.chaos.site import Kind, Site

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """A verdict: whether something held, and what was seen."""

    name: str
    held: bool
    seen: str


class OutOfTime(AssertionError):
    """The ring's time is up."""


@dataclass
class Ring:
    """What a line works with.

    Attributes:
        line: The line's key.
        site: The installation, put right.
        seed: The ring's.
        quick: Whether this is the short form.
        deadline: When the ring's time is up, by the monotonic clock.
        databases: On how many databases this line runs; the long form's totals are of all together.
        tell: Prints a line of progress.
    """

    line: str
    site: Site
    seed: int
    quick: bool
    deadline: float
    databases: int = 1
    tell: Callable[[str], None] = lambda _: None
    checks: list[Check] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    plan: list[str] = field(default_factory=list)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed}/{self.line}/{self.site.kind}")

    @property
    def kind(self) -> Kind:
        """Which database it is."""
        return self.site.kind

    def pick(self, quick: T, long: T) -> T:
        """Return what the form asks for."""
        return quick if self.quick else long

    @property
    def patience(self) -> timedelta:
        """How long the short form waits for what is to happen in the end: minutes, or on a slow machine none would do.

        What a broken build has not done in a few seconds it never will.
        """
        return timedelta(seconds=8 if self.site.broken else 150)

    def share(self, total: int) -> int:
        """Return this database's share of a total."""
        return -(-total // self.databases)

    def key(self, name: str) -> str:
        """Return a key that only this line uses."""
        return f"{self.line}-{name}"

    def planned(self, what: str) -> None:
        """Add to the plan, which follows from the seed alone."""
        self.plan.append(what)

    def say(self, text: str) -> None:
        """Tell how it goes."""
        self.tell(f"  {text}")

    def count(self, name: str, number: int) -> None:
        """Take note of how much was compared."""
        self.compared[name] = number

    def check(self, name: str, held: bool, seen: str) -> None:
        """Give a verdict."""
        self.checks.append(Check(name, bool(held), seen))
        if not held:
            self.say(f"FAILED: {name}: {seen}")

    def until(self, holds: Callable[[], object], within: timedelta, every: float = 0.05) -> bool:
        """Wait until something holds; returns whether it does.

        Raises:
            OutOfTime: The ring's time is up.
        """
        patience = time.monotonic() + within.total_seconds()
        while not holds():
            now = time.monotonic()
            if now > self.deadline:
                raise OutOfTime("the ring's time is up")
            if now > patience:
                return False
            time.sleep(every)
        return True


@dataclass(frozen=True)
class Line:
    """One line of the ring.

    Attributes:
        key: Its module's name.
        what: The faults, in a sentence for the report.
        run: Does it all.
        quick: Whether it belongs to the short form, too; what does not has a test of its own elsewhere.
        busy: Whether its long form keeps processors busy for most of the time, rather than wait.
    """

    key: str
    what: str
    run: Callable[[Ring], None]
    quick: bool = True
    busy: bool = False
