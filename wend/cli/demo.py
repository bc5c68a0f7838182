"""``wend demo``: the reference journey over some hundred invented people, to its end, and the figures checked.

Temporal, the sink, Wend and a reader of mails are processes of their own, children of this one. Wend may be killed in
the middle: it is started again, and the figures have to add up all the same.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from wend.cli.ports import MOST_PORT
from wend.cli.screen import err, out, own_command, say

MOST_MEMBERS = 20_000


def register(app: typer.Typer) -> None:
    """Add the commands; two of them are what the demo's own processes run."""
    app.command()(demo)
    app.command(hidden=True)(demo_wend)
    app.command(hidden=True)(demo_reader)


Port = Annotated[int, typer.Option(help="0 takes any free one.", min=0, max=MOST_PORT)]


def demo(
    members: Annotated[int, typer.Option(help="People in the segment.", min=1, max=MOST_MEMBERS)] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    dir: Annotated[
        Path | None, typer.Option("--dir", help="State directory, by default a fresh one; one that was begun goes on.")
    ] = None,
    window: Annotated[int, typer.Option(help="Seconds that people have to click.", min=1, max=3600)] = 20,
    kill: Annotated[bool, typer.Option(help="Kill the Wend process in the middle (SIGKILL).")] = False,
    port: Port = 0,
    temporal_port: Port = 0,
    ui_port: Port = 0,
    sink_port: Port = 0,
    smtp_port: Port = 0,
) -> None:  # fmt: skip
    """Take invented people through the reference journey, with short waits, and check the figures.

    Ends with status 1 if anything does not add up.
    """
    from wend.cli import logs
    from wend.cli.plan import Plan
    from wend.cli.ports import WantedPort, check_free
    from wend.cli.showing import Demo, fresh_directory
    from wend.cli.state import StateDirectory

    logs.configure("console")
    state = StateDirectory(dir or fresh_directory()).make()
    with _interruptible(f"wend demo --members {members} --dir {state.path}"), state.held():
        check_free(
            [
                WantedPort(port, "the API", "--port"),
                WantedPort(temporal_port, "the Temporal server", "--temporal-port"),
                WantedPort(ui_port, "the Temporal UI", "--ui-port"),
                WantedPort(sink_port, "the inbox", "--sink-port"),
                WantedPort(smtp_port, "the inbox's SMTP", "--smtp-port"),
            ],
            "demo",
        )
        plan = Plan.of(state, members, window, port)
        ports = {"temporal": temporal_port, "ui": ui_port, "sink": sink_port, "smtp": smtp_port}
        result = Demo(state, plan, ports, kill=kill, live=out.is_terminal and not as_json).run()
    if as_json:
        print(json.dumps(result.document(), indent=2))
    else:
        _show(result.document())
    raise typer.Exit(0 if result.consistent else 1)


def demo_wend(
    dir: Annotated[Path, typer.Option("--dir")],
    port: int = 0,
    temporal: str = "",
    smtp_port: int = 1025,
    sink: str = "",
) -> None:
    """Run the demo's Wend: API, worker and relay in one process."""
    from wend.cli import logs
    from wend.cli.demo_wend import serve_wend

    logs.configure("console")
    serve_wend(dir, port, temporal, smtp_port, sink)


def demo_reader(
    sink: str,
    links: str,
    followed: Path,
) -> None:
    """Run the demo's reader: follows links out of delivered mails."""
    from wend.cli import logs
    from wend.cli.reader import run

    logs.configure("console")
    run(sink, links, followed)


@contextmanager
def _interruptible(again: str) -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, so that its processes are stopped."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"Stopped. To go on: {again}", soft_wrap=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(result: dict[str, Any]) -> None:
    table = Table(title="The reference journey", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("members", str(result["members"]), "counted from the segment")
    table.add_row("entered", str(result["entered"]), "runs, one Temporal workflow each")
    for reason, count in result["excluded"].items():
        table.add_row("excluded", str(count), reason)
    table.add_row("mails", str(result["emails"]), "in the sink")
    table.add_row("clicks", str(result["clicks"]), "runs that went on by a click")
    table.add_row("timeouts", str(result["timeouts"]), "runs that went on without one")
    table.add_row("texts", str(result["texts"]), "in the sink")
    table.add_row("no address", str(result["no_address"]), "runs whose person clicked, and has no number to text to")
    table.add_row("uncertain", str(result["uncertain"]), "sends of which nobody knows; never repeated")
    for outcome, count in result["outcomes"].items():
        table.add_row("runs", str(count), outcome)
    if result["restarts"]:
        table.add_row("restarts", str(result["restarts"]), "of the Wend process")
    out.print(table)
    if result["consistent"]:
        say(f"Everything adds up, also against the sink's own count. {result['seconds']} seconds.", "green")
    for problem in result["problems"]:
        say(f"Does not add up: {problem}", "bold red")
    directory = result["directory"]
    say(f"It is all in {directory}; to look at it: {own_command()} up --no-samples --dir {directory}")
