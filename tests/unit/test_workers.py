"""Several workers as one: none goes on alone."""

import asyncio
from typing import Any, cast

import pytest

from wend.workers import WorkerGroup


class Standing:
    """Runs until it is shut down, cancelled or told to fail, as the SDK's worker does."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failure: Exception | None = None
        self.stopped = False

    async def run(self) -> None:
        try:
            await self.asked.wait()
        finally:
            self.stopped = True
        if self.failure:
            raise self.failure

    async def shutdown(self) -> None:
        self.asked.set()


def group(*workers: Standing) -> WorkerGroup:
    return WorkerGroup([cast(Any, worker) for worker in workers])


async def test_one_that_fails_stops_the_others_and_its_error_is_raised() -> None:
    runs, emails = Standing(), Standing()
    emails.failure = RuntimeError("no such namespace")
    running = asyncio.create_task(group(runs, emails).run())
    await asyncio.sleep(0)
    emails.asked.set()
    with pytest.raises(RuntimeError, match="no such namespace"):
        await running
    assert runs.stopped


async def test_a_shutdown_ends_them_all() -> None:
    workers = Standing(), Standing(), Standing()
    together = group(*workers)
    running = asyncio.create_task(together.run())
    await asyncio.sleep(0)
    await together.shutdown()
    await running
    assert all(worker.stopped for worker in workers)


async def test_a_cancellation_reaches_them_all() -> None:
    workers = Standing(), Standing()
    running = asyncio.create_task(group(*workers).run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(worker.stopped for worker in workers)
