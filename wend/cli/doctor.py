"""``wend doctor``: what is missing on this machine, and what to do about it."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from wend.cli.output import Output, clean
from wend.cli.session import AsJson

if TYPE_CHECKING:
    from wend.cli.examining import Finding

_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    directory: Annotated[Path, typer.Option("--dir", help="The state directory of `wend up`.")] = Path(".wend"),
    as_json: AsJson = False,
) -> None:
    """Say what is missing on this machine, and what to do about it; exits 1 if there is a problem.

    Looks only, and changes nothing. Takes the settings of Wend's processes: WEND_… and TEMPORAL_… from the
    environment, and .env here.

    Example: wend doctor
    """
    from wend.cli.examining import examine

    findings = examine(directory, os.environ)
    healthy = all(each.level != "problem" for each in findings)
    document = {"healthy": healthy, "checks": [asdict(each) for each in findings]}
    Output(as_json).show(document, lambda _: _draw(findings))
    if not healthy:
        raise typer.Exit(1)


def _draw(findings: Sequence["Finding"]) -> Table:
    drawn = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True)
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for each in findings:
        said = Text(clean(each.message))
        if each.remedy:
            said.append(f"\n→ {clean(each.remedy)}", "cyan")
        drawn.add_row(Text(each.level, _STYLES[each.level]), Text(each.check, "bold"), said)
    return drawn
