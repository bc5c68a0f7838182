"""The sink's SMTP side."""

import asyncio
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from wend.sink.faults import Fault, Faults
from wend.sink.store import Caught, Store

_LARGEST = 25 * 1024 * 1024


class SmtpServer(SMTP):
    """One connection; the set of open ones lets the sink end them all."""

    def __init__(self, handler: "SmtpHandler", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            handler,
            loop=loop,
            hostname="sink.wend.localhost",
            ident="Wend sink",
            enable_SMTPUTF8=True,
            data_size_limit=_LARGEST,
            auth_require_tls=False,
            authenticator=_anybody,
        )
        self._handler = handler

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            self._handler.transports.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        if isinstance(self.transport, asyncio.Transport):
            self._handler.transports.discard(self.transport)
        super().connection_lost(error)


class SmtpHandler:
    """Keeps every message, one row for each of its recipients, unless a fault says otherwise."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self.transports: set[asyncio.Transport] = set()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Return the answer to RCPT: refusals happen here, before the message is seen."""
        fault = self._faults.take("email", address, refusing=True)
        if fault is not None:
            return f"{fault.status or 550} 5.1.1 <{address}>: Recipient address rejected"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Return the answer to the content, which has been committed by then."""
        fault = self._fault(envelope)
        if fault is not None and fault.kind == "busy":
            return f"{fault.status or 451} 4.3.0 Try again later"
        if fault is not None and fault.kind == "lose":
            await _hang_up(server)
        raw = envelope.original_content or b""
        ids = await self._store.add(caught_email(raw, envelope.rcpt_tos), raw)
        if fault is not None and fault.kind == "drop":
            await _hang_up(server)
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.delay.total_seconds())
        return f"250 2.0.0 Ok: queued as sink-{ids[0]}"

    def _fault(self, envelope: Envelope) -> Fault | None:
        for recipient in envelope.rcpt_tos:
            fault = self._faults.take("email", recipient, refusing=False)
            if fault is not None:
                return fault
        return None


def caught_email(raw: bytes, recipients: list[str]) -> list[Caught]:
    """Return the e-mail once for each of its recipients."""
    # The older policy: the newer one takes every header apart, which costs four times the rest of a delivery.
    message = message_from_bytes(raw, policy=policy.compat32)
    headers = tuple((name, _header(value)) for name, value in message.raw_items())
    named = {name.lower(): value for name, value in reversed(headers)}
    text, html = _content(message, "text/plain"), _content(message, "text/html")
    return [
        Caught(
            channel="email",
            recipient=recipient,
            sender=named.get("from", ""),
            subject=named.get("subject", ""),
            text=text,
            html=html,
            headers=headers,
            message_id=named.get("x-wend-message") or None,
        )
        for recipient in recipients
    ]


def _header(value: str) -> str:
    """Return a header's value on one line, its encoded words decoded; what cannot be decoded stays as it is."""
    line = _utf8("".join(value.splitlines())).strip()
    if "=?" not in line:
        return line
    try:
        return str(make_header(decode_header(line)))
    except (ValueError, LookupError):
        return line


def _content(message: Message, kind: str) -> str:
    """Return the first part of this type that is no attachment, empty if there is none."""
    for part in message.walk():
        if part.get_content_type() != kind or part.get_content_disposition() == "attachment":
            continue
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        try:
            text = data.decode(part.get_content_charset("utf-8"), "replace")
        except LookupError:
            text = data.decode("utf-8", "replace")
        return text.replace("\r\n", "\n").encode("utf-8", "replace").decode()
    return ""


def _utf8(text: str) -> str:
    """Return text whose bytes outside ASCII the parser had kept aside."""
    return text.encode("ascii", "surrogateescape").decode("utf-8", "replace")


async def _hang_up(server: SMTP) -> None:
    """End the connection without a word; the loss of it cancels this very conversation."""
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()
    await asyncio.Event().wait()


def _anybody(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    return AuthResult(success=True)
