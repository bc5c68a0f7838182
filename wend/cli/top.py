"""``wend top``: every journey that is not over, one line each, as it stands now and again."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from time import sleep
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wend.cli.output import NOTHING, clean, moment, say_length, say_value, state
from wend.cli.session import RUNNING, Session, asks_api

REFRESH: Final = 2.0
"""Seconds between two looks."""

MOST_STEPS: Final = 3

NUMBERS: Final = ("inside", "held", "sends/min", "late", "failed", "missed")
"""Columns that are kept whole on any terminal, beside the state."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top", rich_help_panel=RUNNING)(top)


@asks_api
def top(
    session: Session,
    once: Annotated[bool, typer.Option("--once", help="Print it once; so it is with --json, and in a pipe.")] = False,
) -> None:
    """Watch all journeys that are not over: a table that is drawn anew every two seconds, until Ctrl-C.

    Inside: runs that have not ended. Held: those of them that wait for a pause to end, or to be woken after it or after
    a move. Sends: messages of the last minute. Late: for how long the run is due that is due longest. Failed: runs, of
    all time. Missed: occurrences that took nobody in.

    Example: wend top --once
    """
    from wend.cli.client import Unreachable

    def ask() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = session.api.get("top")["items"]
        return found

    first = ask()
    if once or not session.output.is_live:
        session.output.show(first, draw_top)
        return
    with suppress(KeyboardInterrupt), session.output.live() as live:
        watch(first, ask, lambda drawn: live.update(drawn, refresh=True), sleep, Unreachable)


def watch(
    first: list[dict[str, Any]],
    ask: Callable[[], list[dict[str, Any]]],
    show: Callable[[RenderableType], None],
    wait: Callable[[float], None],
    away: type[Exception],
) -> None:
    """Draw the table again and again; ends only by an exception, ``KeyboardInterrupt`` among them.

    Args:
        first: What was answered already.
        ask: Answers how journeys stand.
        show: Draws.
        wait: Lets so many seconds pass.
        away: What ``ask`` raises while nobody answers: the last answer stays, and is said to be old.
    """
    found, at = first, _now()
    trouble: Exception | None = None
    while True:
        show(Group(_head(at, trouble), Text(), draw_top(found)))
        wait(REFRESH)
        try:
            found, at, trouble = ask(), _now(), None
        except away as error:
            trouble = error


def draw_top(journeys: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return one line per journey."""
    if not journeys:
        return Text("There is no journey that is not over: wend journeys", "dim")
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    drawn.add_column("journey", overflow="ellipsis")
    drawn.add_column("state", no_wrap=True)
    for name in NUMBERS:
        drawn.add_column(name, justify="right", no_wrap=True)
    planned = any(each["resume_at"] is not None for each in journeys)
    if planned:
        drawn.add_column("goes on (UTC)", no_wrap=True)
    drawn.add_column("fullest steps", overflow="ellipsis")
    for each in journeys:
        goes_on = [Text(moment(each["resume_at"])[:16])] if planned else []
        steps = Text(say_fullest(each["steps"]) or NOTHING)
        drawn.add_row(Text(clean(each["key"])), state(each["state"]), *_numbers(each), *goes_on, steps)
    return drawn


def say_fullest(steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the steps at which most runs are: ``interested 1,200, launch-day 30, …``."""
    full = sorted((each for each in steps if each["here"]), key=lambda each: (-each["here"], each["step"]))
    said = [f"{clean(each['step'])} {each['here']:,}" for each in full[:MOST_STEPS]]
    return ", ".join([*said, "…"] if len(full) > MOST_STEPS else said)


def _numbers(journey: Mapping[str, Any]) -> list[Text]:
    """Return the cells of ``NUMBERS``; what somebody should look at is red."""
    late = timedelta(seconds=journey["overdue_seconds"])
    return [
        Text(say_value(journey["inside"])),
        Text(say_value(journey["held"])),
        Text(say_value(journey["sent_last_minute"])),
        Text(say_length(late), "red") if late else Text(NOTHING),
        Text(say_value(journey["failed"]), "red" if journey["failed"] else ""),
        Text(say_value(journey["missed"]), "red" if journey["missed"] else ""),
    ]


def _head(at: datetime, trouble: Exception | None) -> Text:
    said = Text(f"{at:%H:%M:%S}", "bold").append(f"  every {REFRESH:g} s; Ctrl-C ends", "dim")
    if trouble is not None:
        said.append(f"\nNo newer answer: {clean(str(trouble).splitlines()[0])}", "red")
    return said


def _now() -> datetime:
    return datetime.now().astimezone()
