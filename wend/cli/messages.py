"""``wend messages``: what is sent, and what it looks like for one person."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from wend.cli.inputs import (
    DocumentFile,
    Email,
    ExternalId,
    ProfileId,
    Properties,
    chosen_identity,
    find_profile,
    name_of,
    read_file,
    read_properties,
    take_key,
)
from wend.cli.output import clean, fields, listing, moment, problem_list, read_problems, state, table
from wend.cli.session import PEOPLE_AND_CONTENT, Limit, Session, asks_api

messages = typer.Typer(
    help="Messages: e-mails and text messages as templates, and what became of those sent.", no_args_is_help=True
)

Key = Annotated[str, typer.Argument(help="The message's key.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(messages, name="messages", rich_help_panel=PEOPLE_AND_CONTENT)


@messages.command("put")
@asks_api
def put(session: Session, file: DocumentFile) -> None:
    """Save a message's draft. The file has its key, name and content.

    Example: wend messages put product-announcement.message.yaml
    """
    key, document = take_key(read_file(file), name_of(file))
    session.output.show(session.api.put("messages", key, body=document), _draw)


@messages.command("list")
@asks_api
def list_(session: Session, limit: Limit = 100) -> None:
    """List messages.

    Example: wend messages list
    """
    found, more = session.api.listing("messages", limit=limit)
    columns = ["message", "name", "channel", "state", "ready version#", "updated (UTC)"]
    session.output.show(found, listing(columns, _row, "No message yet: wend messages put FILE"))
    if more:
        session.output.note("There are more: --limit")


@messages.command("show")
@asks_api
def show(session: Session, key: Key) -> None:
    """Show a message with its draft.

    Example: wend messages show product-announcement
    """
    session.output.show(session.api.get("messages", key), _draw)


@messages.command("ready")
@asks_api
def ready(session: Session, key: Key, profile: ProfileId = None, property: Properties = None) -> None:
    """Check the draft, and make it the version that journeys send from their next publication on.

    It must render for a sample profile: the one given, or the first there is.

    Example: wend messages ready product-announcement
    """
    body = {"profile_id": profile, "properties": read_properties(property)}
    answer = session.api.post("messages", key, "ready", body=body)

    def render(done: dict[str, Any]) -> RenderableType:
        said = Text(f"Message {key} is ready, as version {done['message']['version']}")
        return Group(said, problem_list(read_problems(done["warnings"])))

    session.output.show(answer, render)


@messages.command("preview")
@asks_api
def preview(
    session: Session,
    key: Key,
    profile: ProfileId = None,
    external_id: ExternalId = None,
    email: Email = None,
    property: Properties = None,
    version: Annotated[int | None, typer.Option(min=1, help="A ready version; else the draft.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Show the HTML as well.")] = False,
) -> None:
    """Show what one person would get; sends nothing.

    Example: wend messages preview product-announcement --external-id crm-1001
    """
    id = find_profile(session.api, *chosen_identity(profile, external_id, email))
    body = {"profile_id": id, "properties": read_properties(property), "version": version}
    rendered = session.api.post("messages", key, "preview", body=body)
    session.output.show(rendered, lambda shown: _draw_preview(shown, html))


@messages.command("versions")
@asks_api
def versions(session: Session, key: Key, limit: Limit = 100) -> None:
    """List a message's ready versions, newest first.

    Example: wend messages versions product-announcement
    """
    found, _ = session.api.listing("messages", key, "versions", limit=limit)

    def row(each: dict[str, Any]) -> tuple[Any, ...]:
        return (each["version"], moment(each["created_at"]), each["links"])

    nothing = f"Message {key} has no ready version yet: wend messages ready {key}"
    session.output.show(found, listing(["version#", "ready since (UTC)", "links"], row, nothing))


def _row(message: dict[str, Any]) -> tuple[Any, ...]:
    return (
        message["key"],
        message["name"],
        message["channel"],
        state(message["state"]),
        message["version"] or None,
        moment(message["updated_at"]),
    )


def _draw(message: dict[str, Any]) -> RenderableType:
    content = dict(message["content"])
    html = content.pop("html", None)
    version = f"version {message['version']} is ready" if message["version"] else "no version is ready yet"
    known = {"name": message["name"], "state": state(message["state"]), "versions": version, "links": message["links"]}
    parts: list[RenderableType] = [Text(f"Message {message['key']}", "bold"), fields(known | content)]
    if html is not None:
        parts.append(Panel(Text(clean(html.rstrip())), title="html", title_align="left"))
    return Group(*parts)


def _draw_preview(shown: dict[str, Any], html: bool) -> RenderableType:
    head = {name: shown[name] for name in ("subject", "sender", "reply_to") if shown[name] is not None}
    if shown["sms_parts"] is not None:
        head["sent in"] = f"{shown['sms_parts']} part(s) of {shown['sms_encoding']}"
    parts: list[RenderableType] = [fields(head), Panel(Text(clean(shown["text"].rstrip())))]
    if html and shown["html"] is not None:
        parts.append(Panel(Text(clean(shown["html"].rstrip())), title="html", title_align="left"))
    if shown["links"]:
        links = [(each["number"], each["name"], each["destination"]) for each in shown["links"]]
        parts.append(table(["link#", "name", "leads to"], links))
    return Group(*parts)
