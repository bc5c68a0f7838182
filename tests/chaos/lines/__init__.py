"""The ring's lines, in the order in which they run."""

from importlib import import_module
from typing import Final

from tests.chaos.ring import Line

NAMES: Final = (
    *("sends", "fanout", "duplicates", "clicks", "deadline", "outages", "clocks", "waits", "frozen", "cuts"),
    *("provider_events", "provider", "long_runs", "upgrade"),
)


def load(name: str) -> Line:
    """Return the line of that name."""
    line: Line = import_module(f"{__name__}.{name}").LINE
    return line
