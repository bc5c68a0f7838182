"""``wend reconcile``: does everything that is known of a journey fit together? What does not is mended, or named."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Group, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from wend.cli.output import Output, clean, instant, table
from wend.cli.session import RUNNING, Session, asks_api
from wend.errors import NotFound, WendError

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at how far it is."""

MOST_SHOWN: Final = 10
"""Discrepancies of one kind that are listed; --json has up to a hundred."""

Key = Annotated[str, typer.Argument(help="The journey's key.")]

_WAITS: Final[Mapping[str, str]] = {
    "relay": "the relay has not come to it: does one run, and does it reach the database?",
    "temporal": "the relay could not tell Temporal",
    "worker": "Temporal has it, and no worker takes it: does one run, on the same task queue?",
    "turn": "another reconciliation of the journey has not ended yet",
}


class NotBegun(WendError):
    """Nobody has begun with the reconciliation."""

    def __init__(self, found: Mapping[str, Any], patience: float) -> None:
        why = _WAITS[found["waits_for"]] if found["waits_for"] else "nobody says why"
        trouble = f" ({found['trouble']})" if found["trouble"] else ""
        super().__init__(
            f"Nobody has begun within {patience:g} s to reconcile journey {found['journey']!r}: {why}{trouble}.\n"
            f"It stays asked for; see what becomes of it with: wend reconcile {found['journey']} --last"
        )
        self.id = found["id"]


class Stands(WendError):
    """The reconciliation was begun, and does not go on."""

    def __init__(self, found: Mapping[str, Any], patience: float) -> None:
        super().__init__(
            f"The reconciliation of journey {found['journey']!r} has not gone on for {patience:g} s: the worker that "
            "had it is gone, or the database or Temporal is away. It begins again by itself when they are back.\n"
            f"See what becomes of it with: wend reconcile {found['journey']} --last"
        )
        self.id = found["id"]


class NotCarriedOut(WendError):
    """The reconciliation failed."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__(f"Journey {found['journey']!r} could not be reconciled: {found['error']}")
        self.id = found["id"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile", rich_help_panel=RUNNING)(reconcile)


@asks_api
def reconcile(
    session: Session,
    key: Key,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare; mend nothing.")] = False,
    lost: Annotated[
        Literal["revive", "fail"],
        typer.Option(help="Open runs whose workflow Temporal does not have: go on by a new one; or end as failed."),
    ] = "revive",
    last: Annotated[
        bool, typer.Option("--last", help="Show what came of the last one, also of those by schedule; begin none.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to wait for it to begin, or to go on.")
    ] = 60,
) -> None:
    """Compare a journey's rows with each other and with Temporal, and mend what is safe to mend.

    Names every discrepancy with its cause. The exit status is 1 where something remains. Every ten minutes it comes by
    itself (WEND_RECONCILE_EVERY).

    Example: wend reconcile product-launch --dry-run
    """
    if last and (dry_run or lost != "revive"):
        raise typer.BadParameter("--last begins none, so it goes with neither --dry-run nor --lost")
    path = ("journeys", key, "reconciliations")
    if last:
        found, _ = session.api.listing(*path, limit=1)
        if not found:
            raise NotFound("reconciliation", key, f"Begin one with: wend reconcile {key}")
        done = found[0]
    else:
        asked = session.api.post(*path, body={"repair": not dry_run, "lost": lost})
        done = watch(asked, lambda: session.api.get(*path, asked["id"]), session.output, patience, time)
        if done["state"] == "failed":
            raise NotCarriedOut(done)
    session.output.show(done, draw)
    if done["report"] is not None and done["report"]["remaining"]:
        raise typer.Exit(1)


def watch(
    asked: dict[str, Any], look: Callable[[], dict[str, Any]], output: Output, patience: float, clock: Any
) -> dict[str, Any]:
    """Return the reconciliation when it has ended; meanwhile show how far it is.

    Args:
        asked: As it was answered.
        look: Answers how it stands.
        output: Where progress is shown.
        patience: Seconds without any progress.
        clock: Has ``monotonic`` and ``sleep``.

    Raises:
        NotBegun: Nobody begins with it.
        Stands: It does not go on.
    """
    found, since = asked, clock.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=output.err, disable=not output.is_watched, transient=True) as bar:
        task = bar.add_task("Waits for a worker", total=None)
        while found["state"] in ("asked", "running"):
            if clock.monotonic() - since > patience:
                raise NotBegun(found, patience) if found["state"] == "asked" else Stands(found, patience)
            clock.sleep(LOOK_EVERY)
            before, found = found, look()
            if (found["state"], found["progress"]) != (before["state"], before["progress"]):
                since = clock.monotonic()
            if (done := found["progress"]) is not None:
                runs = done["compared"].get("runs", 0)
                said = f"Compares {clean(done['doing'])}; {runs:,} run(s), {done['found']:,} discrepancies"
                bar.update(task, description=said, completed=done["stage"], total=done["stages"])
    return found


def draw(found: dict[str, Any]) -> RenderableType:
    """Return what came of a reconciliation."""
    report = found["report"]
    head = Text(f"Journey {found['journey']}, ", "bold")
    if report is None:
        told = f": {clean(found['error'])}" if found["error"] else ""
        return head.append(f"asked for at {instant(found['asked_at'])} by {clean(found['by'])}: {found['state']}{told}")
    head.append(f"reconciled at {instant(found['finished_at'])} by {clean(found['by'])}")
    if not report["found"]:
        compared = report["compared"].get("runs", 0)
        return Group(head, Text(f"Everything fits together; {compared:,} open run(s) were compared", "green"))
    parts: list[RenderableType] = [head, table(["what", "found#", "mended#", "remaining#"], map(_row, report["kinds"]))]
    for kind in report["kinds"]:
        parts += ["", *_examples(kind)]
    said = f"{report['found']:,} found, {report['repaired']:,} mended, {report['remaining']:,} remaining"
    if not found["repair"]:
        said += "; nothing was mended, as was asked"
    return Group(*parts, "", Text(said, "red" if report["remaining"] else "green"))


def _row(kind: Mapping[str, Any]) -> tuple[Any, ...]:
    left = Text(f"{kind['remaining']:,}", "red" if kind["remaining"] else "")
    return (kind["what"], kind["found"], kind["repaired"], left)


def _examples(kind: Mapping[str, Any]) -> list[RenderableType]:
    shown = kind["examples"][:MOST_SHOWN]
    what = clean(kind["what"])
    drawn: list[RenderableType] = [Text(what[:1].upper() + what[1:], "bold")]
    for each in shown:
        line = Text(f"  {clean(each['subject'])}  ").append(f"{clean(each['cause'])}; ", "dim")
        drawn.append(line.append(clean(each["note"]), "green" if each["repaired"] else "red"))
    if kind["found"] > len(shown):
        drawn.append(Text(f"  … and {kind['found'] - len(shown):,} more: --json", "dim"))
    return drawn
