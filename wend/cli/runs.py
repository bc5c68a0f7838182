"""``wend start``, ``wend runs``, ``wend run``: one person's passage through a journey."""

from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from wend.cli.inputs import Email, ExternalId, ProfileId, Properties, chosen_identity, named, read_properties
from wend.cli.output import clean, listing, moment, state
from wend.cli.session import RUNS, Limit, Session, asks_api
from wend.cli.telling import draw_run

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
    idempotency_key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="The same key again starts nothing, and answers the same."),
    ] = None,
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
    columns = ["run", "journey", "version#", "state", "step", "until", "why it ended", "profile"]
    session.output.show(found, listing(columns, _row, "No run."))
    if more:
        session.output.note("There are more: --limit")


@asks_api
def run(session: Session, id: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]) -> None:
    """Show a run with its whole path: every move with its reason, every message and every click.

    Example: wend run 0190b3c1-8f0e-4a53-9d0c-6a1f5f0d2b11
    """
    session.output.show(session.api.get("runs", id), draw_run)


def _row(run: dict[str, Any]) -> tuple[Any, ...]:
    reason = run["reason"] if run["reason"] != run["state"] else None
    return (
        run["id"],
        run["journey"],
        run["version"],
        state(run["state"]),
        run["step"],
        moment(run["parked_until"]),
        clean(run["error"] or reason or "") or None,
        run["profile_id"],
    )
