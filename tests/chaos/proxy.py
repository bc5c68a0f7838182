"""A wire that can be cut: forwards TCP connections, drops them all when it is told to."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

Target = tuple[str, int] | Path
"""A host and port, or a Unix socket."""


class Proxy:
    """One wire; it runs in a thread of its own.

    Args:
        target: Where it leads.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="a wire", daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Drop every connection, and every one that comes, until ``mend``."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(self._drop_all)

    def mend(self) -> None:
        """Forward what comes from now on."""
        self._is_cut = False

    def close(self) -> None:
        """Drop everything and end."""
        self.cut()
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def _end(self) -> None:
        self._server.close()
        self._drop_all()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _drop_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            if isinstance(self._target, Path):
                theirs = await asyncio.open_unix_connection(self._target)
            else:
                theirs = await asyncio.open_connection(*self._target)
        except OSError:  # nobody is there: so is this wire's end
            writer.transport.abort()
            return
        both = {writer, theirs[1]}
        self._open |= both
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the wire's end; a server's callback may not show it
                await asyncio.gather(_pump(reader, theirs[1]), _pump(theirs[0], writer))
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry what comes until one side ends."""
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        writer.write_eof()
