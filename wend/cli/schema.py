"""``wend schema``: the schemas of documents, for editors; they come with Wend and need no API."""

import json
from typing import Annotated

import typer

from wend.cli.session import JOURNEYS

schema = typer.Typer(help="JSON Schemas of what people write, for editors.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(schema, name="schema", rich_help_panel=JOURNEYS)


@schema.command("journey")
def journey(
    as_json: Annotated[bool, typer.Option("--json", help="What it prints is JSON anyhow.")] = False,
) -> None:
    """Print the JSON Schema of a journey definition; needs no API.

    Example: wend schema journey > journey.schema.json
    """
    from wend.documents import definition_schema

    typer.echo(json.dumps(definition_schema(), indent=2, ensure_ascii=False))
