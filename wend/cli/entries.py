"""``wend entries``, ``wend entry``: the occasions on which people entered a journey."""

from typing import Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.output import clean, fields, instant, listing, moment, say_value, state
from wend.cli.session import JOURNEYS, Limit, Session, asks_api

Key = Annotated[str, typer.Argument(help="The journey's key.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("entries", rich_help_panel=JOURNEYS)(entries)
    app.command("entry", rich_help_panel=JOURNEYS)(entry)


@asks_api
def entries(
    session: Session,
    key: Key,
    kind: Annotated[
        Literal["segment", "api"], typer.Option(help="Those of the segment, or starts of one person through the API.")
    ] = "segment",
    limit: Limit = 100,
) -> None:
    """List the occasions on which people entered a journey, latest first.

    Example: wend entries product-launch
    """
    found, more = session.api.listing("journeys", key, "entries", kind=kind, limit=limit)
    columns = ["entry", "occurrence", "version#", "state", "due (UTC)", "members#", "entered#", "excluded"]
    session.output.show(found, listing(columns, _row, f"Nobody entered {key} yet."))
    if more:
        session.output.note("There are more: --limit")


@asks_api
def entry(session: Session, key: Key, id: Annotated[str, typer.Argument(metavar="ID", help="The entry's id.")]) -> None:
    """Show an entry: members, entered, excluded by reason.

    Example: wend entry product-launch 0190b3c1-8f0e-4a53-9d0c-6a1f5f0d2b11
    """
    session.output.show(session.api.get("journeys", key, "entries", id), _draw)


def say_excluded(excluded: dict[str, int]) -> str:
    """Return exclusions by reason: ``no identity 3, excluded segment 2``."""
    return say_value({reason.replace("_", " "): count for reason, count in excluded.items()})


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    return (
        entry["id"],
        entry["occurrence"],
        entry["version"],
        state(entry["state"]),
        moment(entry["due_at"]),
        entry["members"],
        entry["entered"],
        say_excluded(entry["excluded"]),
    )


def _draw(entry: dict[str, Any]) -> RenderableType:
    values = {
        "journey": f"{entry['journey']}, version {entry['version']}",
        "kind": entry["kind"],
        "state": state(entry["state"]).append(f" ({clean(entry['error'])})" if entry["error"] else ""),
        "due": instant(entry["due_at"]),
        "opened": instant(entry["opened_at"]),
        "finished": instant(entry["finished_at"]),
        "members": entry["members"],
        "entered": f"{entry['entered']:,} ({entry['started']:,} are started)",
        "excluded": say_excluded(entry["excluded"]),
    }
    return Group(Text(f"Entry {clean(entry['occurrence'])}", "bold"), fields(values))
