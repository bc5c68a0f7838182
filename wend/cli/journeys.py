"""``wend journeys`` and what is done with one: check, publish, show."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.entries import say_excluded
from wend.cli.figures import draw_coming, draw_journey
from wend.cli.inputs import DocumentFile, name_of, take_key
from wend.cli.output import (
    fields,
    instant,
    listing,
    moment,
    problem_list,
    read_problems,
    state,
)
from wend.cli.profiles import draw_profiles
from wend.cli.session import JOURNEYS, Limit, Session, asks_api

journeys = typer.Typer(help="Journeys: list them, save drafts.")

Key = Annotated[str, typer.Argument(help="The journey's key.")]
States = Literal["draft", "scheduled", "live", "paused", "closed", "finished", "stopped"]
OnlyState = Annotated[States | None, typer.Option(help="Only those in this state.")]
YAML = {"Content-Type": "application/yaml"}
"""JSON is YAML: one kind for both, and the API reads the lines of the file as they are."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(journeys, name="journeys", rich_help_panel=JOURNEYS)
    for command in (journey, check, publish, versions, version, audience):
        app.command(command.__name__, rich_help_panel=JOURNEYS)(command)


@journeys.callback(invoke_without_command=True)
@asks_api
def without_a_command(session: Session, context: typer.Context, state: OnlyState = None, limit: Limit = 100) -> None:
    """List journeys; or put one, or show its draft.

    Example: wend journeys --state live
    """
    if context.invoked_subcommand is None:
        _list(session, state, limit)


@journeys.command("list")
@asks_api
def list_(session: Session, state: OnlyState = None, limit: Limit = 100) -> None:
    """List journeys, as without a command.

    Example: wend journeys list --state live
    """
    _list(session, state, limit)


def _list(session: Session, state: States | None, limit: int) -> None:
    found, more = session.api.listing("journeys", state=state, limit=limit)
    columns = ["journey", "name", "state", "version#", "first published (UTC)", "updated (UTC)"]
    session.output.show(found, listing(columns, _row, "No journey yet: wend journeys put FILE"))
    if more:
        session.output.note("There are more: --limit")


@journeys.command("put")
@asks_api
def put(session: Session, file: DocumentFile) -> None:
    """Save a journey's draft, and say what stands in the way of publishing it.

    Example: wend journeys put product-launch.journey.yaml
    """
    session.output.show(_put_draft(session, file.read(), name_of(file)), _draw_saved)


@journeys.command("draft")
@asks_api
def draft(session: Session, key: Key) -> None:
    """Print a journey's draft as YAML.

    Example: wend journeys draft product-launch > product-launch.journey.yaml
    """
    from wend.exchange import write_yaml

    session.output.show(session.api.get("journeys", key, "draft"), lambda shown: Text(write_yaml(shown).rstrip()))


@asks_api
def journey(
    session: Session,
    key: Key,
    version: Annotated[int | None, typer.Option(min=1, help="Figures of this version; else of all.")] = None,
) -> None:
    """Show how a journey stands: state, next occurrences, and figures step by step.

    Example: wend journey product-launch
    """
    found = session.api.get("journeys", key)
    figures = session.api.get("journeys", key, "figures", version=version)
    session.output.show({**found, "figures": figures}, draw_journey)


@asks_api
def check(
    session: Session, what: Annotated[str, typer.Argument(metavar="FILE|KEY", help="A file, or the key of a draft.")]
) -> None:
    """Say everything that stands in the way of publishing; exits 1 if anything does. Saves nothing.

    Example: wend check product-launch.journey.yaml
    """
    raw = _read_named(what)
    if raw is None:
        checked = session.api.post("journeys", what, "check")
    else:
        checked = session.api.call("POST", "journeys", "check", content=raw, headers=YAML)

    def render(answer: dict[str, Any]) -> RenderableType:
        said = Text("It can be published", "green") if answer["publishable"] else Text("It cannot be published", "red")
        return Group(said, problem_list(read_problems(answer["problems"])))

    session.output.show(checked, render)
    if not checked["publishable"]:
        raise typer.Exit(1)


@asks_api
def publish(
    session: Session,
    key: Key,
    file: Annotated[
        typer.FileBinaryRead | None, typer.Argument(metavar="[FILE]", help="Save this draft first.")
    ] = None,
) -> None:
    """Make a journey's draft its next version: newcomers take it, runs inside stay on theirs.

    Example: wend publish product-launch product-launch.journey.yaml
    """
    if file is not None:
        _put_draft(session, file.read(), name_of(file), key)
    published = session.api.post("journeys", key, "publish")
    coming = session.api.get("journeys", key)["next_occurrences"]

    def render(done: dict[str, Any]) -> RenderableType:
        what = "is published" if done["new"] else "was published already, and has not changed"
        said = Text(f"Journey {key}, version {done['version']}, {what}: ").append_text(state(done["state"]))
        if coming:
            said.append(f", takes members in at {instant(coming[0]['at'])}")
        return Group(said, problem_list(read_problems(done["warnings"])))

    session.output.show({**published, "next_occurrences": coming}, render)


@asks_api
def versions(session: Session, key: Key, limit: Limit = 100) -> None:
    """List a journey's published versions, newest first.

    Example: wend versions product-launch
    """
    found, _ = session.api.listing("journeys", key, "versions", limit=limit)

    def row(each: dict[str, Any]) -> tuple[Any, ...]:
        sent = ", ".join(f"{message} (version {number})" for message, number in each["messages"].items())
        return (each["version"], moment(each["published_at"]), sent, each["content_hash"][:12])

    nothing = f"Journey {key} is not published: wend publish {key}"
    session.output.show(found, listing(["version#", "published (UTC)", "sends", "content"], row, nothing))


@asks_api
def version(session: Session, key: Key, number: Annotated[int, typer.Argument(min=1, help="Which one.")]) -> None:
    """Print a published version of a journey as YAML: its definition, as it was then and always will be.

    Example: wend version product-launch 1 > product-launch-1.journey.yaml
    """
    from wend.exchange import write_yaml

    found = session.api.get("journeys", key, "versions", number)
    session.output.show(found, lambda shown: Text(write_yaml(shown["definition"]).rstrip()))


@asks_api
def audience(
    session: Session, key: Key, sample: Annotated[int, typer.Option(min=0, max=100, help="How many to show.")] = 10
) -> None:
    """Say who would enter if the draft took its segments in now, and when it will; nobody enters by this.

    Example: wend audience product-launch
    """

    def render(found: dict[str, Any]) -> RenderableType:
        counts = {
            "members": found["members"],
            "would enter": found["entering"],
            "excluded": say_excluded(found["excluded"]),
        }
        people = [Text(), Text("Some of them", "bold"), draw_profiles(found["sample"])] if found["sample"] else []
        as_if = ", as if it were published now" if found["as_if_published_at"] else ""
        coming = draw_coming(found["next_occurrences"], f"Next occurrences{as_if}", "No further occurrence comes.")
        return Group(fields(counts), *people, *coming)

    session.output.show(session.api.get("journeys", key, "audience", sample=sample), render)


def _read_named(what: str) -> bytes | None:
    """Return what a file holds; ``None`` for what can only be a journey's key."""
    if what == "-":
        return sys.stdin.buffer.read()
    if "." not in what and "/" not in what and not Path(what).is_file():
        return None
    try:
        return Path(what).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{what} cannot be read: {error.strerror}") from error


def _put_draft(session: Session, raw: bytes, name: str, key: str | None = None) -> Any:
    """Save the draft in a file; its key is its own, where the command names none."""
    from wend.documents import read_document

    if key is None:
        key, _ = take_key(_object(read_document(raw, name)), name)
    return session.api.call("PUT", "journeys", key, "draft", content=raw, headers=YAML)


def _object(document: Any) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}


def _row(journey: dict[str, Any]) -> tuple[Any, ...]:
    return (
        journey["key"],
        journey["name"],
        state(journey["state"]),
        journey["version"] or None,
        moment(journey["first_published_at"]),
        moment(journey["updated_at"]),
    )


def _draw_saved(saved: dict[str, Any]) -> RenderableType:
    problems = list(read_problems(saved["problems"]))
    said = Text(f"The draft of {saved['key']} is saved (revision {saved['revision']})")
    if any(each.severity == "error" for each in problems):
        said.append("; it cannot be published yet:")
    else:
        said.append(f"; publish it with: wend publish {saved['key']}")
    return Group(said, problem_list(problems))
