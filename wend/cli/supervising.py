"""Several parts in one process: run until one is asked to stop, stopped in good order, and none may end unseen."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wend.errors import WendError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PartEnded(WendError):
    """A part of the process ended when it should run."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} ended by itself; everything was stopped.")
        self.name = name


@dataclass(frozen=True)
class Part:
    """Something that runs until it is told to stop.

    Attributes:
        name: What a person calls it.
        run: Returns when it has stopped.
        stop: Asks it to stop, and may return before it has.
        turn: Parts of a later turn are asked to stop when those of earlier ones have stopped.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]
    turn: int = 0


@asynccontextmanager
async def stop_signals() -> AsyncIterator[asyncio.Event]:
    """Yield an event that Ctrl-C and SIGTERM set; a second one of them ends the process at once."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def heard() -> None:
        stopping.set()
        for each in SIGNALS:
            loop.remove_signal_handler(each)  # back to what the system does

    for each in SIGNALS:
        loop.add_signal_handler(each, heard)
    try:
        yield stopping
    finally:
        for each in SIGNALS:
            loop.remove_signal_handler(each)


class StopAsked(Exception):
    """The process was asked to stop before it had started."""


def run_process(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run ``main`` until it returns; Ctrl-C and SIGTERM set the event that it is given."""

    async def run() -> None:
        async with stop_signals() as stopping:
            try:
                await main(stopping)
            except StopAsked:
                return

    asyncio.run(run())


async def run_until(stopping: asyncio.Event, parts: Sequence[Part]) -> None:
    """Run the parts until the event is set, then stop them, turn by turn, and wait until they have.

    Raises:
        PartEnded: One ended by itself; the others were stopped.
        Exception: Whatever one ended with.
    """
    running = {asyncio.ensure_future(_run(part)): part for part in parts}
    asked = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({asked, *running}, return_when=asyncio.FIRST_COMPLETED)
        by_itself = None if stopping.is_set() else next((part for task, part in running.items() if task.done()), None)
        for turn in sorted({part.turn for part in parts}):
            those = {task: part for task, part in running.items() if part.turn == turn and not task.done()}
            await asyncio.gather(*(part.stop() for part in those.values()))
            await asyncio.gather(*those, return_exceptions=True)
        results = await asyncio.gather(*running, return_exceptions=True)
    finally:
        asked.cancel()
        for task in running:
            task.cancel()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    if by_itself is not None:
        raise PartEnded(by_itself.name)


async def _run(part: Part) -> None:
    await part.run()
