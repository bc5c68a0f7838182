"""``wend entries``, ``wend entry``: the occasions on which people entered a journey."""

from typing import Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.inputs import IdempotencyKey
from wend.cli.output import clean, fields, instant, listing, moment, say_value, state
from wend.cli.session import JOURNEYS, Limit, Session, asks_api

Key = Annotated[str, typer.Argument(help="The journey's key.")]
States = Literal["failing", "asked", "open", "done", "failed", "missed", "skipped"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("entries", rich_help_panel=JOURNEYS)(entries)
    app.command("entry", rich_help_panel=JOURNEYS)(entry)
    app.command("take-in", rich_help_panel=JOURNEYS)(take_in)


@asks_api
def entries(
    session: Session,
    key: Key,
    kind: Annotated[
        Literal["segment", "api"],
        typer.Option(help="Those of its segments, joiners included; or starts of one person through the API."),
    ] = "segment",
    state: Annotated[States | None, typer.Option(help="Only those in this state.")] = None,
    limit: Limit = 100,
) -> None:
    """List the occasions on which people entered a journey, or were to; those that were due last come first.

    Example: wend entries product-launch --state missed
    """
    found, more = session.api.listing("journeys", key, "entries", kind=kind, state=state, limit=limit)
    columns = [
        "entry",
        "occurrence",
        "kind",
        "version#",
        "state",
        "due (UTC)",
        "members#",
        "entered#",
        "excluded, or why",
    ]
    nothing = f"No entry of {key} is {state}." if state else f"Nobody entered {key} yet."
    session.output.show(found, listing(columns, _row, nothing))
    if more:
        session.output.note("There are more: --limit")


@asks_api
def entry(session: Session, key: Key, id: Annotated[str, typer.Argument(metavar="ID", help="The entry's id.")]) -> None:
    """Show an entry: members, entered, excluded by reason.

    Example: wend entry product-launch 0190b3c1-8f0e-4a53-9d0c-6a1f5f0d2b11
    """
    session.output.show(session.api.get("journeys", key, "entries", id), _draw)


@asks_api
def take_in(
    session: Session,
    key: Key,
    occurrence: Annotated[str, typer.Argument(metavar="OCCURRENCE", help="Its name: wend entries KEY --state missed")],
    idempotency_key: IdempotencyKey = None,
) -> None:
    """Take an occurrence in after all that was missed or skipped, however late it is: whoever is a member now enters.

    Example: wend take-in product-launch 2026-12-01T09:00
    """
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    asked = session.api.post("journeys", key, "entries", body={"occurrence": occurrence}, headers=headers)

    def render(done: dict[str, Any]) -> Group:
        said = f"Occurrence {clean(done['occurrence'])} of {done['journey']} is taken in within moments"
        return Group(Text(said), Text(f"See what becomes of it: wend entries {done['journey']}", "dim"))

    session.output.show(asked, render)


def say_excluded(excluded: dict[str, int]) -> str:
    """Return exclusions by reason: ``no identity 3, excluded segment 2``."""
    return say_value({reason.replace("_", " "): count for reason, count in excluded.items()})


def _why(entry: dict[str, Any]) -> str | None:
    """Return why nobody, or not everybody, entered."""
    if entry["state"] == "failing":
        return f"{entry['attempts']} attempt(s) failed: {clean(entry['error'] or '')}"
    if entry["reason"] is not None:
        return clean(entry["reason"]).replace("_", " ")
    if entry["error"] is not None:
        return clean(entry["error"])
    return say_excluded(entry["excluded"]) if entry["excluded"] else None


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    return (
        entry["id"],
        entry["occurrence"],
        entry["kind"],
        entry["version"],
        state(entry["state"]),
        moment(entry["due_at"]),
        entry["members"],
        entry["entered"],
        _why(entry),
    )


def _draw(entry: dict[str, Any]) -> RenderableType:
    values = {
        "journey": f"{entry['journey']}, version {entry['version']}",
        "kind": entry["kind"],
        "state": state(entry["state"]),
        "due": instant(entry["due_at"]),
        "opened": instant(entry["opened_at"]),
        "finished": instant(entry["finished_at"]),
        "members": entry["members"],
        "entered": f"{entry['entered']:,} ({entry['started']:,} are started)",
        "excluded": say_excluded(entry["excluded"]),
    }
    if entry["reason"] is not None:
        values["why"] = clean(entry["reason"]).replace("_", " ")
    if entry["attempts"]:
        values["failed attempts"] = f"{entry['attempts']:,}, the last: {clean(entry['error'] or '')}"
    elif entry["error"]:
        values["error"] = clean(entry["error"])
    return Group(Text(f"Entry {clean(entry['occurrence'])}", "bold"), fields(values))
