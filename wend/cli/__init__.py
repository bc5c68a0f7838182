"""The command line, ``wend``: puts the layers together as worker.py does, and talks to a running Wend.

Each module registers its own commands. Whatever is slow to import is imported when its command runs.
"""

import logging
import os
import sys
from contextlib import suppress

import typer

from wend.cli.auditing import register as auditing
from wend.cli.changing import register as changing
from wend.cli.demo import register as demo
from wend.cli.doctor import register as doctor
from wend.cli.entries import register as entries
from wend.cli.events import register as events
from wend.cli.journeys import register as journeys
from wend.cli.messages import register as messages
from wend.cli.patches import register as patches
from wend.cli.processes import register as processes
from wend.cli.profiles import register as profiles
from wend.cli.reconciling import register as reconciling
from wend.cli.running import register as running
from wend.cli.runs import register as runs
from wend.cli.schema import register as schema
from wend.cli.screen import complain
from wend.cli.segments import register as segments
from wend.cli.sends import register as sends
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
    *(profiles, segments, messages, sends),
    *(journeys, running, changing, reconciling, auditing, top),
    *(entries, runs, events, schema, patches),
):
    register(app)


def main() -> None:
    """Run the command that was asked for, and end the process with its exit status.

    A process that has talked to Temporal ends at once, without Python's own clearing up: threads of the SDK's take the
    interpreter's lock a last time when a call is over, and where they meet an interpreter that is ending, the process
    is aborted (more than half of the time on a busy machine) after all has been done and said.
    """
    status = run()
    if "temporalio.bridge" not in sys.modules:
        sys.exit(status)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):  # whoever read it has gone
            stream.flush()
    os._exit(status)


def run() -> int:
    """Run the command that was asked for, and return its exit status; what Wend refuses is said in words, and is 1."""
    try:
        app()
    except WendError as error:
        complain(str(error))
        return 1
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
