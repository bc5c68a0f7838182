"""An e-mail as the bytes that go over the wire.

Written by hand rather than with ``email.message``: that one turns long ``List-Unsubscribe`` headers into
encoded words, which mail providers do not read, draws a random boundary, and quietly takes addresses apart. Here
the same e-mail gives the same bytes (but for its date) and whatever cannot be written safely is refused.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, quote, unquote

import idna

from wend.channels.port import OutgoingEmail, RefusedReason
from wend.errors import WendError

_ADDRESS = re.compile(r"[^\s<>()\[\],;:\\\"@\x00-\x1f\x7f]+@[^\s<>()\[\],;:\\\"@\x00-\x1f\x7f]+")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_LONGEST_LINE = 998
_OURS = frozenset(
    {"from", "sender", "to", "cc", "bcc", "subject", "reply-to", "date", "message-id", "mime-version"}
    | {"content-type", "content-transfer-encoding", "return-path", "received", "x-wend-message"}
)


class UnsendableEmail(WendError):
    """The e-mail cannot be written as a message; ``reason`` and ``detail`` are those of the outcome."""

    def __init__(self, reason: RefusedReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: RefusedReason = reason
        self.detail = detail


@dataclass(frozen=True)
class Letter:
    """What an SMTP transaction needs.

    Attributes:
        sender: The envelope's sender, an address whose domain is ASCII.
        recipient: The envelope's recipient, likewise.
        content: Headers and body with CRLF line ends; not yet dot-stuffed.
        message_id: The Message-ID header, with its angle brackets.
        needs_smtputf8: Whether a local part outside ASCII asks for SMTPUTF8.
    """

    sender: str
    recipient: str
    content: bytes
    message_id: str
    needs_smtputf8: bool


def build_letter(email: OutgoingEmail, *, domain: str, at: datetime) -> Letter:
    """Return the e-mail as a letter.

    Args:
        email: What to send.
        domain: The sender's domain, for the Message-ID, which depends on it and the message id alone.
        at: The Date.

    Raises:
        UnsendableEmail: An address is not one, a header would break out of its line, or there is no content.
    """
    written = (email.to, email.sender, email.reply_to or "", email.subject, email.text, email.html)
    if not all(is_unicode(value) for value in (*written, *email.headers.values())):
        raise UnsendableEmail("invalid_message", "a text contains half a character (a lone surrogate)")
    recipient = _wire_address(email.to, "recipient")
    sender_name, sender = _named_address(email.sender, "sender")
    message_id = f"<{email.message_id.hex}@{domain}>"
    fields = [
        ("From", _mailbox(sender_name, sender)),
        ("To", recipient),
        # A line break in a subject is a space that the template wrapped, never a new header.
        ("Subject", _encoded("Subject", " ".join(_CONTROL.sub(" ", email.subject).split()))),
        ("Date", format_datetime(at)),
        ("Message-ID", message_id),
        ("X-Wend-Message", str(email.message_id)),
    ]
    mailboxes = [sender, recipient]
    if email.reply_to:
        reply_name, reply_to = _named_address(email.reply_to, "reply-to")
        fields.append(("Reply-To", _mailbox(reply_name, reply_to)))
        mailboxes.append(reply_to)
    fields += [(name, _custom(name, value)) for name, value in email.headers.items()]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return Letter(
        sender=sender,
        recipient=recipient,
        content=head.encode() + b"MIME-Version: 1.0\r\n" + _body(email),
        message_id=message_id,
        needs_smtputf8=not all(mailbox.isascii() for mailbox in mailboxes),
    )


def is_unicode(text: str) -> bool:
    """Return whether the text can be written in UTF-8; JSON lets in halves of characters that cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wire_address(address: str, what: str) -> str:
    """Return the address with its domain in ASCII."""
    if not _ADDRESS.fullmatch(address) or len(address) > 320:
        raise UnsendableEmail("invalid_address", f"the {what} is not an e-mail address")
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        raise UnsendableEmail("invalid_address", f"the {what}'s domain is not a domain name") from None


def _named_address(mailbox: str, what: str) -> tuple[str, str]:
    """Return display name and wire address of ``Name <address>`` or ``address``."""
    if _CONTROL.search(mailbox):
        raise UnsendableEmail("invalid_address", f"the {what} contains a line break or control character")
    named = _NAMED.fullmatch(mailbox.strip())
    if named is None:
        return "", _wire_address(mailbox.strip(), what)
    return unquote(named["name"].strip()), _wire_address(named["address"].strip(), what)


def _mailbox(name: str, address: str) -> str:
    if not name:
        return address
    return f'"{quote(name)}" <{address}>' if name.isascii() else f"{_encoded('From', name)} <{address}>"


def _custom(name: str, value: str) -> str:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
        raise UnsendableEmail("invalid_message", "a header has a name that is not free to choose")
    if _CONTROL.search(value):
        raise UnsendableEmail("invalid_message", f"header {name} contains a line break or control character")
    return _encoded(name, value)


def _encoded(name: str, value: str) -> str:
    """Return the value folded at its spaces; encoded words only where it is not ASCII."""
    if value.isascii():
        encoded = _folded(name, value.strip())
    else:
        encoded = Header(value, "utf-8", header_name=name, maxlinelen=76).encode(linesep="\r\n")
    if max(map(len, encoded.split("\r\n"))) + len(name) + 2 > _LONGEST_LINE:
        raise UnsendableEmail("invalid_message", f"header {name} is longer than a line may be")
    return encoded


def _folded(name: str, value: str) -> str:
    """Return ASCII folded before words; the first stays with the name, and no line is blank."""
    words = value.split(" ")
    lines = [words[0]]
    for word in words[1:]:
        room = 78 if len(lines) > 1 else 76 - len(name)
        if word and lines[-1].strip() and len(lines[-1]) + 1 + len(word) > room:
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    return "\r\n".join(lines)


def _body(email: OutgoingEmail) -> bytes:
    """Return the content headers, the empty line and the parts."""
    contents = (("plain", email.text), ("html", email.html))
    parts = [_part(kind, content) for kind, content in contents if content.strip()]
    if not parts:
        raise UnsendableEmail("invalid_message", "the e-mail has neither text nor HTML")
    if len(parts) == 1:
        return parts[0]
    # "=_" stands in no quoted-printable or base64 part, and the id in no other.
    boundary = f"=_{email.message_id.hex}".encode()
    opening = b'Content-Type: multipart/alternative; boundary="%b"\r\n\r\n' % boundary
    return opening + b"".join(b"--%b\r\n%b" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary


def _part(kind: str, content: str) -> bytes:
    """Return one part in seven-bit lines, in whichever encoding reads best and stays short."""
    data = _LINE_END.sub("\r\n", content if content.endswith(("\r", "\n")) else content + "\n").encode()
    if data.isascii() and b"\x00" not in data and max(map(len, data.split(b"\r\n"))) <= _LONGEST_LINE:
        encoding = b"7bit"
    elif sum(byte > 127 for byte in data) * 6 < len(data):
        encoding, data = b"quoted-printable", binascii.b2a_qp(data, istext=True)
    else:
        encoding, data = b"base64", base64.encodebytes(data).replace(b"\n", b"\r\n")
    head = b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b\r\n\r\n'
    return head % (kind.encode(), encoding) + data
