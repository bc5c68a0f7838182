"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSON; Python's None is SQL's NULL."""

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""A growing row number: SQLite numbers only INTEGER primary keys by itself."""


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds.

    PostgreSQL keeps a ``timestamptz``. SQLite has no such type: there it is text of fixed width in UTC,
    whose order as text is the order in time.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"An instant needs a zone, {value!r} has none. Use an aware UTC datetime.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if not isinstance(value, datetime):
            raise TypeError(f"The database gave {value!r} where an instant was expected.")
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
