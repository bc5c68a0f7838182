"""``wend messages --uncertain``, ``sent``, ``settle`` and ``resend``: what became of messages that were sent."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.inputs import Yes, confirm
from wend.cli.messages import messages
from wend.cli.output import clean, fields, instant, listing, moment, state, table
from wend.cli.session import DEFAULT_URL, ApiUrl, AsJson, Limit, Session, asks_api

Id = Annotated[str, typer.Argument(metavar="ID", help="The sent message's id.")]

_TOLD: Final = ("delivered", "opened", "clicked", "bounced", "rejected")
_WIDE: Final = 140


def register(app: typer.Typer) -> None:
    """Add the commands to those of ``wend messages``, which are in ``app`` already."""
    messages.callback(invoke_without_command=True)(ledger)
    messages.command("sent")(sent)
    messages.command("settle")(settle)
    messages.command("resend")(resend)


def ledger(
    context: typer.Context,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="List the sends of which nobody knows whether the provider took them.")
    ] = False,
    journey: Annotated[str | None, typer.Option(metavar="KEY", help="Only those of this journey.")] = None,
    limit: Limit = 100,
    api: ApiUrl = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List uncertain sends where no command is given; the commands' own help stands above them."""
    if context.invoked_subcommand is not None:
        if uncertain:
            raise typer.BadParameter(
                f"it is a list of its own, without {context.invoked_subcommand}", param_hint="--uncertain"
            )
        return
    if not uncertain:
        raise typer.BadParameter("which sends are to be listed? There is: --uncertain")
    list_uncertain(journey=journey, limit=limit, api=api, as_json=as_json)


@asks_api
def list_uncertain(session: Session, journey: str | None, limit: int) -> None:
    """List uncertain sends."""
    found, more = session.api.listing("sent-messages", limit=limit, state="uncertain", journey=journey)
    is_wide = session.output.width >= _WIDE
    columns = ["message sent", "of", "why", "since (UTC)", *(["journey", "run"] if is_wide else [])]

    def row(each: dict[str, Any]) -> tuple[Any, ...]:
        why = "is sent again" if each["resend_asked_at"] else _plain(each["reason"])
        more = (each["journey"], each["run_id"]) if is_wide else ()
        return (each["id"], each["message"], why, moment(each["claimed_at"]), *more)

    session.output.show(found, listing(columns, row, "No send is uncertain."))
    if found:
        session.output.note("What is known of one: wend messages sent ID. Then: wend messages settle, resend")
    if more:
        session.output.note("There are more: --limit")


@asks_api
def sent(session: Session, id: Id) -> None:
    """Show a sent message: how it stands and why, how often it was tried, and what its provider told.

    Example: wend messages sent 0f3a1c5e-6a0b-5c0d-9d5e-2f4b6c8d0e1f
    """
    session.output.show(session.api.get("sent-messages", id), draw_sent)


@asks_api
def settle(
    session: Session,
    id: Id,
    as_: Annotated[
        Literal["accepted", "refused"], typer.Option("--as", help="Whether the provider took it: accepted or refused.")
    ],
    reason: Annotated[
        str | None, typer.Option(help="How you know, for the audit log; nothing of a person belongs there.")
    ] = None,
) -> None:
    """Say how an uncertain send ended, where you know: from the provider's own log, from the person.

    What the provider tells later still counts more. The run is not moved.

    Example: wend messages settle 0f3a1c5e-6a0b-5c0d-9d5e-2f4b6c8d0e1f --as accepted
    """
    body = {"as": as_} | ({"reason": reason} if reason is not None else {})
    session.output.show(session.api.post("sent-messages", id, "settle", body=body), draw_sent)


@asks_api
def resend(session: Session, id: Id, yes: Yes = False) -> None:
    """Send an uncertain message once more, to the person as they are now. Asks first: they may get it twice.

    The message keeps its id, by which a provider that heeds idempotency keys sends it once. The run is not moved.

    Example: wend messages resend 0f3a1c5e-6a0b-5c0d-9d5e-2f4b6c8d0e1f
    """
    if not yes:
        known = session.api.get("sent-messages", id)
        confirm(f"Send {known['message']} to profile {known['profile_id']} again, who may have it already?", yes)

    def render(asked: dict[str, Any]) -> RenderableType:
        said = Text(f"Message {asked['id']} is sent again, as soon as a worker comes to it")
        return Group(said, Text(f"See how it went with: wend messages sent {asked['id']}", "dim"))

    session.output.show(session.api.post("sent-messages", id, "resend"), render)


def draw_sent(message: Mapping[str, Any]) -> RenderableType:
    """Return a sent message with all that is known of it."""
    standing = state(message["state"])
    if why := ": ".join(part for part in (_plain(message["reason"]), clean(message["detail"] or "")) if part):
        standing.append(f" ({why})")
    known: dict[str, Any] = {
        "message": f"{message['message']}, version {message['message_version']}, by {message['channel']}",
        "state": standing,
        "tries": message["tries"],
        "last try": instant(message["claimed_at"]),
        "settled": instant(message["settled_at"]) if message["settled_at"] else None,
        "sent again since": instant(message["resend_asked_at"]) if message["resend_asked_at"] else None,
        "reference": message["reference"],
        "journey": f"{message['journey']}, version {message['version']}, step {message['step']}",
        "run": message["run_id"],
        "profile": message["profile_id"],
    }
    known |= {kind: instant(at) for kind in _TOLD if (at := message[f"{kind}_at"])}
    parts: list[RenderableType] = [
        Text(f"Sent message {message['id']}", "bold"),
        fields({name: value for name, value in known.items() if value is not None}),
    ]
    if message["events"]:
        rows = [
            (moment(each["occurred_at"]), each["kind"], clean(each["detail"] or ""), each["id"])
            for each in message["events"]
        ]
        parts += [Text(), table(["at (UTC)", "the provider told", "detail", "its event"], rows)]
    return Group(*parts)


def _plain(word: str | None) -> str:
    return clean(word or "").replace("_", " ")
