"""Ready versions of messages, and the people that a message is shown for before it is sent to anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.messages import store
from wend.messages.context import MessageContext, ProfileContext, RunContext
from wend.profiles import store as profile_store
from wend.profiles.identities import EXTERNAL_ID
from wend.profiles.model import Profile
from wend.storage.tables import message_versions

NOBODY: Final = UUID(int=0)
"""Stands for a run, or a profile, where there is none: in samples and previews."""


@dataclass(frozen=True, slots=True)
class MessageVersion:
    """A ready version: its content as JSON, and the names of its links in the order of their numbers."""

    version: int
    content: Mapping[str, Any]
    links: Sequence[str]
    created_at: datetime


_VERSION = (
    message_versions.c.version,
    message_versions.c.content,
    message_versions.c.links,
    message_versions.c.created_at,
)


def page_versions(
    connection: Connection, key: str, *, before: int | None = None, limit: int = 100
) -> list[MessageVersion]:
    """Return a message's ready versions, newest first, those older than ``before``.

    Raises:
        NotFound: There is no such message.
    """
    store.get(connection, key)
    query = sa.select(*_VERSION).where(message_versions.c.message_key == key)
    if before is not None:
        query = query.where(message_versions.c.version < before)
    rows = connection.execute(query.order_by(message_versions.c.version.desc()).limit(limit))
    return [MessageVersion(*row) for row in rows]


def read_version(connection: Connection, key: str, number: int) -> MessageVersion:
    """Return a ready version.

    Raises:
        NotFound: There is no such message, or it has no such version.
    """
    store.get(connection, key)
    row = connection.execute(
        sa.select(*_VERSION).where(message_versions.c.message_key == key, message_versions.c.version == number)
    ).one_or_none()
    if row is None:
        raise NotFound("message version", f"{key} {number}")
    return MessageVersion(*row)


def sample_profile(connection: Connection, id: UUID | None) -> Profile | None:
    """Return the profile of this id, or without one the first that there is, if any.

    Raises:
        NotFound: There is no profile with this id.
    """
    if id is None:
        return next(iter(profile_store.page(connection, limit=1)), None)
    profile = profile_store.get(connection, id)
    if profile is None:
        raise NotFound("profile", id)
    return profile


def preview_context(profile: Profile, properties: Mapping[str, Any]) -> MessageContext:
    """Return what templates see for a profile that no run is sending to."""
    return MessageContext(
        ProfileContext(profile.id, profile.attributes, profile.all_identities(), profile.time_zone),
        RunContext(NOBODY, "preview", properties),
    )


def made_up_profile(
    attributes: Mapping[str, Any], identities: Mapping[str, str], time_zone: str | None, now: datetime
) -> Profile:
    """Return a profile that exists nowhere, to preview a message for."""
    named = dict(identities)
    return Profile(
        id=NOBODY,
        external_id=named.pop(EXTERNAL_ID, None),
        identities=named,
        attributes=dict(attributes),
        time_zone=time_zone,
        created_at=now,
        updated_at=now,
    )
