"""What is asked of messages, and what is answered."""

from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from api.errors import ProblemItem
from api.model import In, Out, Properties
from wend.journeys.model import Namespace, ZoneName
from wend.messages.checks import sms_encoding, sms_segments
from wend.messages.content import MessageContent
from wend.messages.links import Rendered
from wend.messages.store import StoredMessage, dump_content

EXAMPLES: Final[dict[str, Any]] = {
    "an e-mail": {
        "name": "Product announcement",
        "content": {
            "channel": "email",
            "from": "Wend Shop <news@example.com>",
            "subject": "{{ profile.first_name | default: 'Hello' }}, it is coming",
            "html": '<p>See <a data-link="product-details" href="https://example.com/product">what it is</a>.</p>',
        },
    },
    "a text message": {
        "name": "Product launched",
        "content": {"channel": "sms", "text": "It is here: {{ 'https://example.com/product' | link: 'shop' }}"},
    },
}


class MessageIn(In):
    """A message's draft."""

    name: str = Field(min_length=1, max_length=200)
    content: MessageContent


class ReadyIn(In):
    """What a message is tried with before it is ready."""

    profile_id: UUID | None = Field(default=None, description="The sample; by default the first profile that there is.")
    properties: Properties


class SampleProfileIn(In):
    """A made-up person."""

    attributes: Properties
    identities: dict[Namespace, str] = Field(default_factory=dict, max_length=50)
    time_zone: ZoneName | None = None


class PreviewIn(In):
    """For whom a message is rendered: a profile that there is, or one made up here."""

    profile_id: UUID | None = None
    profile: SampleProfileIn | None = None
    properties: Properties
    version: int | None = Field(default=None, ge=1, lt=2**31, description="A ready version; by default the draft.")

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if (self.profile_id is None) == (self.profile is None):
            raise ValueError("give either profile_id or profile")
        return self


class MessageOut(Out):
    """A message. `version` is its newest ready one, 0 if there is none; `state` says whether the draft is it."""

    key: str
    name: str
    channel: Literal["email", "sms"]
    state: Literal["draft", "ready"]
    version: int
    content: dict[str, Any] = Field(description="The draft.")
    links: list[str] = Field(description="Names of the tracked links; the link with number n is the n-th.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, message: StoredMessage) -> Self:
        """Return how a message is shown."""
        shown = {name: getattr(message, name) for name in cls.model_fields if name != "content"}
        return cls(**shown, content=dump_content(message.draft))


class ReadyOut(Out):
    """The ready message; the profile that it was tried with; and what is worth a second look."""

    message: MessageOut
    sample_profile_id: UUID | None
    warnings: list[ProblemItem]


class MessageVersionOut(Out):
    """A ready version; it never changes."""

    version: int
    content: dict[str, Any]
    links: list[str]
    created_at: datetime


class LinkOut(Out):
    """A tracked link, and where it leads for this person."""

    number: int
    name: str
    destination: str


class RenderedOut(Out):
    """A message as it would go to one person; links lead straight to their destinations."""

    subject: str | None
    html: str | None
    text: str
    sender: str | None
    reply_to: str | None
    links: list[LinkOut]
    sms_parts: int | None = Field(description="In how many parts a text message is sent, and paid.")
    sms_encoding: Literal["GSM-7", "UCS-2"] | None

    @classmethod
    def of(cls, rendered: Rendered, channel: str) -> Self:
        """Return how a rendered message is shown."""
        sms = channel == "sms"
        return cls(
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            sender=rendered.sender,
            reply_to=rendered.reply_to,
            links=[LinkOut.model_validate(link) for link in rendered.links],
            sms_parts=sms_segments(rendered.text) if sms else None,
            sms_encoding=sms_encoding(rendered.text) if sms else None,
        )
