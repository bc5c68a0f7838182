"""The processes of a production installation: ``migrate``, ``api``, ``worker``, ``relay``, ``sink``.

Settings come from ``WEND_*`` in the environment, Temporal's own from ``TEMPORAL_*``. Each waits a while for what it
needs, says so, and ends with a clear line if that does not come. SIGTERM lets it finish what it has begun.
"""

import asyncio
import socket
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from wend.cli import supervising
from wend.cli.ports import MOST_PORT
from wend.cli.screen import say
from wend.cli.supervising import run_process
from wend.errors import Conflict, InvalidDocument, Problem
from wend.settings import Settings

if TYPE_CHECKING:
    from wend.cli.logs import Shape

Patience = Annotated[int, typer.Option(help="Seconds to wait for the database and for Temporal.", min=0)]


class NeedsPostgres(Conflict):
    """A process of its own was asked for on SQLite, which one process alone can write to."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} as a process of its own needs PostgreSQL, and WEND_DATABASE_URL names an SQLite file, which one "
            "process at a time can write to. Set WEND_DATABASE_URL=postgresql://USER@HOST/NAME, or run everything in "
            "one process: wend up"
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (migrate, api, worker, relay, sink):
        app.command()(command)


def migrate(patience: Patience = 60) -> None:
    """Bring the database's tables up to date; does nothing where they are."""
    from wend.cli import logs, serving
    from wend.storage import schema

    settings = read_settings()
    logs.configure(_shape(settings))

    async def bring(stopping: asyncio.Event) -> None:
        def once() -> tuple[str | None, str]:
            before = schema.current(settings.database_url)
            schema.upgrade(settings.database_url)
            return before, schema.head()

        before, now = await serving.patiently(
            "the database", lambda: asyncio.to_thread(once), timedelta(seconds=patience), stopping
        )
        say(f"The database is up to date: {now}" if before == now else f"The database went from {before} to {now}")

    run_process(bring)


def api(patience: Patience = 60) -> None:
    """Run the HTTP API, and answer clicks (WEND_HOST, WEND_PORT)."""
    from wend.cli import logs, serving

    settings = read_settings()
    _want_postgres(settings, "The API")
    logs.configure(_shape(settings))

    async def run(stopping: asyncio.Event) -> None:
        database = await serving.patiently(
            "the database", lambda: serving.open_database(settings), timedelta(seconds=patience), stopping
        )
        try:
            telemetry = serving.telemetry_of("api")
            part = serving.api_part(settings, database, _listen("The API", settings.host, settings.port), telemetry)
            serving.log.info("started", part="api", host=settings.host, port=settings.port)
            await supervising.run_until(stopping, [part, serving.clock_part(database, telemetry)])
        finally:
            await asyncio.to_thread(database.close)
        serving.log.info("stopped", part="api")

    run_process(run)


def worker(patience: Patience = 60) -> None:
    """Run a worker: it decides, sends, and takes segments in. As many of them as you like."""
    _run_on_temporal("worker", timedelta(seconds=patience))


def relay(patience: Patience = 60) -> None:
    """Run a relay: it carries what was committed to Temporal."""
    _run_on_temporal("relay", timedelta(seconds=patience))


def sink(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port of the inbox and of the SMS provider; 0 takes any free one.", min=0, max=MOST_PORT)
    ] = 8025,
    smtp_port: Annotated[int, typer.Option(help="Port for e-mail; 0 takes any free one.", min=0, max=MOST_PORT)] = 1025,
    file: Annotated[Path | None, typer.Option(help="Keeps messages here; without it, in memory.")] = None,
    ready: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run a catcher of e-mail and text messages, with an inbox to look at. Nothing leaves it."""
    from wend.cli import logs
    from wend.cli.ports import WantedPort, check_free
    from wend.cli.state import write_json
    from wend.sink import Sink

    check_free(
        [WantedPort(port, "the inbox", "--port"), WantedPort(smtp_port, "the inbox's SMTP", "--smtp-port")],
        "sink",
        host,
    )
    if file is not None:
        _check_file(file)
    logs.configure("console")

    async def run(stopping: asyncio.Event) -> None:
        async with Sink(file, smtp_port, port, host) as catcher:
            say(f"Inbox {catcher.http_url}, SMTP on port {catcher.smtp_port}, text messages at {catcher.http_url}/sms")
            if ready is not None:
                write_json(ready, {"url": catcher.http_url, "smtp_port": catcher.smtp_port})
            await stopping.wait()

    run_process(run)


def read_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        InvalidDocument: Every problem, each with the variable that has it; no value is repeated.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            Problem("__".join(["WEND", *map(str, each["loc"])]).replace("__", "_", 1).upper(), each["msg"])
            if each["loc"]
            else Problem("", each["msg"].removeprefix("Value error, "))
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidDocument("The environment", problems) from None
    except SettingsError as error:
        raise InvalidDocument("The environment", [Problem("", str(error))]) from None


def _run_on_temporal(what: Literal["worker", "relay"], patience: timedelta) -> None:
    from wend import temporal
    from wend.cli import logs, serving

    settings = read_settings()
    _want_postgres(settings, f"The {what}")
    if what == "worker":
        settings.keys()
    logs.configure(_shape(settings))

    async def run(stopping: asyncio.Event) -> None:
        database = await serving.patiently("the database", lambda: serving.open_database(settings), patience, stopping)
        try:
            client = await serving.patiently("Temporal", temporal.connect, patience, stopping)
            await serving.patiently("Temporal", lambda: serving.register_search_attributes(client), patience, stopping)
            telemetry = serving.telemetry_of(what)
            async with serving.open_core(settings, database, client, telemetry) as core:
                part = serving.worker_part(core, settings) if what == "worker" else serving.relay_part(core)
                parts = [part, serving.clock_part(database, telemetry)]
                if settings.metrics_port is not None:
                    listener = _listen("The metrics", settings.metrics_host, settings.metrics_port, "WEND_METRICS_")
                    serving.log.info("started", part="metrics", port=listener.getsockname()[1])
                    parts.append(serving.metrics_part(settings, core, listener))
                serving.log.info("started", part=what, namespace=client.namespace, task_queue=settings.task_queue)
                await supervising.run_until(stopping, parts)
        finally:
            await asyncio.to_thread(database.close)
        serving.log.info("stopped", part=what)

    run_process(run)


def _check_file(file: Path) -> None:
    """Return if the inbox can be kept there.

    Raises:
        Conflict: It cannot.
    """
    try:
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        raise Conflict(
            f"The inbox cannot be kept in {str(file)!r}: {error}. Choose another one with --file."
        ) from error


def _listen(what: str, host: str, port: int, variables: str = "WEND_") -> socket.socket:
    from wend.cli.ports import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise Conflict(
            f"{what} cannot listen on {host}, port {port}: {error.strerror}. "
            f"{variables}HOST and {variables}PORT change it."
        ) from error


def _want_postgres(settings: Settings, what: str) -> None:
    """Refuse SQLite.

    Raises:
        NeedsPostgres: The settings name an SQLite file.
    """
    from wend.storage.database import parse_url

    if parse_url(settings.database_url).get_backend_name() == "sqlite":
        raise NeedsPostgres(what)


def _shape(settings: Settings) -> "Shape":
    return "json" if settings.log_format == "json" else "console"
