"""Where e-mail and text messages go: which adapter, and what it needs to know."""

import re
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    JsonValue,
    SecretStr,
    TypeAdapter,
    model_validator,
)

_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_HTTP_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)
PLACEHOLDERS = frozenset({"to", "text", "sender", "message_id"})


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value) or len(value) > 253:
        raise ValueError("is not a domain name in ASCII, such as mail.example.com")
    return value


def _url(value: str) -> str:
    return str(_HTTP_URL.validate_python(value))


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _without_unit(text: object) -> object:
    return text.removesuffix("/s") if isinstance(text, str) else text


PerSecond = Annotated[int, BeforeValidator(_without_unit)]
"""So many per second: ``500/s``, as in a journey, or ``500``."""

_Rate = Annotated[PerSecond | None, BeforeValidator(lambda text: None if text == "" else text)]
"""Empty as if it were not set: files of Compose cannot leave a variable out."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SmtpSettings(_Settings):
    """An SMTP server; by default the local sink.

    Attributes:
        security: ``starttls`` and ``tls`` insist on encryption and on a certificate that holds.
        domain: The sender's domain: right-hand side of every Message-ID, and the name given in EHLO.
        ca_file: Certificates to trust instead of the system's.
        kept_connections: How many connections wait for the next message.
        keep_for: How long they do.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=1025, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    domain: Annotated[str, AfterValidator(_domain)] = "wend.localhost"
    ca_file: Path | None = None
    kept_connections: int = Field(default=8, ge=0, le=256)
    keep_for: timedelta = timedelta(seconds=20)

    @model_validator(mode="after")
    def _password_travels_encrypted(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: set both or neither")
        if self.password is not None and self.security == "none" and not _is_loopback(self.host):
            raise ValueError("a password for a remote host needs security: starttls or tls")
        return self


class HttpSmsSettings(_Settings):
    """A provider of text messages that is asked over HTTP; by default the local sink.

    Attributes:
        headers: Sent with every request; values are secret.
        bearer_token: Sent as ``Authorization: Bearer …``.
        username: With ``password``: basic authentication.
        encoding: How the body is written: ``json``, or ``form`` for a flat body.
        body: The request, with ``{to}``, ``{text}``, ``{sender}`` and ``{message_id}`` in its strings.
            An entry whose value is ``{sender}`` is left out when there is no sender.
        sender: The sender where the message names none.
        idempotency_header: Carries the message id, the same in every attempt.
        success_statuses: Answers that mean the message was taken.
        safe_statuses: Answers from 500 on that mean it surely was not; the others leave it open.
        reference_path: Where the answer names its own id, as in ``messages.0.id``.
    """

    url: Annotated[str, AfterValidator(_url)] = "http://127.0.0.1:8025/sms"
    headers: dict[str, SecretStr] = {}
    bearer_token: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    encoding: Literal["json", "form"] = "json"
    body: dict[str, JsonValue] = {
        "to": "{to}",
        "text": "{text}",
        "sender": "{sender}",
        "message_id": "{message_id}",
    }
    sender: str | None = None
    idempotency_header: str = Field(default="Idempotency-Key", pattern=r"^[A-Za-z0-9-]+$")
    success_statuses: frozenset[int] = frozenset({200, 201, 202})
    safe_statuses: frozenset[int] = frozenset({503})
    reference_path: str | None = "id"

    @model_validator(mode="after")
    def _request_can_be_written(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: set both or neither")
        if self.username is not None and self.bearer_token is not None:
            raise ValueError("bearer_token and username exclude each other")
        if self.encoding == "form" and not all(isinstance(value, str) for value in self.body.values()):
            raise ValueError("body: a form is flat, each of its values a string")
        strings = list(_strings(self.body))
        used = {name for string in strings for name in _PLACEHOLDER.findall(string)}
        if unknown := used - PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
            raise ValueError(f"body: unknown placeholders {sorted(unknown)}; known are {known}")
        if missing := {"to", "text"} - used:
            raise ValueError(f"body: nothing says where {sorted(missing)} goes")
        if any("{sender}" in string and string != "{sender}" for string in strings):
            raise ValueError("body: {sender} stands alone in its value, since a message may have none")
        if not all(200 <= status < 300 for status in self.success_statuses):
            raise ValueError("success_statuses: successes lie between 200 and 299")
        if not all(500 <= status < 600 for status in self.safe_statuses):
            raise ValueError("safe_statuses: only answers between 500 and 599 can be declared safe")
        return self


class ChannelSettings(_Settings):
    """Which adapter sends what.

    Attributes:
        email: ``smtp``; ``console`` prints; ``memory`` keeps, for tests.
        sms: ``http``; ``console`` and ``memory`` likewise.
        email_rate: Messages per second that all workers together give to the e-mail provider, ``20/s`` or ``20``: its
            sends then wait in a Temporal task queue of their own. Without it nothing holds them back.
        sms_rate: The same for text messages.
    """

    email: Literal["smtp", "console", "memory"] = "smtp"
    sms: Literal["http", "console", "memory"] = "http"
    email_rate: _Rate = Field(default=None, ge=1, le=999_999)
    sms_rate: _Rate = Field(default=None, ge=1, le=999_999)
    smtp: SmtpSettings = SmtpSettings()
    http_sms: HttpSmsSettings = HttpSmsSettings()

    def rates(self) -> dict[Literal["email", "sms"], int]:
        """Return messages per second of the channels that are limited."""
        rates: dict[Literal["email", "sms"], int] = {}
        if self.email_rate is not None:
            rates["email"] = self.email_rate
        if self.sms_rate is not None:
            rates["sms"] = self.sms_rate
        return rates
