"""Several of the SDK's workers in one, since one of them works on one task queue."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from temporalio.worker import Worker


class WorkerGroup:
    """Workers that run and stop together, as if they were one.

    Args:
        workers: At least one.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    async def run(self) -> None:
        """Run until all are shut down. A cancellation shuts them down in good order.

        Raises:
            Exception: What one of them ended with; the others were shut down.
        """
        running = [asyncio.create_task(worker.run()) for worker in self._workers]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in running:
                task.cancel()
            results = await asyncio.gather(*running, return_exceptions=True)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise failures[0]

    async def shutdown(self) -> None:
        """Have them finish what they have begun; return when they have."""
        await asyncio.gather(*(worker.shutdown() for worker in self._workers))

    async def __aenter__(self) -> Self:
        """Start them; if one fails, the block is cancelled and its error raised."""
        for worker in self._workers:
            await worker.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Shut them down."""
        await asyncio.gather(*(worker.__aexit__(kind, error, traceback) for worker in self._workers))
