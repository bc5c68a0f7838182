"""Messages in the database: drafts, and ready versions that never change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection

from wend.errors import Conflict, InvalidDocument, NotFound
from wend.journeys.problems import problems_of
from wend.messages.checks import check_message
from wend.messages.content import EmailContent, MessageContent, SmsContent
from wend.messages.context import MessageContext
from wend.messages.links import declared_links
from wend.storage.database import insert_ignoring
from wend.storage.tables import message_versions, messages

_contents: TypeAdapter[EmailContent | SmsContent] = TypeAdapter(MessageContent)
_FIELDS = {"channel", "subject", "from", "reply_to", "html", "text"}


class ChannelIsFixed(Conflict):
    """A message keeps its channel: journeys that send it count on it."""

    def __init__(self, key: str, channel: str) -> None:
        super().__init__(f"Message {key!r} is for {channel} and stays so. Make another message for another channel.")
        self.key = key


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message. ``version`` is its newest ready one, 0 if there is none; ``state`` says whether the draft is it."""

    key: str
    name: str
    channel: str
    state: str
    version: int
    draft: EmailContent | SmsContent
    links: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


def parse_content(document: Any, key: str = "") -> EmailContent | SmsContent:
    """Return the content.

    Raises:
        InvalidDocument: Every problem, each with its path.
    """
    try:
        return _contents.validate_python(document)
    except ValidationError as error:
        what = f"Message {key!r}" if key else "The message"
        raise InvalidDocument(what, problems_of(error, document, _FIELDS)) from error


def dump_content(content: EmailContent | SmsContent) -> dict[str, Any]:
    """Return the content as JSON."""
    return content.model_dump(mode="json", by_alias=True, exclude_none=True)


def put(
    connection: Connection, key: str, name: str, content: EmailContent | SmsContent, now: datetime
) -> StoredMessage:
    """Save a draft; ready versions, and journeys that send them, are not touched.

    Raises:
        ChannelIsFixed: The message is for another channel.
    """
    document = dump_content(content)
    inserted = connection.execute(
        insert_ignoring(connection, messages).values(
            key=key, name=name, draft=document, state="draft", version=0, created_at=now, updated_at=now
        )
    )
    if inserted.rowcount == 0:
        row = connection.execute(sa.select(messages).where(messages.c.key == key).with_for_update()).one()
        if row.draft["channel"] != content.channel:
            raise ChannelIsFixed(key, row.draft["channel"])
        state = row.state if row.draft == document else "draft"
        connection.execute(
            sa.update(messages)
            .where(messages.c.key == key)
            .values(name=name, draft=document, state=state, updated_at=now)
        )
    return get(connection, key)


def make_ready(connection: Connection, key: str, sample: MessageContext | None, now: datetime) -> StoredMessage:
    """Check the draft and make it the newest ready version; a draft that is ready already stays the version it is.

    Args:
        connection: A transaction.
        key: The message's key.
        sample: The profile that it must render for; without one, its templates are checked and nothing is rendered.
        now: The instant.

    Raises:
        NotFound: There is no such message.
        InvalidDocument: Every problem.
    """
    row = connection.execute(sa.select(messages).where(messages.c.key == key).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("message", key, "Messages are listed by: wend messages list")
    message = get(connection, key)
    errors = [problem for problem in check_message(message.draft, sample) if problem.severity == "error"]
    if errors:
        raise InvalidDocument(f"Message {key!r}", errors)
    if message.state == "ready":
        return message
    version = message.version + 1
    connection.execute(
        sa.insert(message_versions).values(
            message_key=key,
            version=version,
            content=dump_content(message.draft),
            links=list(declared_links(message.draft)),
            created_at=now,
        )
    )
    connection.execute(
        sa.update(messages).where(messages.c.key == key).values(state="ready", version=version, updated_at=now)
    )
    return get(connection, key)


def get(connection: Connection, key: str) -> StoredMessage:
    """Return a message.

    Raises:
        NotFound: There is no such message.
    """
    row = connection.execute(sa.select(messages).where(messages.c.key == key)).one_or_none()
    if row is None:
        raise NotFound("message", key, "Messages are listed by: wend messages list")
    return _message(row)


def page(connection: Connection, after: str | None = None, limit: int = 100) -> list[StoredMessage]:
    """Return messages in the order of their keys, those behind ``after``."""
    query = sa.select(messages).order_by(messages.c.key).limit(limit)
    if after is not None:
        query = query.where(messages.c.key > after)
    return [_message(row) for row in connection.execute(query)]


def get_version(connection: Connection, key: str, version: int) -> EmailContent | SmsContent:
    """Return the content of a ready version.

    Raises:
        NotFound: There is no such version.
    """
    document = connection.scalar(
        sa.select(message_versions.c.content).where(
            message_versions.c.message_key == key, message_versions.c.version == version
        )
    )
    if document is None:
        raise NotFound("message version", f"{key} {version}")
    return _contents.validate_python(document)


def _message(row: sa.Row[Any]) -> StoredMessage:
    content = _contents.validate_python(row.draft)
    return StoredMessage(
        row.key,
        row.name,
        content.channel,
        row.state,
        row.version,
        content,
        declared_links(content),
        row.created_at,
        row.updated_at,
    )
