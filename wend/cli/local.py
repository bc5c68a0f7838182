"""Wend on one machine: API, worker and relay in one process, on one SQLite file, against a Temporal of its own."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from pydantic import AnyHttpUrl, SecretStr
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from wend.channels.settings import ChannelSettings, HttpSmsSettings, SmtpSettings
from wend.cli import serving
from wend.cli.state import StateDirectory
from wend.cli.supervising import Part, run_until
from wend.devserver import DevServer
from wend.settings import Settings
from wend.storage.database import Database


def local_settings(
    state: StateDirectory, port: int, smtp_port: int, sink_url: str, api_token: SecretStr | None = None
) -> Settings:
    """Return settings that depend on nothing but these: the environment and ``.env`` have no say."""
    return Settings(
        database_url=state.database_url,
        host="127.0.0.1",
        port=port,
        api_token=api_token,
        public_url=AnyHttpUrl(f"http://127.0.0.1:{port}"),
        token_keys=SecretStr(state.token_keys()),
        task_queue="wend",
        deployment=None,
        build_id=None,
        channels=ChannelSettings(
            email="smtp",
            sms="http",
            smtp=SmtpSettings(port=smtp_port),
            http_sms=HttpSmsSettings(url=f"{sink_url}/sms"),
        ),
        log_format="console",
        default_region=None,
    )


async def connect(address: str) -> Client:
    """Connect to a Temporal server of our own, whatever the environment says about another one."""
    return await Client.connect(address, namespace=DevServer.namespace, data_converter=pydantic_data_converter)


async def serve(
    settings: Settings,
    temporal: str,
    listener: socket.socket,
    stopping: asyncio.Event,
    *,
    more: Sequence[Part] = (),
    ready: Callable[[Database], None],
) -> None:
    """Run API, worker and relay until they are asked to stop.

    Args:
        settings: As ``local_settings`` returns them.
        temporal: The server's address.
        listener: Where the API is served.
        stopping: Set when it is time to stop.
        more: Parts that run along.
        ready: Called with the open database, in a thread, before anything runs.
    """
    database = await serving.open_database(settings)
    try:
        client = await connect(temporal)
        telemetry = serving.telemetry_of("api", "worker", "relay")
        async with serving.open_core(settings, database, client, telemetry) as core:
            parts = [
                serving.api_part(settings, database, listener, telemetry),
                serving.worker_part(core, settings),
                serving.relay_part(core),
                serving.clock_part(database, telemetry),
                *more,
            ]
            await asyncio.to_thread(ready, database)
            await run_until(stopping, parts)
    finally:
        await asyncio.to_thread(database.close)


def temporal_part(server: DevServer) -> Part:
    """Return a part that runs as long as the Temporal server does."""
    asked = asyncio.Event()

    async def run() -> None:
        while server.is_running():
            with suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), 0.2)
                return

    async def stop() -> None:
        asked.set()

    return Part("The Temporal server", run, stop, turn=2)
