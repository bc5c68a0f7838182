import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from pydantic import JsonValue, SecretStr

from tests.support.eventually import assert_eventually
from wend.channels.http_sms import HttpSmsChannel, fill
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingSms, Refused, Unknown
from wend.channels.settings import HttpSmsSettings
from wend.sink import Fault, Sink


class Provider:
    """A provider that notes each request and gives one fixed answer, or ends the connection, or says nothing."""

    def __init__(self, answer: bytes | None, *, hang: bool = False) -> None:
        self.answer = answer
        self.hang = hang
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.port = 0
        self.hanging = asyncio.Event()
        self._over = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((line, headers, body))
        if self.hang:
            self.hanging.set()
            await self._over.wait()
        elif self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Provider"]:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._over.set()
            server.close()
            await server.wait_closed()


def answer(status: int, body: object = None, **headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{head}\r\n".encode() + content


async def has_kept(sink: Sink, count: int) -> None:
    """Return once the sink has so many text messages."""

    async def kept() -> None:
        assert (await sink.store.counts()).sms.messages == count

    await assert_eventually(kept)


async def send(port: int, sms: OutgoingSms, timeout: timedelta, **changes: Any) -> Outcome:
    channel = HttpSmsChannel(HttpSmsSettings(url=f"http://127.0.0.1:{port}/sms", **changes))
    try:
        return await channel.send(sms, timeout=timeout)
    finally:
        await channel.aclose()


async def test_an_accepted_text_message_is_in_the_sink(sms: OutgoingSms, patient: timedelta) -> None:
    async with Sink() as sink:
        assert await send(sink.http_port, sms, patient) == Accepted("sink-1")
        stored = await sink.store.get(1)
    assert stored is not None
    assert (stored.recipient, stored.sender, stored.text) == (sms.to, "Wend", sms.text)
    assert stored.message_id == str(sms.message_id)
    assert ("idempotency-key", str(sms.message_id)) in stored.headers


@pytest.mark.parametrize(
    ("answered", "outcome"),
    [
        (answer(200, {"id": "abc"}), Accepted("abc")),
        (answer(202, {"id": 17}), Accepted("17")),
        (answer(201, {"other": "abc"}), Accepted("66666666-7777-5888-9999-aaaaaaaaaaaa")),
        (answer(201), Accepted("66666666-7777-5888-9999-aaaaaaaaaaaa")),
        (answer(204), Unknown("unexpected_answer", "HTTP 204")),
        (answer(302, Location="/elsewhere"), Refused("provider_misconfigured", "HTTP 302")),
        (answer(400, {"code": 21211}), Refused("message_refused", "HTTP 400 21211")),
        (answer(400, {"error": "+447700900123 is wrong"}), Refused("message_refused", "HTTP 400")),
        (answer(400, {"code": 447700900123}), Refused("message_refused", "HTTP 400")),
        (answer(401), Refused("provider_rejected_credentials", "HTTP 401")),
        (answer(403), Refused("provider_rejected_credentials", "HTTP 403")),
        (answer(404), Refused("provider_misconfigured", "HTTP 404")),
        (answer(408), NotAccepted("temporarily_refused", "HTTP 408")),
        (answer(409), Unknown("conflicting_request", "HTTP 409")),
        (answer(422, {"error": {"code": "bad_number"}}), Refused("message_refused", "HTTP 422 bad_number")),
        (answer(425), NotAccepted("temporarily_refused", "HTTP 425")),
        (answer(429), NotAccepted("rate_limited", "HTTP 429")),
        (answer(429, Retry_After="7"), NotAccepted("rate_limited", "HTTP 429", timedelta(seconds=7))),
        (answer(429, Retry_After="9" * 30), NotAccepted("rate_limited", "HTTP 429", timedelta(days=1))),
        (answer(429, Retry_After="soon"), NotAccepted("rate_limited", "HTTP 429")),
        (answer(500), Unknown("unexpected_answer", "HTTP 500")),
        (answer(502), Unknown("unexpected_answer", "HTTP 502")),
        (answer(503, Retry_After="120"), NotAccepted("provider_unavailable", "HTTP 503", timedelta(minutes=2))),
        (answer(504), Unknown("unexpected_answer", "HTTP 504")),
        (None, Unknown("connection_lost", "RemoteProtocolError")),
        (b"HTTP/1.1 202 X\r\nContent-Length: 50\r\n\r\n{", Unknown("connection_lost", "RemoteProtocolError")),
        (b"220 this is SMTP\r\n", Unknown("connection_lost", "RemoteProtocolError")),
    ],
)
async def test_each_answer_has_its_outcome(
    sms: OutgoingSms, patient: timedelta, answered: bytes | None, outcome: Outcome
) -> None:
    async with Provider(answered).serving() as provider:
        assert await send(provider.port, sms, patient) == outcome
    assert len(provider.requests) == 1


async def test_a_date_to_try_again_is_a_duration_from_now(sms: OutgoingSms, patient: timedelta) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    async with Provider(answer(503, Retry_After=at)).serving() as provider:
        outcome = await send(provider.port, sms, patient)
    assert isinstance(outcome, NotAccepted)
    assert outcome.retry_after is not None
    assert timedelta(minutes=9) < outcome.retry_after <= timedelta(minutes=10)


async def test_half_a_character_is_refused(patient: timedelta) -> None:
    broken = OutgoingSms(message_id=UUID(int=1), to="+1", sender=None, text="half \ud83d")
    assert isinstance(await send(1, broken, patient), Refused)


async def test_no_answer_in_time_is_unknown(sms: OutgoingSms, patient: timedelta, run_out: Callable[[], None]) -> None:
    async with Provider(None, hang=True).serving() as provider:
        sending = asyncio.create_task(send(provider.port, sms, patient))
        await provider.hanging.wait()
        run_out()
        assert await sending == Unknown("timed_out", "no answer within 60 s")


async def test_a_closed_port_is_not_accepted(sms: OutgoingSms, patient: timedelta) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = await send(unused.getsockname()[1], sms, patient)
    assert outcome == NotAccepted("connection_failed", "ConnectError")


async def test_a_connection_that_does_not_come_about_in_time_is_not_accepted(
    sms: OutgoingSms, patient: timedelta, run_out: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        connecting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("anyio.connect_tcp", never)
    sending = asyncio.create_task(send(1, sms, patient))
    await connecting.wait()
    run_out()
    assert await sending == NotAccepted("timed_out", "no answer within 60 s")


async def test_five_hundreds_are_safe_where_the_provider_says_so(sms: OutgoingSms, patient: timedelta) -> None:
    async with Provider(answer(502)).serving() as provider:
        outcome = await send(provider.port, sms, patient, safe_statuses=frozenset({502, 503}))
    assert outcome == NotAccepted("provider_unavailable", "HTTP 502")


async def test_the_request_is_written_as_the_settings_say(sms: OutgoingSms, patient: timedelta) -> None:
    async with Provider(answer(200, {"messages": [{"sid": "SM1"}]})).serving() as provider:
        outcome = await send(
            provider.port,
            sms,
            patient,
            body={"messages": [{"destination": "{to}", "body": "{text}", "ref": "wend/{message_id}", "ttl": 60}]},
            headers={"X-Account": SecretStr("acme")},
            bearer_token=SecretStr("secret"),
            idempotency_header="X-Request-Id",
            reference_path="messages.0.sid",
        )
    assert outcome == Accepted("SM1")
    [(line, headers, body)] = provider.requests
    assert line == "POST /sms HTTP/1.1"
    assert headers["authorization"] == "Bearer secret"
    assert headers["x-account"] == "acme"
    assert headers["x-request-id"] == str(sms.message_id)
    assert json.loads(body) == {
        "messages": [{"destination": sms.to, "body": sms.text, "ref": f"wend/{sms.message_id}", "ttl": 60}]
    }


async def test_a_form_is_written_as_a_form(sms: OutgoingSms, patient: timedelta) -> None:
    async with Provider(answer(201, {"sid": "SM2"})).serving() as provider:
        outcome = await send(
            provider.port,
            sms,
            patient,
            encoding="form",
            body={"To": "{to}", "From": "{sender}", "Body": "{text}"},
            username="AC1",
            password=SecretStr("secret"),
            reference_path="sid",
        )
    assert outcome == Accepted("SM2")
    [(_, headers, body)] = provider.requests
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["authorization"] == "Basic QUMxOnNlY3JldA=="
    assert parse_qs(body.decode()) == {"To": [sms.to], "From": ["Wend"], "Body": [sms.text]}


def test_values_are_put_in_once() -> None:
    values = {"to": "{text}", "text": "{to} {sender}", "message_id": "1"}
    template: JsonValue = {"a": "{to}", "b": ["{text}", 1, None], "c": "{sender}", "d": ["{sender}"]}
    assert fill(template, values) == {"a": "{text}", "b": ["{to} {sender}", 1, None], "d": []}


async def test_the_settings_sender_stands_in(patient: timedelta) -> None:
    nameless = OutgoingSms(message_id=UUID(int=1), to="+1", sender=None, text="x")
    async with Provider(answer(200)).serving() as provider:
        await send(provider.port, nameless, patient, sender="Shop")
        await send(provider.port, nameless, patient)
    assert [json.loads(body).get("sender") for _, _, body in provider.requests] == ["Shop", None]


@pytest.mark.parametrize(
    ("fault", "expected", "kept"),
    [
        pytest.param({"kind": "refuse"}, Refused, 0, id="refuse"),
        pytest.param({"kind": "refuse", "status": 401}, Refused, 0, id="credentials"),
        pytest.param({"kind": "busy"}, NotAccepted, 0, id="busy"),
        pytest.param({"kind": "busy", "status": 429}, NotAccepted, 0, id="rate limit"),
        pytest.param({"kind": "busy", "status": 500}, Unknown, 0, id="server error"),
        pytest.param({"kind": "lose"}, Unknown, 0, id="lose"),
        pytest.param({"kind": "drop"}, Unknown, 1, id="drop"),
        pytest.param({"kind": "delay", "delay": timedelta(minutes=1)}, Unknown, 1, id="delay"),
    ],
)
async def test_every_fault_of_the_sink_has_its_outcome(
    sms: OutgoingSms,
    patient: timedelta,
    run_out: Callable[[], None],
    fault: dict[str, Any],
    expected: type,
    kept: int,
) -> None:
    async with Sink() as sink:
        sink.faults.add(Fault(channel="sms", recipient=r"^\+44", **fault))
        sending = asyncio.create_task(send(sink.http_port, sms, patient))
        if fault["kind"] == "delay":
            await has_kept(sink, 1)
            run_out()
        assert isinstance(await sending, expected)
        assert (await sink.store.counts()).sms.messages == kept
        assert isinstance(await send(sink.http_port, sms, patient), Accepted)
