"""E-mail over SMTP.

The commands of a transaction are given one at a time, so that the adapter knows what the server had been told
when something failed. Up to the server's 354 it has nothing that it could deliver: whatever goes wrong there is
surely not accepted. From the first byte of the content on, only an answer settles the matter, and silence is
unknown.

Connections are kept for the next message. One that turns out dead before the content is replaced at once.
"""

import asyncio
import contextlib
import re
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import aiosmtplib

from wend.channels.mime import Letter, UnsendableEmail, build_letter
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused, RefusedReason, Unknown
from wend.channels.scrub import parts_of_address, scrub
from wend.channels.settings import SmtpSettings

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")
_ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_QUEUE_ID = re.compile(r"\b(?:queued as|id=|ok:?)\s*((?=[\w.+-]*\d)[\w.+-]{1,80})(?![\w@])", re.IGNORECASE)
_CONNECTION_ENDED = frozenset({"connection_lost", "provider_unavailable"})
_AUTHENTICATION_WANTED = frozenset({530, 534, 535, 538})


@dataclass
class _Progress:
    """How far one transaction has come, as the server knows it."""

    phase: str = "connecting"
    content_written: bool = False

    def broke(self, reason: Literal["connection_lost", "timed_out"], detail: str) -> NotAccepted | Unknown:
        """Return the outcome of a transaction that ended without an answer."""
        said = f"{self.phase}: {detail}"
        return Unknown(reason, said) if self.content_written else NotAccepted(reason, said)


class SmtpEmailChannel:
    """Sends each e-mail in a transaction of its own over kept connections.

    Every loop that sends needs a channel of its own. `aclose` ends the kept connections.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._tls = _tls_context(settings)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, email: OutgoingEmail, *, timeout: timedelta) -> Outcome:
        """Return what became of the e-mail, within ``timeout`` from connecting to the answer."""
        try:
            letter = build_letter(email, domain=self._settings.domain, at=datetime.now(UTC))
        except UnsendableEmail as unsendable:
            return Refused(unsendable.reason, unsendable.detail)
        known = (*parts_of_address(email.to), email.subject)
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._deliver(letter, progress, known)
        except TimeoutError:
            return progress.broke("timed_out", f"no answer within {timeout.total_seconds():g} s")

    async def aclose(self) -> None:
        """Say goodbye on every kept connection."""
        idle, self._idle = self._idle, []
        for client, _ in idle:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=1)
            client.close()

    async def _deliver(self, letter: Letter, progress: _Progress, known: tuple[str, ...]) -> Outcome:
        client = self._take_idle()
        if client is not None:
            outcome = await self._transact(client, letter, progress, known)
            if not (isinstance(outcome, NotAccepted) and outcome.reason in _CONNECTION_ENDED):
                return outcome
            # That the server has ended the kept connection, or ends it now, says nothing of this message.
            progress.phase = "connecting"
        fresh = await self._connect(known)
        if isinstance(fresh, NotAccepted | Refused):
            return fresh
        return await self._transact(fresh, letter, progress, known)

    async def _connect(self, known: tuple[str, ...]) -> aiosmtplib.SMTP | NotAccepted | Refused:
        """Return a connection that has said EHLO, is encrypted and logged in as the settings ask."""
        chosen = self._settings
        client = aiosmtplib.SMTP(
            hostname=chosen.host,
            port=chosen.port,
            username=chosen.username,
            password=chosen.password.get_secret_value() if chosen.password else None,
            local_hostname=chosen.domain,
            timeout=None,
            use_tls=chosen.security == "tls",
            start_tls=chosen.security == "starttls",
            tls_context=self._tls,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except BaseException as error:
            client.close()
            if isinstance(error, aiosmtplib.SMTPException | OSError):
                return _connection_outcome(error, known)
            raise
        return client

    async def _transact(
        self, client: aiosmtplib.SMTP, letter: Letter, progress: _Progress, known: tuple[str, ...]
    ) -> Outcome:
        """Return what the server made of the letter; the connection is kept only after an acceptance."""
        outcome: Outcome | None = None
        try:
            outcome = await _converse(client, letter, progress, known)
        except aiosmtplib.SMTPServerDisconnected:
            outcome = progress.broke("connection_lost", "the server ended the connection")
        except aiosmtplib.SMTPResponseException as malformed:
            said = f"{progress.phase}: an answer that is not SMTP ({malformed.code})"
            if progress.content_written:
                outcome = Unknown("unexpected_answer", said)
            else:
                outcome = NotAccepted("protocol_violated", said)
        finally:
            if isinstance(outcome, Accepted) and len(self._idle) < self._settings.kept_connections:
                self._idle.append((client, time.monotonic()))
            else:
                client.close()
        return outcome

    def _take_idle(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            client, since = self._idle.pop()
            fresh = time.monotonic() - since < self._settings.keep_for.total_seconds()
            if fresh and client.is_connected:
                return client
            client.close()
        return None


async def _converse(client: aiosmtplib.SMTP, letter: Letter, progress: _Progress, known: tuple[str, ...]) -> Outcome:
    """Give MAIL, RCPT, DATA and the content, one after the other, noting in ``progress`` how far it went."""
    options: list[bytes] = []
    if letter.needs_smtputf8:
        if not client.supports_extension("smtputf8"):
            return Refused("internationalised_address_unsupported", "the server does not offer SMTPUTF8")
        options = [b"SMTPUTF8", b"BODY=8BITMIME"]
    commands: tuple[tuple[str, RefusedReason, tuple[bytes, ...]], ...] = (
        ("MAIL", "sender_refused", (b"MAIL", b"FROM:<" + letter.sender.encode() + b">", *options)),
        ("RCPT", "recipient_refused", (b"RCPT", b"TO:<" + letter.recipient.encode() + b">")),
    )
    for phase, reason, command in commands:
        progress.phase = phase
        answer = await client.execute_command(*command)
        if not 200 <= answer.code < 300:
            return _negative(phase, reason, answer, known)
    progress.phase = "DATA"
    answer = await client.execute_command(b"DATA")
    if answer.code != aiosmtplib.SMTPStatus.start_input:
        return _negative("DATA", "message_refused", answer, known)
    return await _write_content(client, letter, progress, known)


async def _write_content(
    client: aiosmtplib.SMTP, letter: Letter, progress: _Progress, known: tuple[str, ...]
) -> Outcome:
    progress.phase = "content"
    if client.protocol is None:
        return progress.broke("connection_lost", "the server ended the connection")
    # Bare line ends never leave here: some servers take them for the end of the message.
    content = _LEADING_DOT.sub(b"..", _LINE_END.sub(b"\r\n", letter.content))
    client.protocol.write(content + b".\r\n")
    progress.content_written = True
    answer = await client.protocol.read_response()
    if 200 <= answer.code < 300:
        queued = _QUEUE_ID.search(answer.message)
        return Accepted(queued[1] if queued else letter.message_id)
    if 400 <= answer.code < 600:
        return _negative("content", "message_refused", answer, known)
    return Unknown("unexpected_answer", _said("content", answer, known))


def _negative(
    phase: str, reason: RefusedReason, answer: aiosmtplib.SMTPResponse, known: tuple[str, ...]
) -> Refused | NotAccepted:
    """Return the outcome of an answer that is an explicit no: for good from 500 on, else for now."""
    said = _said(phase, answer, known)
    if answer.code in _AUTHENTICATION_WANTED:
        return Refused("provider_rejected_credentials", said)
    if answer.code >= 500:
        return Refused(reason, said)
    if answer.code == aiosmtplib.SMTPStatus.domain_unavailable:
        return NotAccepted("provider_unavailable", said)
    if answer.code >= 400:
        return NotAccepted("temporarily_refused", said)
    return NotAccepted("protocol_violated", said)


def _said(phase: str, answer: aiosmtplib.SMTPResponse, known: tuple[str, ...]) -> str:
    """Return phase, codes and scrubbed words, as ``RCPT: 550 5.1.1 no such mailbox``."""
    enhanced = _ENHANCED_CODE.match(answer.message)
    code = f"{answer.code} {enhanced[0]}" if enhanced else str(answer.code)
    words = scrub(answer.message[enhanced.end() :] if enhanced else answer.message, known)
    return f"{phase}: {code} {words}".rstrip()


def _connection_outcome(error: Exception, known: tuple[str, ...]) -> NotAccepted | Refused:
    """Return the outcome of a connection that did not come about; nothing was handed over in any case."""
    cause = error.__cause__ if error.__cause__ is not None else error
    if isinstance(error, aiosmtplib.SMTPResponseException):
        answer = aiosmtplib.SMTPResponse(error.code, error.message)
        if isinstance(error, aiosmtplib.SMTPAuthenticationError) and error.code >= 500:
            return Refused("provider_rejected_credentials", _said("AUTH", answer, known))
        return _negative("connecting", "provider_misconfigured", answer, known)
    if isinstance(error, ssl.SSLError) or isinstance(cause, ssl.SSLError):
        return NotAccepted("tls_failed", f"connecting: {type(cause).__name__}")
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return NotAccepted("connection_lost", "connecting: the server ended the connection")
    if isinstance(error, OSError):
        return NotAccepted("connection_failed", f"connecting: {_kind(cause)}")
    # What is left is a server that lacks what the settings ask for: STARTTLS, or a way to log in.
    return Refused("provider_misconfigured", f"connecting: {scrub(str(error), known)}")


def _kind(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return type(error).__name__ if number is None else f"{type(error).__name__} (errno {number})"


def _tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    return ssl.create_default_context(cafile=settings.ca_file)
