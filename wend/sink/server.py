"""The sink as a whole: both servers and the store, on whichever event loop starts it."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from wend.errors import WendError
from wend.sink.faults import Faults
from wend.sink.http import create_app
from wend.sink.smtp import SmtpHandler, SmtpServer
from wend.sink.store import Store


class PortTaken(WendError):
    """Another program listens where the sink wants to."""

    def __init__(self, what: str, host: str, port: int) -> None:
        super().__init__(
            f"The sink's {what} port {port} on {host} is taken by another program. Stop that program or choose "
            f"another port."
        )
        self.host = host
        self.port = port


class Sink:
    """Catches e-mail and text messages until it is stopped.

    Port 0 lets the system choose; `smtp_port` and `http_port` tell once it has started. Can be used as
    ``async with Sink() as sink``.
    """

    def __init__(
        self,
        path: Path | None = None,
        smtp_port: int = 0,
        http_port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        """Take the file to keep messages in; None keeps them in memory."""
        self.host = host
        self.smtp_port = smtp_port
        self.http_port = http_port
        self.faults = Faults()
        self.store = Store(path)
        self._handler = SmtpHandler(self.store, self.faults)
        self._stack = contextlib.AsyncExitStack()

    @property
    def http_url(self) -> str:
        """Where the inbox is, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.http_port}"

    async def start(self) -> None:
        """Open the store and both ports; messages are taken from here on.

        Raises:
            PortTaken: Another program has one of the ports.
        """
        async with contextlib.AsyncExitStack() as stack:
            smtp_socket = stack.enter_context(_listen("SMTP", self.host, self.smtp_port))
            http_socket = stack.enter_context(_listen("HTTP", self.host, self.http_port))
            await self.store.open()
            stack.push_async_callback(self.store.close)
            await self._start_smtp(smtp_socket, stack)
            await self._start_http(http_socket, stack)
            self.smtp_port = smtp_socket.getsockname()[1]
            self.http_port = http_socket.getsockname()[1]
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """End both servers and every connection, and close the store; does nothing when not started."""
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    async def _start_smtp(self, listening: socket.socket, stack: contextlib.AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SmtpServer(self._handler, loop), sock=listening)

        async def stop() -> None:
            server.close()
            for transport in tuple(self._handler.transports):
                transport.abort()
            await server.wait_closed()

        stack.push_async_callback(stop)

    async def _start_http(self, listening: socket.socket, stack: contextlib.AsyncExitStack) -> None:
        connections: dict[tuple[str, int], asyncio.Transport] = {}

        class Protocol(_DroppableProtocol):
            open = connections

        app = create_app(self.store, self.faults, lambda request: _hang_up(request, connections))
        server = _Server(
            uvicorn.Config(
                app, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
                timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        serving = asyncio.create_task(server.serve(sockets=[listening]))

        async def stop() -> None:
            server.should_exit = True
            await serving

        stack.push_async_callback(stop)
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await serving


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it runs in, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _DroppableProtocol(H11Protocol):
    """Notes its connection under the client's address, so that a fault can drop it."""

    open: dict[tuple[str, int], asyncio.Transport]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.open[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


def _hang_up(request: Request, connections: dict[tuple[str, int], asyncio.Transport]) -> None:
    if request.client is not None:
        connections[(request.client.host, request.client.port)].abort()


def _listen(what: str, host: str, port: int) -> socket.socket:
    """Return a socket that listens already, so that nobody is turned away while the servers start."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off only on sockets that say they are TCP; else each answer would wait 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(what, host, port) from None
        raise
    return listening
