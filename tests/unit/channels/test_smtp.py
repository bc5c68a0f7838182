import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP as Server
from pydantic import SecretStr

from tests.support.eventually import assert_eventually
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused, Unknown
from wend.channels.settings import SmtpSettings
from wend.channels.smtp import SmtpEmailChannel
from wend.sink import Fault, Sink

MakeEmail = Callable[..., OutgoingEmail]
StartScripted = Callable[..., Awaitable[Any]]


async def has_kept(sink: Sink, count: int) -> None:
    """Return once the sink has so many messages."""

    async def kept() -> None:
        assert (await sink.store.counts()).messages == count

    await assert_eventually(kept)


@asynccontextmanager
async def channel(port: int, **changes: Any) -> AsyncIterator[SmtpEmailChannel]:
    made = SmtpEmailChannel(SmtpSettings(port=port, domain="mail.example", **changes))
    try:
        yield made
    finally:
        await made.aclose()


async def send_once(port: int, email: OutgoingEmail, timeout: timedelta, **changes: Any) -> Outcome:
    async with channel(port, **changes) as smtp:
        return await smtp.send(email, timeout=timeout)


async def test_an_accepted_email_is_in_the_sink(email: MakeEmail, patient: timedelta) -> None:
    async with Sink() as sink:
        outcome = await send_once(sink.smtp_port, email(), patient)
        assert outcome == Accepted("sink-1")
        stored = await sink.store.get(1)
    assert stored is not None
    assert stored.recipient == "ada.lovelace@example.org"
    assert stored.message_id == "11111111-2222-5333-8444-555555555555"
    assert ("Message-ID", "<11111111222253338444555555555555@mail.example>") in stored.headers
    assert stored.text == "Hello\nhttps://shop.example/c/abc"


@pytest.mark.parametrize("text", [".\n..\n.end\n", "a\r.\r\nb", "line\n.", "é\n.\n" + "x" * 2000])
async def test_lines_that_look_like_the_end_do_not_end_the_message(
    email: MakeEmail, patient: timedelta, text: str
) -> None:
    async with Sink() as sink, channel(sink.smtp_port) as smtp:
        assert isinstance(await smtp.send(email(text=text), timeout=patient), Accepted)
        stored = await sink.store.get(1)
        assert (await sink.store.counts()).messages == 1
    assert stored is not None
    assert stored.text.rstrip("\n") == text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert "look</a>" in stored.html


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        pytest.param({"greeting": "554 5.3.2 go away"}, Refused("provider_misconfigured"), id="greeting 554"),
        pytest.param({"greeting": "421 4.3.2 full"}, NotAccepted("provider_unavailable"), id="greeting 421"),
        pytest.param({"greeting": "drop"}, NotAccepted("connection_failed"), id="lost before greeting"),
        pytest.param({"greeting": "hang"}, NotAccepted("timed_out"), id="no greeting"),
        pytest.param({"EHLO": "drop"}, NotAccepted("connection_lost"), id="lost at EHLO"),
        pytest.param({"MAIL": "550 5.1.8 sender"}, Refused("sender_refused"), id="MAIL 550"),
        pytest.param({"MAIL": "530 5.7.0 log in"}, Refused("provider_rejected_credentials"), id="MAIL 530"),
        pytest.param({"MAIL": "451 4.3.0 later"}, NotAccepted("temporarily_refused"), id="MAIL 451"),
        pytest.param({"RCPT": "550 5.1.1 unknown"}, Refused("recipient_refused"), id="RCPT 550"),
        pytest.param({"RCPT": "450 4.2.0 greylisted"}, NotAccepted("temporarily_refused"), id="RCPT 450"),
        pytest.param({"RCPT": "drop"}, NotAccepted("connection_lost"), id="lost at RCPT"),
        pytest.param({"RCPT": "hang"}, NotAccepted("timed_out"), id="no answer to RCPT"),
        pytest.param({"RCPT": "what?"}, NotAccepted("protocol_violated"), id="nonsense at RCPT"),
        pytest.param({"DATA": "451 4.3.0 later"}, NotAccepted("temporarily_refused"), id="DATA 451"),
        pytest.param({"DATA": "554 5.5.1 no"}, Refused("message_refused"), id="DATA 554"),
        pytest.param({"DATA": "250 2.0.0 thanks"}, NotAccepted("protocol_violated"), id="DATA 250"),
        pytest.param({"DATA": "drop"}, NotAccepted("connection_lost"), id="lost at DATA"),
        pytest.param({"DATA": "hang"}, NotAccepted("timed_out"), id="no answer to DATA"),
        pytest.param({"content": "554 5.7.1 spam"}, Refused("message_refused"), id="content 554"),
        pytest.param({"content": "452 4.3.1 disk"}, NotAccepted("temporarily_refused"), id="content 452"),
        pytest.param({"content": "drop"}, Unknown("connection_lost"), id="lost after the content"),
        pytest.param({"content": "hang"}, Unknown("timed_out"), id="no answer to the content"),
        pytest.param({"content": "what?"}, Unknown("unexpected_answer"), id="nonsense after the content"),
        pytest.param({"content": "354 more"}, Unknown("unexpected_answer"), id="content 354"),
        pytest.param({"content": "250 Ok"}, Accepted(""), id="content 250"),
    ],
)
async def test_where_it_fails_decides_what_is_known(
    scripted_smtp: StartScripted,
    email: MakeEmail,
    patient: timedelta,
    run_out: Callable[[], None],
    script: dict[str, str],
    outcome: Outcome,
) -> None:
    server = await scripted_smtp(**script)
    sending = asyncio.create_task(send_once(server.port, email(), patient))
    if "hang" in script.values():
        await server.hanging.wait()
        run_out()
    answered = await sending
    assert type(answered) is type(outcome)
    assert getattr(answered, "reason", None) == getattr(outcome, "reason", None)
    assert bool(server.contents) == ("content" in script)


async def test_a_detail_says_where_and_why_and_not_who(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp(RCPT="550 5.1.1 <ada.lovelace@example.org>: user ada.lovelace unknown in table")
    assert await send_once(server.port, email(), patient) == Refused(
        "recipient_refused", "RCPT: 550 5.1.1 <[…]>: user […] unknown in table"
    )


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("250 2.0.0 Ok: queued as 4F2A1", "4F2A1"),
        ("250 Ok 0100018c-aa11-000000", "0100018c-aa11-000000"),
        ("250 OK id=1rYx2k-0003", "1rYx2k-0003"),
        ("250 Message accepted for delivery", "<11111111222253338444555555555555@mail.example>"),
        ("250 Ok: queued as ada1@example.org", "<11111111222253338444555555555555@mail.example>"),
    ],
)
async def test_the_reference_is_the_servers_or_the_message_id(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta, answer: str, reference: str
) -> None:
    server = await scripted_smtp(content=answer)
    assert await send_once(server.port, email(), patient) == Accepted(reference)


async def test_a_closed_port_is_not_accepted(email: MakeEmail, patient: timedelta) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = await send_once(unused.getsockname()[1], email(), patient)
    assert outcome == NotAccepted("connection_failed", "connecting: ConnectionRefusedError (errno 111)")


async def test_a_name_that_does_not_resolve_is_not_accepted(
    email: MakeEmail, patient: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = await send_once(25, email(), patient, host="mail.invalid")
    assert isinstance(outcome, NotAccepted)
    assert outcome.reason == "connection_failed"


async def test_an_internationalised_address_needs_a_server_that_takes_it(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp()
    assert await send_once(server.port, email(to="ädä@example.org"), patient) == Refused(
        "internationalised_address_unsupported", "the server does not offer SMTPUTF8"
    )
    assert not any(command.startswith("MAIL") for command in server.commands)
    async with Sink() as sink:
        assert isinstance(await send_once(sink.smtp_port, email(to="ädä@example.org"), patient), Accepted)
        stored = await sink.store.get(1)
    assert stored is not None
    assert stored.recipient == "ädä@example.org"


async def test_an_email_that_cannot_be_written_never_reaches_the_server(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp()
    outcome = await send_once(server.port, email(to="ada@example.org\r\nDATA"), patient)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "invalid_address"
    assert server.connections == 0


async def test_a_connection_serves_several_messages(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp()
    async with channel(server.port) as smtp:
        for _ in range(3):
            assert isinstance(await smtp.send(email(), timeout=patient), Accepted)
    assert server.connections == 1
    assert len(server.contents) == 3

    def was_told_goodbye() -> None:
        assert server.commands[-1] == "QUIT"

    await assert_eventually(was_told_goodbye)


@pytest.mark.parametrize("second", ["drop", "421 4.4.2 idle for too long"])
async def test_a_kept_connection_that_has_ended_is_replaced(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta, second: str
) -> None:
    server = await scripted_smtp(MAIL=["250 Ok", second])
    async with channel(server.port) as smtp:
        outcomes = [await smtp.send(email(), timeout=patient) for _ in range(2)]
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert server.connections == 2
    assert len(server.contents) == 2


async def test_a_kept_connection_lost_after_the_content_is_not_replaced(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp(content=["250 Ok", "drop"])
    async with channel(server.port) as smtp:
        outcomes = [await smtp.send(email(), timeout=patient) for _ in range(2)]
    assert [type(outcome) for outcome in outcomes] == [Accepted, Unknown]
    assert len(server.contents) == 2


async def test_a_refusal_is_not_tried_again_on_another_connection(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp(RCPT=["250 Ok", "451 4.3.0 later"])
    async with channel(server.port) as smtp:
        outcomes = [await smtp.send(email(), timeout=patient) for _ in range(2)]
    assert [type(outcome) for outcome in outcomes] == [Accepted, NotAccepted]
    assert server.connections == 1


async def test_a_cancelled_send_ends_its_connection(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp(content="hang")
    async with channel(server.port) as smtp:
        sending = asyncio.create_task(smtp.send(email(), timeout=patient))
        await server.hanging.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize(
    ("fault", "expected", "kept"),
    [
        pytest.param({"kind": "refuse"}, Refused, 0, id="refuse"),
        pytest.param({"kind": "busy"}, NotAccepted, 0, id="busy"),
        pytest.param({"kind": "lose"}, Unknown, 0, id="lose"),
        pytest.param({"kind": "drop"}, Unknown, 1, id="drop"),
        pytest.param({"kind": "delay", "delay": timedelta(minutes=1)}, Unknown, 1, id="delay"),
    ],
)
async def test_every_fault_of_the_sink_has_its_outcome(
    email: MakeEmail,
    patient: timedelta,
    run_out: Callable[[], None],
    fault: dict[str, Any],
    expected: type,
    kept: int,
) -> None:
    async with Sink() as sink, channel(sink.smtp_port) as smtp:
        sink.faults.add(Fault(channel="email", recipient=r"@example\.org$", **fault))
        other = await smtp.send(email(to="eve@example.net"), timeout=patient)
        assert isinstance(other, Accepted)
        sending = asyncio.create_task(smtp.send(email(), timeout=patient))
        if fault["kind"] == "delay":
            await has_kept(sink, 2)
            run_out()
        assert isinstance(await sending, expected)
        assert sink.faults.pending == ()
        assert (await sink.store.counts()).messages == 1 + kept
        assert isinstance(await smtp.send(email(), timeout=patient), Accepted)


async def test_a_login_is_made_where_it_is_asked_for(email: MakeEmail, patient: timedelta) -> None:
    async with Sink() as sink:
        outcome = await send_once(
            sink.smtp_port, email(), patient, username="wend", password=SecretStr("secret"), host="127.0.0.1"
        )
    assert isinstance(outcome, Accepted)


async def test_wrong_credentials_are_refused(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp(EHLO="250-scripted\r\n250 AUTH PLAIN", AUTH="535 5.7.8 wrong")
    outcome = await send_once(server.port, email(), patient, username="wend", password=SecretStr("secret"))
    assert outcome == Refused("provider_rejected_credentials", "AUTH: 535 5.7.8 wrong")


async def test_a_server_without_starttls_gets_no_message(
    scripted_smtp: StartScripted, email: MakeEmail, patient: timedelta
) -> None:
    server = await scripted_smtp()
    outcome = await send_once(server.port, email(), patient, security="starttls")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "provider_misconfigured"
    assert not any(command.startswith("MAIL") for command in server.commands)


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command for a certificate")
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not trusted"])
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_the_connection_is_encrypted_and_the_certificate_checked(
    email: MakeEmail, patient: timedelta, self_signed: tuple[Path, Path], security: str, trusted: bool
) -> None:
    certificate, key = self_signed
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    received: list[bytes] = []

    class Handler:
        async def handle_DATA(self, server: Server, session: Any, envelope: Any) -> str:
            assert session.ssl is not None or security == "tls"
            received.append(envelope.content)
            return "250 Ok"

    loop = asyncio.get_running_loop()
    starttls = context if security == "starttls" else None
    implicit = context if security == "tls" else None
    listening = await loop.create_server(
        lambda: Server(Handler(), loop=loop, hostname="x", tls_context=starttls, require_starttls=True),
        "127.0.0.1",
        0,
        ssl=implicit,
    )
    port = listening.sockets[0].getsockname()[1]
    ca_file = certificate if trusted else None
    outcome = await send_once(port, email(), patient, security=security, ca_file=ca_file)
    listening.close()
    if trusted:
        assert isinstance(outcome, Accepted)
        assert len(received) == 1
    else:
        assert outcome == NotAccepted("tls_failed", "connecting: SSLCertVerificationError")
