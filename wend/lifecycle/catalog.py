"""What exists beside a journey, read from the database for its publish checks."""

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.checks import MessageInfo
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
            sa.select(messages.c.draft, messages.c.version, message_versions.c.links)
            .outerjoin(message_versions, newest)
            .where(messages.c.key == key)
        ).one_or_none()
        return None if row is None else MessageInfo(row.draft["channel"], row.version, tuple(row.links or ()))

    def messages(self) -> list[str]:
        return list(self._connection.scalars(sa.select(messages.c.key).order_by(messages.c.key)))

    def has_segment(self, key: str) -> bool:
        return self._connection.scalar(sa.select(segments.c.key).where(segments.c.key == key)) is not None

    def segments(self) -> list[str]:
        return list(self._connection.scalars(sa.select(segments.c.key).order_by(segments.c.key)))
