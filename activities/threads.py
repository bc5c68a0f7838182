"""Where database work of ``async`` activities runs: never on an event loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import timedelta
from typing import ParamSpec, TypeVar

from temporalio import activity

from wend.errors import Unavailable

BEAT = timedelta(seconds=5)
"""How often Temporal hears of a long call that its worker lives."""

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Runs blocking calls in an executor's threads."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the call returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: call(*args, **kwargs))

    async def run_long(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a call of minutes returns; until then the activity's heartbeat says that this attempt lives."""
        running = asyncio.ensure_future(self.run(call, *args, **kwargs))
        while not (await asyncio.wait({running}, timeout=BEAT.total_seconds()))[0]:
            activity.heartbeat()
        return await running

    async def insist(self, until: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a transaction returns, trying again until an instant of the monotonic clock.

        Raises:
            Unavailable: The database did not come back in time.
        """
        pause = 0.2
        while True:
            try:
                return await self.run(call, *args, **kwargs)
            except Unavailable:
                if time.monotonic() + pause > until:
                    raise
                await asyncio.sleep(pause)
                pause *= 2
