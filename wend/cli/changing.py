"""``wend adjust``, ``choose-message``, ``diff`` and ``restore``: changing a journey that is published."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.inputs import Yes, confirm
from wend.cli.output import clean, fields, problem_list, read_problems, state
from wend.cli.session import JOURNEYS, RUNNING, Session, asks_api

Key = Annotated[str, typer.Argument(help="The journey's key.")]
DRAFT = "draft"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("adjust", rich_help_panel=RUNNING)(adjust)
    app.command("choose-message", rich_help_panel=RUNNING)(choose_message)
    app.command("diff", rich_help_panel=JOURNEYS)(diff)
    app.command("restore", rich_help_panel=JOURNEYS)(restore)


@asks_api
def adjust(
    session: Session,
    key: Key,
    name: Annotated[str | None, typer.Option(help="What it is called.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="N/s", help="How many profiles start per second at most: 100/s.")
    ] = None,
) -> None:
    """Change a published journey's name, description or rate at once, without a new version.

    The next version that is published puts its own in their place.

    Example: wend adjust product-launch --rate 100/s
    """
    asked = {"name": name, "description": description, "rate": rate}
    given = {field: value for field, value in asked.items() if value is not None}
    if not given:
        raise typer.BadParameter("say what is to change: --name, --description or --rate")

    def render(journey: dict[str, Any]) -> RenderableType:
        said = Text(f"Journey {key}, which is ").append_text(state(journey["state"])).append(", has now:")
        return Group(said, fields({field: journey[field] for field in given}))

    session.output.show(session.api.patch("journeys", key, body=given), render)


@asks_api
def choose_message(
    session: Session,
    key: Key,
    message: Annotated[str, typer.Argument(help="The message's key.")],
    number: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Of the message: wend messages versions.")],
) -> None:
    """Have a journey send another ready version of a message, from the next send on.

    It holds for those who are inside, on any version of the journey. What was sent stays as it was, with its links.

    Example: wend choose-message product-launch product-announcement 2
    """

    def render(done: dict[str, Any]) -> RenderableType:
        sent = f"Journey {key} sends {done['message']} (version {done['version']}) from now on"
        return Text(f"{sent}, in {done['versions']:,} of its versions")

    chosen = session.api.put("journeys", key, "messages", message, body={"version": number})
    session.output.show(chosen, render)


@asks_api
def diff(
    session: Session,
    key: Key,
    from_: Annotated[int, typer.Argument(metavar="FROM", min=1, help="A published version.")],
    to: Annotated[str, typer.Argument(metavar="TO", help="Another one, or: draft.")] = DRAFT,
) -> None:
    """Say what differs between two versions of a journey, by structure: steps are matched by their ids.

    Example: wend diff product-launch 1 draft
    """
    if to != DRAFT and not (to.isascii() and to.isdigit() and int(to)):
        raise typer.BadParameter(f"{to!r} is neither a version's number nor draft", param_hint="TO")
    found = session.api.get("journeys", key, "diff", **{"from": from_, "to": to})
    session.output.show(found, lambda answer: draw_differences(answer["differences"]))


@asks_api
def restore(
    session: Session,
    key: Key,
    number: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A published version.")],
    yes: Yes = False,
) -> None:
    """Make a published version the draft again, to be published as the next one.

    Asks first if the draft has changes that were never published.

    Example: wend restore product-launch 1
    """
    if not yes:
        newest = session.api.get("journeys", key)["version"]
        if newest and number <= newest:
            lost = len(_differences(session, key, newest))
            if lost and _differences(session, key, number):
                confirm(f"Replace the draft of {key}, which differs from version {newest} in {lost} place(s)?", yes)

    def render(saved: dict[str, Any]) -> RenderableType:
        said = Text(f"The draft of {key} says what version {number} does (revision {saved['revision']})")
        return Group(
            said,
            problem_list(read_problems(saved["problems"])),
            Text(f"Publish it as the next version with: wend publish {key}", "dim"),
        )

    session.output.show(session.api.post("journeys", key, "versions", number, "restore"), render)


def _differences(session: Session, key: str, number: int) -> list[Any]:
    found: list[Any] = session.api.get("journeys", key, "diff", **{"from": number, "to": DRAFT})["differences"]
    return found


def draw_differences(differences: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return what differs, one thing a line."""
    if not differences:
        return Text("Nothing differs", "dim")
    return Group(*map(_difference, differences))


def _difference(each: Mapping[str, Any]) -> Text:
    path, before, after = clean(each["path"]), _say_json(each["before"]), _say_json(each["after"])
    match each["kind"]:
        case "added":
            return Text(f"+ {path}: {after}", "green")
        case "removed":
            return Text(f"- {path}: {before}", "red")
        case "moved":
            return Text(f"~ {path} is followed by {after} instead of {before}", "yellow")
        case _:
            return Text(f"~ {path}: {before} → {after}", "yellow")


def _say_json(value: Any) -> str:
    """Return a value as definitions write it: text as it is, everything else as JSON."""
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
