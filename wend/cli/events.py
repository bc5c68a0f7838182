"""``wend event``: tell Wend what happened to somebody."""

from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from wend.cli.inputs import Email, ExternalId, ProfileId, Properties, chosen_identity, named, read_properties
from wend.cli.output import clean, instant
from wend.cli.session import RUNS, Session, asks_api


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("event", rich_help_panel=RUNS)(event)


@asks_api
def event(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What happened, such as order_placed.")],
    profile: ProfileId = None,
    external_id: ExternalId = None,
    email: Email = None,
    property: Properties = None,
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Your own id of the event; the same one again changes nothing."),
    ] = None,
    occurred_at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When, such as 2026-12-01T09:00:00Z; shown, decides nothing.")
    ] = None,
) -> None:
    """Tell that something happened to a profile; runs that wait for it go on.

    Example: wend event order_placed --external-id crm-1001 --property total=99.5 --id shop-order-A-17
    """
    document = {
        "id": id if id is not None else str(uuid4()),
        **named(*chosen_identity(profile, external_id, email)),
        "name": name,
        "occurred_at": occurred_at,
        "properties": read_properties(property),
    }
    answer = session.api.post("events", body=document)["items"][0]

    def render(taken: dict[str, Any]) -> Text:
        if not taken["new"]:
            return Text(f"Event {clean(taken['id'])} was known already, since {instant(taken['at'])}: nothing changed")
        return Text(f"{clean(name)} is recorded at {instant(taken['at'])}, as event {clean(taken['id'])}")

    session.output.show(answer, render)
