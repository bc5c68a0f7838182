"""``wend up``: everything on this machine, with one command; ``wend try``: one person through it at once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wend.cli.ports import LOCAL, MOST_PORT, WantedPort, check_free, listen
from wend.cli.screen import LINK, called_by_make, out, own_command, say
from wend.cli.session import api_token
from wend.cli.state import Addresses, StateDirectory
from wend.errors import Conflict, InvalidDocument, Problem
from wend.settings import SHORTEST_TOKEN

if TYPE_CHECKING:
    from pydantic import SecretStr

    from wend.cli.sampling import Loaded
    from wend.storage.database import Database

Dir = Annotated[Path, typer.Option("--dir", help="State directory.")]
DIR = Path(".wend")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command("try")(try_it)


def up(
    dir: Dir = DIR,
    port: Annotated[
        int,
        typer.Option(
            help="The API, and links in messages; 0 takes any free port, here and below.", min=0, max=MOST_PORT
        ),
    ] = 8000,
    temporal_port: Annotated[int, typer.Option(help="The Temporal server.", min=0, max=MOST_PORT)] = 7233,
    ui_port: Annotated[int, typer.Option(help="The Temporal UI.", min=0, max=MOST_PORT)] = 8233,
    sink_port: Annotated[
        int, typer.Option(help="The inbox, and the provider of text messages.", min=0, max=MOST_PORT)
    ] = 8025,
    smtp_port: Annotated[int, typer.Option(help="The inbox's SMTP.", min=0, max=MOST_PORT)] = 1025,
    samples: Annotated[bool, typer.Option("--samples/--no-samples", help="Load sample people and journeys.")] = True,
) -> None:  # fmt: skip
    """Run Wend on this machine: Temporal with its UI, API, worker, relay, and an inbox for what is sent.

    Everything is kept in the state directory; the next start goes on where this one was. If WEND_API_TOKEN is set,
    the API asks for it.
    """
    from wend.cli import logs
    from wend.cli.supervising import run_process

    token = _token()
    state = StateDirectory(dir).make()
    with state.held():
        check_free(
            [
                WantedPort(port, "the API", "--port"),
                WantedPort(temporal_port, "the Temporal server", "--temporal-port"),
                WantedPort(ui_port, "the Temporal UI", "--ui-port"),
                WantedPort(sink_port, "the inbox", "--sink-port"),
                WantedPort(smtp_port, "the inbox's SMTP", "--smtp-port"),
            ],
            "up",
        )
        logs.configure("console", state.log)

        async def run(stopping: asyncio.Event) -> None:
            await _run(state, port, temporal_port, ui_port, sink_port, smtp_port, samples, token, stopping)

        run_process(run)
        say("Stopped. The next start goes on from here.")


async def _run(
    state: StateDirectory,
    port: int,
    temporal_port: int,
    ui_port: int,
    sink_port: int,
    smtp_port: int,
    samples: bool,
    token: "SecretStr | None",
    stopping: asyncio.Event,
) -> None:
    from wend.cli import local
    from wend.cli.sampling import load_samples
    from wend.devserver import DevServer
    from wend.sink import Sink
    from wend.storage import schema
    from wend.storage.database import Database

    options = {"port": "--temporal-port", "ui_port": "--ui-port"}
    server = DevServer(port=temporal_port, ui_port=ui_port, database=state.temporal_database, options=options)
    with out.status("Starting the Temporal server …"):
        await asyncio.to_thread(server.start)
    try:
        with out.status("Preparing the database …"):
            await asyncio.to_thread(schema.upgrade, state.database_url)
        async with Sink(state.sink_database, smtp_port, sink_port, LOCAL) as sink:
            listener = listen(LOCAL, port)
            settings = local.local_settings(state, listener.getsockname()[1], sink.smtp_port, sink.http_url, token)
            api = str(settings.public_url).rstrip("/")
            addresses = Addresses.here(api, server.address, server.ui_url, sink.http_url)

            def ready(database: Database) -> None:
                loaded = load_samples(database, datetime.now(UTC)) if samples else None
                state.announce(addresses)
                _tell(state, addresses, loaded, database)

            await local.serve(
                settings, server.address, listener, stopping, more=[local.temporal_part(server)], ready=ready
            )
            say("Stopping …")
    finally:
        state.withdraw()
        await asyncio.to_thread(server.stop)


def _token() -> "SecretStr | None":
    """Return the key that the API is to ask for; ``None`` where the environment holds none.

    Raises:
        InvalidDocument: It is too short to be one.
    """
    from pydantic import SecretStr

    token = api_token()
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise InvalidDocument(
            "The environment", [Problem("WEND_API_TOKEN", f"is shorter than {SHORTEST_TOKEN} characters")]
        )
    return SecretStr(token) if token is not None else None


def _tell(state: StateDirectory, addresses: Addresses, loaded: "Loaded | None", database: "Database") -> None:
    """Print where everything is, and what to try next."""
    again = "make up" if called_by_make() else "wend up"
    say(f"\nWend is up. Ctrl-C stops it; the next `{again}` goes on where it was.\n", "bold green")
    for what, where in (
        ("API", f"{addresses.api}/docs"),
        ("Temporal UI", addresses.temporal_ui),
        ("Inbox", f"{addresses.inbox}   every mail and text message that is sent; nothing leaves this machine"),
        ("State", f"{_short(state.path)}   (log: {_short(state.log)})"),
    ):
        say(f"  {what:<13}{where}")
    if api_token() is not None:
        say("\nThe API asks for the key in WEND_API_TOKEN; commands take it from their environment.")
    if loaded and (loaded.profiles or loaded.things):
        say(f"\nLoaded {loaded.profiles} invented people, and {', '.join(loaded.things)}.")
    if (reference := _reference(database)) is not None:
        say(f"\n{reference}")
    if _can_be_tried(database):
        option = "" if state.path == StateDirectory(DIR).path else f" --dir {_short(state.path)}"
        say("\nTo see a journey at once, send one person through a short form of it:\n")
        say(f"  {own_command()} try{option}\n", "bold")
        say(f"then open the inbox and click {LINK!r} in the mail: the text message follows within seconds.\n")


def _can_be_tried(database: "Database") -> bool:
    from wend.cli.sampling import TO_TRY
    from wend.errors import NotFound
    from wend.lifecycle.figures import read_figures

    try:
        with database.read() as connection:
            return read_figures(connection, TO_TRY, []).state == "live"
    except NotFound:
        return False


def _reference(database: "Database") -> str | None:
    """Say how the reference journey stands; None if it is not there."""
    from wend.cli.sampling import REFERENCE
    from wend.entries.timetable import Timetable
    from wend.errors import NotFound
    from wend.lifecycle.figures import read_figures
    from wend.lifecycle.versions import Versions

    try:
        with database.read() as connection:
            figures = read_figures(connection, REFERENCE, [])
    except NotFound:
        return None
    if figures.entered:
        return f"The journey {REFERENCE!r} is {figures.state}: {figures.entered} entered, {figures.inside} are inside."
    ahead = Timetable(database, Versions()).ahead(REFERENCE, datetime.now(UTC))
    if ahead is None or not (ahead.coming or ahead.overdue):
        return f"The journey {REFERENCE!r} is {figures.state}."
    entry = ahead.version.definition.entry
    assert entry is not None, "it has occurrences"
    whom = " or ".join(repr(segment) for segment in entry.segments)
    when = f"at {ahead.coming[0].at.astimezone():%H:%M %Z on %Y-%m-%d}" if ahead.coming else "now"
    return f"The journey {REFERENCE!r} is published: {when} it takes in everybody in {whom}."


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def try_it(dir: Dir = DIR) -> None:
    """Send one of the sample people through a short form of the reference journey, now."""
    from wend.cli.trying import send_somebody

    state = StateDirectory(dir)
    addresses = state.read_addresses()
    if addresses is None:
        raise Conflict(f"No Wend runs on {_short(state.path)!r}. Start it in another terminal: wend up")
    send_somebody(addresses)
