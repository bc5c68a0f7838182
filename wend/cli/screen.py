"""What people see: one way to print, so that addresses and commands are never broken at a line's end."""

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

LINK = "See the lamp"
"""What the link of the sample mail reads, which the short journey waits for."""


def say(text: str = "", style: str = "") -> None:
    """Print a line to people."""
    out.print(Text(text), style=style, soft_wrap=True)


def complain(text: str) -> None:
    """Print an error."""
    err.print(Text("error: ", "bold red") + Text(text), soft_wrap=True)


def own_command() -> str:
    """Return how this very command was called, short, so that others can be written after it and pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_short(Path(sys.executable))} -m wend.cli"
    return _short(called)


def called_by_make() -> bool:
    """Whether a Makefile runs this command."""
    return "MAKELEVEL" in os.environ


def _short(path: Path) -> str:
    """Return the path as seen from the working directory, if it is below it."""
    absolute = Path(os.path.abspath(path))  # without following links: a virtual environment's python is one
    if absolute.is_relative_to(Path.cwd()):
        return str(absolute.relative_to(Path.cwd()))
    return str(absolute)
