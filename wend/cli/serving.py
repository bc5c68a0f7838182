"""The parts that a Wend process is made of: API, worker, relay; and what each needs before it can run."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TypeVar

import structlog
import uvicorn
from starlette.types import ASGIApp
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode

from api.app import create_app
from api.metrics.app import MetricsDoor, create_metrics_app
from api.parts import ApiParts
from wend.channels.factory import channels_from_settings
from wend.cli.supervising import Part, StopAsked
from wend.clocks import ClockWatch
from wend.errors import Unavailable
from wend.reconciling.launching import ensure_routine
from wend.relay import run_until as run_relay_until
from wend.settings import Settings
from wend.storage.database import Database
from wend.storage.schema import check_schema
from wend.telemetry import ProcessPart, Telemetry
from wend.temporal import ensure_search_attributes
from worker import THREADS, Core, build_relay, build_worker

T = TypeVar("T")

CONNECTIONS = 2 * THREADS
"""Database connections of one process: for the worker's threads, and as many for the API's."""

ANSWERS_WITHIN = timedelta(seconds=10)
"""How long the API goes on with requests when it is to stop. The rest is cut off: committed or not, nobody is told."""

log = structlog.get_logger()


async def patiently(what: str, call: Callable[[], Awaitable[T]], patience: timedelta, stopping: asyncio.Event) -> T:
    """Return what ``call`` returns; while it finds nobody there it is called again, every second.

    Raises:
        Unavailable: Nobody was there for so long.
        StopAsked: The process was asked to stop meanwhile.
    """
    deadline = monotonic() + patience.total_seconds()
    while True:
        try:
            return await call()
        except Unavailable as error:
            if monotonic() > deadline:
                raise
            log.warning("waits", on=what, seconds_left=round(deadline - monotonic()), error=str(error))
        try:
            await asyncio.wait_for(stopping.wait(), 1)
        except TimeoutError:
            continue
        raise StopAsked


async def open_database(settings: Settings) -> Database:
    """Return the database, its schema checked.

    Raises:
        Unavailable: It cannot be reached.
        SchemaMismatch: It is not the schema that this code was written for.
        DatabaseInUse: Another process has the SQLite file.
    """

    def open_() -> Database:
        database = Database(settings.database_url, connections=CONNECTIONS)
        try:
            check_schema(database)
        except BaseException:
            database.close()
            raise
        return database

    return await asyncio.to_thread(open_)


async def register_search_attributes(client: Client) -> None:
    """Register Wend's search attributes; where that is not for us to do, say so and go on.

    Raises:
        Unavailable: The server does not answer.
    """
    try:
        await ensure_search_attributes(client)
    except Unavailable as error:
        cause = error.__cause__
        refusals = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.UNAUTHENTICATED)
        if not (isinstance(cause, RPCError) and cause.status in refusals):
            raise
        log.warning("search attributes not registered: whoever runs the namespace has to", error=cause.message)


def telemetry_of(*parts: ProcessPart) -> Telemetry:
    """Return what is told what happens in this process, by the host's clock."""
    return Telemetry(*parts, clock=lambda: datetime.now(UTC))


@asynccontextmanager
async def open_core(
    settings: Settings, database: Database, client: Client, telemetry: Telemetry
) -> AsyncIterator[Core]:
    """Yield what worker and relay work with; its threads have ended when the block has."""
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="wend")
    try:
        yield Core.build(
            database, client, executor, settings.task_queue, settings.entry_rate, settings.channels.rates(), telemetry
        )
    finally:
        await asyncio.to_thread(executor.shutdown)


def worker_part(core: Core, settings: Settings) -> Part:
    """Return the worker; when it stops, sends under way are finished first."""
    channels = channels_from_settings(settings.channels)
    public_url = str(settings.public_url).rstrip("/")
    worker = build_worker(
        core, channels, settings.keys(), public_url, sends_at_once=settings.sends_at_once, build=_build(settings)
    )

    async def run() -> None:
        try:
            await _schedule_reconciliations(core, settings)
            await worker.run()
        finally:
            await channels.aclose()

    return Part("The worker", run, worker.shutdown, turn=1)


async def _schedule_reconciliations(core: Core, settings: Settings) -> None:
    try:
        await ensure_routine(core.client, settings.reconcile_every, core.task_queue)
    except RPCError as error:  # runs do not wait for that; the next worker that starts tries it again
        log.warning("reconciliations are not scheduled", error=error.message)


def _build(settings: Settings) -> WorkerDeploymentVersion | None:
    if settings.deployment is None or settings.build_id is None:  # the settings have both, or neither
        return None
    return WorkerDeploymentVersion(settings.deployment, settings.build_id)


def relay_part(core: Core) -> Part:
    """Return the relay; when it stops, what it has taken is told first, or given back."""
    relay = build_relay(core)
    asked = asyncio.Event()

    async def stop() -> None:
        asked.set()

    return Part("The relay", lambda: run_relay_until(relay, asked), stop, turn=1)


def clock_part(database: Database, telemetry: Telemetry) -> Part:
    """Return what compares this host's clock with others."""
    watch = ClockWatch(database, telemetry)
    asked = asyncio.Event()

    async def stop() -> None:
        asked.set()

    return Part("The clock watch", lambda: watch.run(asked), stop, turn=2)


def metrics_part(settings: Settings, core: Core, listener: socket.socket) -> Part:
    """Return the metrics of a process without an API, served until the others have stopped."""
    token = settings.api_token.get_secret_value() if settings.api_token is not None else None
    door = MetricsDoor(f"http://{settings.metrics_host}:{settings.metrics_port}", token)
    app = create_metrics_app(core.database, core.versions, core.telemetry, door)
    return _served("The metrics", app, listener, turn=2)


def api_part(settings: Settings, database: Database, listener: socket.socket, telemetry: Telemetry) -> Part:
    """Return the HTTP API, served on a socket that listens already.

    It stops before the others, and answers what it has begun, for at most ``ANSWERS_WITHIN``.
    """
    parts = ApiParts(
        database,
        settings.keys(),
        lambda: datetime.now(UTC),
        str(settings.public_url).rstrip("/"),
        settings.api_token.get_secret_value() if settings.api_token is not None else None,
        settings.default_region,
        telemetry=telemetry,
    )
    return _served("The API", create_app(parts), listener, turn=0)


def _served(name: str, app: ASGIApp, listener: socket.socket, turn: int) -> Part:
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # paths hold tokens
            server_header=False,
            timeout_graceful_shutdown=ANSWERS_WITHIN // timedelta(seconds=1),
        )
    )

    async def stop() -> None:
        server.should_exit = True

    return Part(name, lambda: server.serve(sockets=[listener]), stop, turn)


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
