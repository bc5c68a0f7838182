"""What the ledger asks of a channel, and the four answers that it understands.

An adapter turns everything that can happen on the way to a provider into one of the four, and never raises
for it: what the provider did with the message decides whether the send may be repeated, so the answer must be
known to the adapter and not guessed from an exception further up. Only cancellation and programming errors pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol
from uuid import UUID

RefusedReason = Literal[
    "recipient_refused",
    "sender_refused",
    "message_refused",
    "invalid_address",
    "invalid_message",
    "internationalised_address_unsupported",
    "provider_rejected_credentials",
    "provider_misconfigured",
]
NotAcceptedReason = Literal[
    "connection_failed",
    "connection_lost",
    "timed_out",
    "tls_failed",
    "temporarily_refused",
    "rate_limited",
    "provider_unavailable",
    "protocol_violated",
]
UnknownReason = Literal["timed_out", "connection_lost", "unexpected_answer", "conflicting_request"]


@dataclass(frozen=True)
class OutgoingEmail:
    """One e-mail to one recipient, rendered.

    Attributes:
        message_id: The idempotency key; the same for every attempt at this send.
        to: The bare address of the recipient.
        sender: The From, bare or as ``Name <address>``.
        html: The HTML part; empty for an e-mail of text alone.
        text: The text part; empty for an e-mail of HTML alone.
        headers: Further headers, such as ``List-Unsubscribe``; none of those that the adapter writes itself.
    """

    message_id: UUID
    to: str
    sender: str
    reply_to: str | None
    subject: str
    html: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OutgoingSms:
    """One text message to one recipient, rendered.

    Attributes:
        message_id: The idempotency key; the same for every attempt at this send.
        to: The recipient's number, as the provider wants it (E.164).
        sender: A number or a name; None leaves it to the adapter's settings.
    """

    message_id: UUID
    to: str
    sender: str | None
    text: str


@dataclass(frozen=True)
class Accepted:
    """The provider has taken the message on.

    Attributes:
        reference: The provider's own id of the message; ours where its answer names none.
    """

    reference: str


@dataclass(frozen=True)
class Refused:
    """The message was not taken, and the same message never will be."""

    reason: RefusedReason
    detail: str = ""


@dataclass(frozen=True)
class NotAccepted:
    """The message was surely not taken; trying again cannot send it twice.

    Attributes:
        retry_after: How long the provider asks to be left alone; None where it does not say.
    """

    reason: NotAcceptedReason
    detail: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Unknown:
    """The message may have been taken; trying again may send it twice."""

    reason: UnknownReason
    detail: str = ""


Outcome = Accepted | Refused | NotAccepted | Unknown
"""What became of one attempt. ``detail`` is for operators and carries no address and no part of a message."""


class EmailChannel(Protocol):
    """Sends e-mail."""

    async def send(self, email: OutgoingEmail, *, timeout: timedelta) -> Outcome:
        """Return what became of the e-mail, within ``timeout`` from connecting to the answer."""
        ...


class SmsChannel(Protocol):
    """Sends text messages."""

    async def send(self, sms: OutgoingSms, *, timeout: timedelta) -> Outcome:
        """Return what became of the text message, within ``timeout`` from connecting to the answer."""
        ...
