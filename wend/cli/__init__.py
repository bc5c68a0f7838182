"""The command line, ``wend``: puts the layers together as worker.py does, and talks to a running Wend.

Each module registers its own commands. Whatever is slow to import is imported when its command runs.
"""

import sys

import typer

from wend.cli.auditing import register as auditing
from wend.cli.changing import register as changing
from wend.cli.demo import register as demo
from wend.cli.doctor import register as doctor
from wend.cli.entries import register as entries
from wend.cli.events import register as events
from wend.cli.journeys import register as journeys
from wend.cli.messages import register as messages
from wend.cli.processes import register as processes
from wend.cli.profiles import register as profiles
from wend.cli.running import register as running
from wend.cli.runs import register as runs
from wend.cli.schema import register as schema
from wend.cli.screen import complain
from wend.cli.segments import register as segments
from wend.cli.top import register as top
from wend.cli.up import register as up
from wend.errors import WendError

app = typer.Typer(
    name="wend",
    help="Customer journeys as durable workflows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals hold secrets and addresses
)
for register in (
    *(up, demo, doctor, processes),
    *(profiles, segments, messages),
    *(journeys, running, changing, auditing, top),
    *(entries, runs, events, schema),
):
    register(app)


def main() -> None:
    """Run the command that was asked for; what Wend refuses is said in words, and the exit status is 1."""
    try:
        app()
    except WendError as error:
        complain(str(error))
        sys.exit(1)
