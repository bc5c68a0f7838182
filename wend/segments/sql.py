"""Rules as SQL: one query for all members, on SQLite and on PostgreSQL.

What the two databases say alike is here; how each looks into JSON is in ``sqlite`` and ``postgresql`` beside this
module. Every comparison guards the type of what it finds and is false, never NULL, where nothing fits, so that
``not`` means the same as in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from wend.errors import NotFound
from wend.journeys.comparison import AttributeCondition, instant_of, path_names
from wend.segments.dialect import Condition, SqlDialect
from wend.segments.postgresql import Postgresql
from wend.segments.references import CircularSegments, Segment
from wend.segments.rules import AllRule, AnyRule, IdentityRule, NotRule, Rule, SegmentRule
from wend.segments.sqlite import Sqlite
from wend.storage.tables import identities, profiles, segment_members

DIALECTS: Final[Mapping[str, SqlDialect]] = {"sqlite": Sqlite(), "postgresql": Postgresql()}


def members(
    segment: Rule | Segment, now: datetime, dialect: str, segments: Mapping[str, Segment] | None = None
) -> sa.Select[UUID]:
    """Return a select of one column, ``profile_id``: who is in the segment, or fits the rule.

    Args:
        now: What relative dates count from.
        dialect: ``sqlite`` or ``postgresql``.
        segments: The segments that the rule names, and those that theirs name.

    Raises:
        NotFound: A segment is named that is not in ``segments``.
        CircularSegments: A segment refers to itself.
    """
    if isinstance(segment, Segment) and segment.rule is None:
        return sa.select(segment_members.c.profile_id).where(segment_members.c.segment_key == segment.key)
    return sa.select(profiles.c.id.label("profile_id")).where(condition(segment, now, dialect, segments))


def condition(
    segment: Rule | Segment, now: datetime, dialect: str, segments: Mapping[str, Segment] | None = None
) -> Condition:
    """Return the condition on a row of ``profiles`` that it is in the segment, or fits the rule; never NULL.

    Arguments and errors are those of ``members``.
    """
    writer = _Writer(DIALECTS[dialect], now, segments or {})
    return writer.member(segment) if isinstance(segment, Segment) else writer.condition(segment)


@dataclass(frozen=True, slots=True)
class _Writer:
    dialect: SqlDialect
    now: datetime
    segments: Mapping[str, Segment]
    way: tuple[str, ...] = ()

    def condition(self, rule: Rule) -> Condition:
        match rule:
            case AttributeCondition():
                return self._comparison(rule)
            case IdentityRule():
                return self._identity(rule)
            case SegmentRule():
                if rule.segment not in self.segments:
                    raise NotFound("segment", rule.segment)
                return self.member(self.segments[rule.segment])
            case AllRule():
                return sa.and_(*map(self.condition, rule.all))
            case AnyRule():
                return sa.or_(*map(self.condition, rule.any))
            case NotRule():
                return sa.not_(self.condition(rule.not_))

    def member(self, segment: Segment) -> Condition:
        way = (*self.way, segment.key)
        if segment.key in self.way:
            raise CircularSegments(way)
        if segment.rule is not None:
            return replace(self, way=way).condition(segment.rule)
        return _has_row(
            segment_members,
            segment_members.c.profile_id == profiles.c.id,
            segment_members.c.segment_key == segment.key,
        )

    def _comparison(self, rule: AttributeCondition) -> Condition:
        attribute = self.dialect.attribute(path_names(rule.attribute))
        value: Any = rule.value  # the model has seen to it that the value fits the op
        match rule.op:
            case "exists":
                return attribute.exists() if value else sa.not_(attribute.exists())
            case "eq":
                return attribute.equals(value)
            case "ne":
                return attribute.differs(value)
            case "lt" | "lte" | "gt" | "gte":
                return attribute.is_ordered(rule.op, value)
            case "in":
                return attribute.is_one_of(value)
            case "contains":
                return attribute.contains(value)
            case "before":
                return attribute.is_before(instant_of(rule, self.now))
            case "after":
                return attribute.is_after(instant_of(rule, self.now))

    def _identity(self, rule: IdentityRule) -> Condition:
        wanted = [identities.c.profile_id == profiles.c.id, identities.c.namespace == rule.identity]
        match rule.op, rule.value:
            case "eq", str(text):
                wanted.append(identities.c.value == text)
            case "contains", str(text):
                wanted.append(self.dialect.has_text(identities.c.value, text))
            case "in", tuple(texts):
                wanted.append(identities.c.value.in_(self.dialect.texts(texts)))
            case _:
                pass  # any value will do
        return _has_row(identities, *wanted)


def _has_row(table: sa.Table, *wanted: sa.ColumnElement[bool]) -> Condition:
    return sa.select(sa.literal(1)).select_from(table).where(*wanted).correlate(profiles).exists()
