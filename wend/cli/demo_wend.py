"""The demo's Wend: API, worker and relay in one process, and the journey published when it has not been yet."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from wend.cli.local import local_settings, serve
from wend.cli.plan import Plan
from wend.cli.ports import LOCAL, listen
from wend.cli.sampling import load_journeys
from wend.cli.state import Addresses, StateDirectory
from wend.cli.supervising import run_process
from wend.storage.database import Database


def serve_wend(dir: Path, port: int, temporal: str, smtp_port: int, sink: str) -> None:
    """Run it until SIGTERM."""
    state = StateDirectory(dir)
    plan = Plan.read(state)

    async def run(stopping: asyncio.Event) -> None:
        settings = local_settings(state, port, smtp_port, sink)

        def ready(database: Database) -> None:
            now = datetime.now(UTC)
            with database.write() as connection:
                load_journeys(connection, [plan.journey(now)], now)
            state.announce(Addresses.here(f"http://{LOCAL}:{port}", temporal, None, sink))

        await serve(settings, temporal, listen(LOCAL, port), stopping, ready=ready)

    run_process(run)
