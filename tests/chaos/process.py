"""A Wend process as the ring runs it: the product's own composition, with what the ring lays around it."""

import asyncio
import os
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

from tests.chaos import broken, pace, probes
from tests.chaos.faultlog import FaultLog
from tests.chaos.life import Order, Wiring
from tests.chaos.wrapping import put_in_place

LOCAL = "127.0.0.1"


def run(order: Order) -> None:
    """Be the part that is asked for, until SIGTERM or the strike."""
    _tell_environment(order.wiring)
    if order.part == "sink":
        return _sink(order)
    pace.keep(order.life.activities, order.life.pace or "brisk")
    broken.build(order.life.broken)
    probes.lay(probes.Probes(order.life.strike, FaultLog(order.faults)), order.life.batch)
    _shift_clock(order.life.clock)
    if order.part == "wend":
        return _everything(order)
    from wend.cli.processes import api, relay, worker

    {"api": api, "worker": worker, "relay": relay}[order.part]()


def _tell_environment(wiring: Wiring) -> None:
    for name in [name for name in os.environ if name.startswith(("WEND_", "TEMPORAL_"))]:
        del os.environ[name]
    os.environ.update(
        WEND_DATABASE_URL=wiring.database_url,
        WEND_HOST=LOCAL,
        WEND_PORT=str(wiring.port),
        WEND_PUBLIC_URL=f"http://{LOCAL}:{wiring.port}",
        WEND_TOKEN_KEYS=wiring.token_keys,
        WEND_CHANNELS__SMTP__PORT=str(wiring.smtp_port),
        WEND_CHANNELS__HTTP_SMS__URL=f"http://{LOCAL}:{wiring.sink_port}/sms",
        WEND_LOG_FORMAT="json",
        TEMPORAL_ADDRESS=wiring.temporal,
    )


def _everything(order: Order) -> None:
    """Be API, worker and relay on one SQLite file."""
    from wend.cli import local, logs
    from wend.cli.ports import listen
    from wend.cli.processes import read_settings
    from wend.cli.supervising import run_process

    logs.configure("json")

    async def serve(stopping: asyncio.Event) -> None:
        listener = listen(LOCAL, order.wiring.port)
        await local.serve(read_settings(), order.wiring.temporal, listener, stopping, ready=lambda _: None)

    run_process(serve)


def _sink(order: Order) -> None:
    from wend.cli.supervising import run_process
    from wend.sink import Sink

    async def catch(stopping: asyncio.Event) -> None:
        async with Sink(order.sink_file, order.wiring.smtp_port, order.wiring.sink_port, LOCAL):
            await stopping.wait()

    run_process(catch)


def _shift_clock(ahead: timedelta) -> None:
    """Put this process's clock wrong, where the product reads the host's."""
    if not ahead:
        return
    import worker
    from wend.cli import serving

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return datetime.now(UTC).astimezone(tz) + ahead  # type: ignore[return-value]

    for module in (worker, serving):
        put_in_place(module, "datetime", Wrong)
