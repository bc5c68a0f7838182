"""A rule that no segment has yet: whom it would mean."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import InvalidDocument
from wend.segments import store
from wend.segments.references import check_references
from wend.segments.rules import Rule, segments_in
from wend.segments.sql import members

_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class RulePreview:
    """How many profiles fit a rule, and some of them, drawn at random."""

    count: int
    sample: list[UUID]


def preview_rule(connection: Connection, rule: Rule, now: datetime, size: int) -> RulePreview:
    """Return whom a rule means now, with a sample of up to ``size``.

    Raises:
        InvalidDocument: It names segments that do not exist, or is too large together with theirs.
    """
    segments = {segment.key: segment for segment in store.page(connection, limit=_ALL)}
    if problems := check_references("", rule, segments):
        raise InvalidDocument("The rule", problems)
    found = store.with_references(connection, segments_in(rule))
    chosen = members(rule, now, connection.dialect.name, found)
    count = connection.scalar(sa.select(sa.func.count()).select_from(chosen.subquery())) or 0
    drawn = list(connection.scalars(chosen.order_by(sa.func.random()).limit(size))) if size else []
    return RulePreview(count, drawn)
