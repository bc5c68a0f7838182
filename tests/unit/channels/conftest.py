"""A handmade SMTP server that fails at exactly the place it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from wend.channels.port import OutgoingEmail, OutgoingSms

DROP = "drop"
HANG = "hang"
USUAL = {
    "greeting": "220 scripted",
    "EHLO": "250-scripted\r\n250 8BITMIME",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go ahead",
    "content": "250 2.0.0 Ok: queued as 4F2A1",
    "QUIT": "221 Bye",
}


@dataclass
class ScriptedSmtp:
    """Answers as ``USUAL`` but for what ``script`` says; lists of answers are used up one by one.

    ``DROP`` ends the connection instead of answering, ``HANG`` never answers.
    """

    script: dict[str, str | list[str]]
    port: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            goes_on = await self.answer("greeting", writer)
            while goes_on and (line := await reader.readline()):
                verb = line[:4].decode().upper()
                self.commands.append(line.decode().strip())
                goes_on = await self.answer(verb, writer)
                if goes_on == "354":
                    self.contents.append(await reader.readuntil(b"\r\n.\r\n"))
                    goes_on = await self.answer("content", writer)
                elif verb == "QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, verb: str, writer: asyncio.StreamWriter) -> str:
        """Return the answer's code, empty when the conversation is over."""
        scripted = self.script.get(verb, USUAL.get(verb, "502 What?"))
        if isinstance(scripted, list):
            scripted = scripted.pop(0) if scripted else USUAL[verb]
        if scripted == DROP:
            return ""
        if scripted == HANG:
            self.hanging.set()
            await self.over.wait()
            return ""
        writer.write(f"{scripted}\r\n".encode())
        await writer.drain()
        return scripted[:3]


StartScripted = Callable[..., Awaitable[ScriptedSmtp]]


@pytest_asyncio.fixture
async def scripted_smtp() -> AsyncIterator[StartScripted]:
    """Start scripted servers: ``await scripted_smtp(RCPT="550 no")``."""
    started: list[tuple[ScriptedSmtp, asyncio.Server, set[asyncio.Task[None]]]] = []

    async def start(**script: str | list[str]) -> ScriptedSmtp:
        scripted = ScriptedSmtp(script)
        talks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            await scripted.talk(reader, writer)

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        scripted.port = server.sockets[0].getsockname()[1]
        started.append((scripted, server, talks))
        return scripted

    yield start
    for scripted, server, talks in started:
        server.close()
        scripted.over.set()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@pytest.fixture
def email() -> Callable[..., OutgoingEmail]:
    """Make e-mails: ``email(to="…")``."""

    def make(**changes: object) -> OutgoingEmail:
        usual: dict[str, object] = {
            "message_id": UUID("11111111-2222-5333-8444-555555555555"),
            "to": "ada.lovelace@example.org",
            "sender": "Wend Shop <hello@shop.example>",
            "reply_to": None,
            "subject": "Something new",
            "html": '<p>Hello <a href="https://shop.example/c/abc">look</a></p>',
            "text": "Hello\nhttps://shop.example/c/abc\n",
            "headers": {},
        }
        return OutgoingEmail(**(usual | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def sms() -> OutgoingSms:
    """A text message."""
    return OutgoingSms(
        message_id=UUID("66666666-7777-5888-9999-aaaaaaaaaaaa"),
        to="+447700900123",
        sender="Wend",
        text="It is {to} launch day: https://shop.example/c/abc",
    )


@pytest.fixture
def patient() -> timedelta:
    """A timeout that no test should reach."""
    return timedelta(minutes=1)


@pytest.fixture
def run_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ends the time of every send that is under way, once it is known how far that has come.

    A short timeout would have to guess: on a machine that stands still for a moment the time would be over earlier.
    """
    under_way: set[asyncio.Timeout] = set()
    timeout = asyncio.timeout

    @asynccontextmanager
    async def noted(seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        async with timeout(seconds) as each:
            under_way.add(each)
            try:
                yield each
            finally:
                under_way.remove(each)

    def end() -> None:
        for each in under_way:
            each.reschedule(asyncio.get_running_loop().time())

    monkeypatch.setattr(asyncio, "timeout", noted)
    return end
