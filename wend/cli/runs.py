"""``wend start``, ``wend runs``, ``wend run``: one person's passage through a journey."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Group
from rich.text import Text

from wend.cli.inputs import (
    Email,
    ExternalId,
    IdempotencyKey,
    ProfileId,
    Properties,
    chosen_identity,
    named,
    read_properties,
)
from wend.cli.output import WIDE, clean, listing, moment, state
from wend.cli.session import RUNS, Limit, Session, asks_api, workflow_url
from wend.cli.telling import draw_run
from wend.errors import NotFound

if TYPE_CHECKING:
    from wend.cli.client import Api

_WIDE: Final = 140
_WIDE_OF_ALL: Final = 165
"""Columns of a terminal that has room for everything about runs: of one journey, of all."""

HELD: Final = "held"
"""A run that waits for its journey's pause to end, or to be woken after it or after a move."""

Key = Annotated[str, typer.Argument(help="The journey's key.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("start", rich_help_panel=RUNS)(start)
    app.command("runs", rich_help_panel=RUNS)(runs)
    app.command("run", rich_help_panel=RUNS)(run)


@asks_api
def start(
    session: Session,
    key: Key,
    profile: ProfileId = None,
    external_id: ExternalId = None,
    email: Email = None,
    property: Properties = None,
    idempotency_key: IdempotencyKey = None,
) -> None:
    """Send one person through a journey now: a run on its newest version.

    Example: wend start product-launch-now --external-id crm-1001 --property order=A-17
    """
    body = {**named(*chosen_identity(profile, external_id, email)), "properties": read_properties(property)}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    started = session.api.post("journeys", key, "runs", body=body, headers=headers)

    def render(run: dict[str, Any]) -> Group:
        said = f"Run {run['id']} of {run['journey']}, version {run['version']}, is on its way"
        return Group(Text(said), Text(f"Follow it with: wend run {run['id']}", "dim"))

    session.output.show(started, render)


@asks_api
def runs(
    session: Session,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The journey's key; else of all journeys.")] = None,
    state: Annotated[str | None, typer.Option(help="pending, running, completed, exited, stopped or failed.")] = None,
    step: Annotated[str | None, typer.Option(help="Only those that are at this step.")] = None,
    profile: ProfileId = None,
    entry: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this entry.")] = None,
    limit: Limit = 100,
) -> None:
    """List runs.

    Example: wend runs product-launch --step interested
    """
    asked = {"journey": key, "state": state, "step": step, "profile_id": profile, "entry_id": entry}
    found, more = session.api.listing("runs", limit=limit, **asked)
    cells = _columns(session.output.width, key is None)
    row = listing(list(cells), lambda each: [cell(each) for cell in cells.values()], "No run.")
    session.output.show(found, row)
    if found and len(cells) < len(_columns(WIDE, key is None)):
        session.output.note("A wider terminal shows more of them, and --json everything.")
    if more:
        session.output.note("There are more: --limit")


@asks_api
def run(
    session: Session,
    id: Annotated[
        str, typer.Argument(metavar="ID", help="The run's id; or its workflow's, as the Temporal UI shows it.")
    ],
) -> None:
    """Show a run with its whole path: every move with its reason, every message and every click.

    Example: wend run 0190b3c1-8f0e-4a53-9d0c-6a1f5f0d2b11
    """
    found = find_run(session.api, id)
    session.output.show({**found, "workflow_url": workflow_url(session.api, found["workflow_id"])}, draw_run)


def find_run(api: "Api", id: str) -> dict[str, Any]:
    """Return a run with its path, by its own id or by that of its Temporal workflow.

    Raises:
        NotFound: No run has this workflow.
    """
    if "/" in id:
        found = api.get("runs", workflow_id=id)["items"]
        if not found:
            raise NotFound("run", id, "Runs are listed by: wend runs")
        id = found[0]["id"]
    run: dict[str, Any] = api.get("runs", id)
    return run


_Cell = Callable[[dict[str, Any]], Any]


def _columns(width: int, of_all: bool) -> dict[str, _Cell]:
    """Return as many columns as there is room for, with what stands in them; ids are whole or absent.

    Args:
        width: Of the terminal.
        of_all: Whether runs of several journeys are listed.
    """
    head: dict[str, _Cell] = {"run": lambda run: run["id"]}
    if of_all:
        head["journey"] = lambda run: run["journey"]
    standing: dict[str, _Cell] = {"state": lambda run: state(run["state"]), "step": lambda run: run["step"]}
    if width < (_WIDE_OF_ALL if of_all else _WIDE):
        # With the journey's key beside the run's id there is no room for more in 80 columns.
        return head | standing if of_all else {**head, **standing, "until (UTC) / why": _until_or_why}
    version: dict[str, _Cell] = {"version#": lambda run: run["version"]} if of_all else {}
    return {
        **head,
        **version,
        **standing,
        "until (UTC)": lambda run: HELD if run["held_at"] else moment(run["parked_until"]),
        "why it ended": _why,
        "profile": lambda run: run["profile_id"],
    }


def _why(run: dict[str, Any]) -> str | None:
    reason = run["reason"] if run["reason"] != run["state"] else None
    return clean(run["error"] or reason or "") or None


def _until_or_why(run: dict[str, Any]) -> str | None:
    if run["held_at"]:
        return HELD
    return moment(run["parked_until"])[:16] if run["parked_until"] else _why(run)
