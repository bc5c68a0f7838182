"""What exists beside a journey, read from the database for its publish checks."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.checks import MessageInfo
from wend.messages.checks import preview
from wend.messages.errors import RenderError
from wend.messages.reading import preview_context, sample_profile
from wend.messages.store import parse_content
from wend.storage.tables import message_versions, messages, segments


class StoredCatalog:
    """Messages and segments as they are now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def message(self, key: str) -> MessageInfo | None:
        newest = sa.and_(
            message_versions.c.message_key == messages.c.key, message_versions.c.version == messages.c.version
        )
        row = self._connection.execute(
            sa.select(
                messages.c.draft,
                messages.c.state,
                messages.c.version,
                message_versions.c.links,
                message_versions.c.content,
            )
            .outerjoin(message_versions, newest)
            .where(messages.c.key == key)
        ).one_or_none()
        if row is None:
            return None
        return MessageInfo(
            row.draft["channel"],
            row.version,
            tuple(row.links or ()),
            edited=row.state == "draft",
            unknown_property=self._unknown_property(row.content) if row.version else None,
        )

    def _unknown_property(self, content: Any) -> str | None:
        """Render for a profile that is there, in a run without properties; return the complaint about one, if any."""
        profile = sample_profile(self._connection, None)
        if profile is None:
            return None
        try:
            preview(parse_content(content), preview_context(profile, {}))
        except RenderError as error:
            return str(error) if "run.properties" in error.reason else None
        return None

    def messages(self) -> list[str]:
        return list(self._connection.scalars(sa.select(messages.c.key).order_by(messages.c.key)))

    def has_segment(self, key: str) -> bool:
        return self._connection.scalar(sa.select(segments.c.key).where(segments.c.key == key)) is not None

    def segments(self) -> list[str]:
        return list(self._connection.scalars(sa.select(segments.c.key).order_by(segments.c.key)))
