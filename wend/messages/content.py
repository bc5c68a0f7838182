"""What a message says, for one channel: the models that are stored, versioned and published.

Subject, HTML and text are Liquid templates (``wend.messages.templates``). Sizes are of the templates; what they
print has limits of its own.
"""

import re
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_SUBJECT = 500
MAX_HTML = 200_000
MAX_TEXT = 100_000
MAX_SMS = 5_000

_MAILBOX = re.compile(r'(?:"(?P<quoted>(?:[^"\\]|\\["\\])*)"|(?P<plain>[^<>"]*?))\s*<(?P<address>[^<>\s]+)>')
_UNQUOTED_SPECIALS = re.compile(r"[,;:@()\[\]\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SMS_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9 _&.-]{0,10}")


def split_mailbox(mailbox: str) -> tuple[str, str]:
    """Return display name (empty if there is none, unquoted) and address of ``Name <address>`` or ``address``.

    Raises:
        ValueError: It is neither, or it would not survive in a mail header.
    """
    if _CONTROL.search(mailbox):
        raise ValueError("a sender is one line without control characters")
    name, address = "", mailbox
    if match := _MAILBOX.fullmatch(mailbox):
        address = match["address"]
        name = (match["plain"] or "").strip()
        if match["quoted"] is not None:
            name = re.sub(r"\\(.)", r"\1", match["quoted"])
        elif special := _UNQUOTED_SPECIALS.search(name):
            raise ValueError(f'a name with {special[0]!r} in it stands in double quotes: "{name}" <{address}>')
    try:
        validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"write 'Name <address>' or 'address': {error}") from error
    return name, address


def _mailbox(value: str) -> str:
    split_mailbox(value.strip())
    return value.strip()


def _sms_sender(value: str) -> str:
    if not _SMS_SENDER.fullmatch(value):
        raise ValueError("an SMS comes from a number like +33612345678, a short code, or up to 11 letters and digits")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("there is nothing in it")
    return value


Mailbox = Annotated[str, Field(max_length=320), AfterValidator(_mailbox)]
SmsSender = Annotated[str, AfterValidator(_sms_sender)]


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)


class EmailContent(_Content):
    """An e-mail.

    Attributes:
        subject: Liquid; prints one line.
        sender: The From, ``Name <address>`` or an address; called ``from`` in JSON. No Liquid.
        reply_to: Where answers go, if not to the sender.
        html: Liquid in HTML; what it prints is escaped. Its links are tracked.
        text: Liquid; the plain part. None: derived from the HTML that was rendered.
    """

    channel: Literal["email"] = "email"
    subject: Annotated[str, Field(max_length=MAX_SUBJECT), AfterValidator(_not_blank)]
    sender: Mailbox = Field(alias="from")
    reply_to: Mailbox | None = None
    html: Annotated[str, Field(max_length=MAX_HTML), AfterValidator(_not_blank)]
    text: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_not_blank)] | None = None


class SmsContent(_Content):
    """A text message.

    Attributes:
        text: Liquid.
        sender: Number, short code or name that it comes from, called ``from`` in JSON; None: the provider's own.
    """

    channel: Literal["sms"] = "sms"
    text: Annotated[str, Field(max_length=MAX_SMS), AfterValidator(_not_blank)]
    sender: SmsSender | None = Field(default=None, alias="from")


MessageContent = Annotated[EmailContent | SmsContent, Field(discriminator="channel")]
