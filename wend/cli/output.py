"""What commands print: JSON for programs, tables and trees for people; never both.

Results go to standard output, everything else to standard error. Whatever comes from outside is printed as text:
no markup, no control characters.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wend.errors import InvalidDocument, Problem, WendError

T = TypeVar("T")

WIDE: Final = 200
"""Columns where nobody looks: in a pipe or a file, where a broken line would break ids."""

NOTHING: Final = "–"

END_YEAR: Final = 9999
END_OF_TIME: Final = "the end of time"

STATE_STYLES: Final[Mapping[str, str]] = {
    "draft": "dim",
    "ready": "green",
    "scheduled": "cyan",
    "live": "green",
    "running": "green",
    "pending": "cyan",
    "accepted": "green",
    "completed": "green",
    "paused": "yellow",
    "closed": "yellow",
    "uncertain": "yellow",
    "exited": "yellow",
    "stopped": "yellow",
    "skipped": "yellow",
    "refused": "red",
    "failed": "red",
    "failing": "red",
    "missed": "red",
}


class Output:
    """Where the results of one command go.

    Args:
        as_json: Print JSON and nothing else.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console()
        self.err = _console(stderr=True)

    def show(self, value: T, render: Callable[[T], RenderableType]) -> None:
        """Print a result: as JSON, or as ``render`` draws it."""
        if self.as_json:
            self._out.file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        else:
            _print(self._out, render(value))

    def tell(self, what: RenderableType) -> None:
        """Show people what they are about to decide on; it is no result."""
        if not self.as_json:
            _print(self.err, what)

    def note(self, text: str) -> None:
        """Tell people something beside the result."""
        if not self.as_json:
            _print(self.err, Text(clean(text), "dim"), soft_wrap=True)

    def refuse(self, error: WendError) -> None:
        """Print an error, with all its problems, to standard error."""
        problems = getattr(error, "problems", ())
        if self.as_json:
            document = getattr(error, "document", None) or _document(error, problems)
            self.err.file.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
            return
        said = f"{error.what} has {len(problems)} problem(s):" if isinstance(error, InvalidDocument) else str(error)
        # The list below says them one by one.
        first = said.split("\n  ")[0] if problems else said
        _print(self.err, Text("error: ", "bold red") + Text(clean(first)), soft_wrap=True)
        if problems:
            _print(self.err, problem_list(problems), soft_wrap=True)

    @property
    def width(self) -> int:
        """Columns that a line of the result may have."""
        return self._out.width

    @property
    def is_live(self) -> bool:
        """Whether somebody looks at the result on a terminal that can be drawn on anew."""
        return not self.as_json and self._out.is_interactive and not self._out.is_dumb_terminal

    def live(self) -> Live:
        """Return what draws a result anew on the whole terminal, and gives the terminal back."""
        return Live(console=self._out, screen=True, auto_refresh=False)

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks at standard error: where progress and questions make sense."""
        return not self.as_json and self.err.is_terminal


def _print(console: Console, what: RenderableType, *, soft_wrap: bool = False) -> None:
    """Print it; where nobody looks, without the blanks that fill lines up to the terminal's width."""
    if console.is_terminal:
        console.print(what, soft_wrap=soft_wrap)
        return
    with console.capture() as captured:
        console.print(what, soft_wrap=soft_wrap)
    console.file.write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))


def clean(value: object) -> str:
    """Return the value as text that a terminal only shows: control characters but newlines are made visible."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in str(value))


def say_value(value: Any) -> str:
    """Return a JSON value as people read it in a cell."""
    if value is None or value in ("", [], {}):
        return NOTHING
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return clean(value)
        case int():
            return f"{value:,}"
        case float():
            return str(value)
        case list():
            return ", ".join(say_value(each) for each in value)
        case dict():
            return ", ".join(f"{clean(name)} {say_value(each)}" for name, each in value.items())
        case _:
            return clean(value)


def say_pairs(values: Mapping[str, Any]) -> str:
    """Return names and values that somebody gave: ``source=ads, n=2``."""
    return ", ".join(f"{clean(name)}={say_value(value)}" for name, value in values.items())


def instant(text: str | None) -> str:
    """Return an instant of the API as people read it, in this machine's zone."""
    if text is None:
        return NOTHING
    at = _read_instant(text)
    if at.year >= END_YEAR:
        return END_OF_TIME
    local = at.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def _read_instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def moment(text: str | None) -> str:
    """Return an instant as it stands in a table: in UTC, which the column's head says once for all lines."""
    if text is None:
        return NOTHING
    at = _read_instant(text)
    return END_OF_TIME if at.year >= END_YEAR else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def say_length(length: timedelta) -> str:
    """Return a length in at most two units: ``1 d 4 h``, ``2 min 5 s``, ``0.25 s``."""
    if length < timedelta(seconds=1):
        return f"{length.total_seconds():.6f}".rstrip("0").rstrip(".") + " s"
    seconds = int(length.total_seconds())
    parts = ((seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    said = [f"{amount} {unit}" for amount, unit in parts if amount]
    return " ".join(said[:2])


def state(name: str | None) -> Text:
    """Return a state in its colour."""
    return Text(say_value(name), STATE_STYLES.get(name or "", ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """Return a table; its first column is kept whole, and those whose name ends in ``#`` hold numbers."""
    drawn = Table(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0)
    )
    for place, name in enumerate(columns):
        justify: Literal["left", "right"] = "right" if name.endswith("#") else "left"
        drawn.add_column(name.removesuffix("#"), justify=justify, overflow="fold", no_wrap=place == 0)
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(say_value(cell)) for cell in row))
    return drawn


def fields(values: Mapping[str, Any]) -> Table:
    """Return names and values, one line each."""
    drawn = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in values.items():
        drawn.add_row(name, value if isinstance(value, Text) else Text(say_value(value)))
    return drawn


def listing(columns: Sequence[str], row: Callable[[Any], Sequence[Any]], nothing: str) -> Callable[..., RenderableType]:
    """Return a renderer of lists: a table, or ``nothing`` where the list is empty."""

    def render(items: Sequence[Any]) -> RenderableType:
        return table(columns, [row(each) for each in items]) if items else Text(nothing, "dim")

    return render


def read_problems(given: Any) -> Iterator[Problem]:
    """Yield the problems that an answer of the API lists."""
    for each in given or ():
        yield Problem(each["path"], each["message"], each["severity"])


def problem_list(problems: Iterable[Problem]) -> RenderableType:
    """Return problems, one a line, each with its place."""
    lines: list[RenderableType] = []
    for each in problems:
        style = "red" if each.severity == "error" else "yellow"
        place = Text(f"{clean(each.path)}: ", "bold") if each.path else Text()
        lines.append(
            Padding(Text(f"{each.severity} ", style) + place + Text(clean(each.message)), (0, 0, 0, 2), expand=False)
        )
    return Group(*lines)


def _document(error: WendError, problems: Iterable[Problem]) -> dict[str, Any]:
    listed = [{"path": each.path, "message": each.message, "severity": each.severity} for each in problems]
    return {"detail": str(error), "problems": listed} if listed else {"detail": str(error)}


def _console(stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)
