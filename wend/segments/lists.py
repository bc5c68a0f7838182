"""The members of segments by list: added, removed and replaced set-based, by our ids or by the caller's own."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wend.journeys.values import is_storable
from wend.segments.dialect import SqlDialect
from wend.segments.references import Segment
from wend.segments.sql import DIALECTS
from wend.segments.store import WrongKind, get
from wend.storage.database import insert_ignoring
from wend.storage.tables import identities, profiles, segment_members, segments

EXTERNAL_ID: Final = "external_id"
"""The namespace of the caller's own ids."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The profiles that a caller names, by Wend's ids and by the caller's own; naming one twice is naming it once."""

    profile_ids: Collection[UUID] = ()
    external_ids: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class ListChange:
    """What became of a list.

    Attributes:
        added: How many were not in it before.
        removed: How many are not in it any more.
        unknown: The ids that were given and belong to nobody, in their order.
    """

    added: int
    removed: int
    unknown: Listed


def add_members(connection: Connection, key: str, listed: Listed, now: datetime) -> ListChange:
    """Put the profiles into the list; those that are in it stay as they are.

    Raises:
        NotFound: There is no segment of this key.
        WrongKind: It is a segment by rule.
    """
    who = _Who(connection, listed)
    _lock_list(connection, key)
    return ListChange(who.add_to(key, now), 0, who.unknown())


def remove_members(connection: Connection, key: str, listed: Listed) -> ListChange:
    """Take the profiles out of the list.

    Raises:
        NotFound: There is no segment of this key.
        WrongKind: It is a segment by rule.
    """
    who = _Who(connection, listed)
    _lock_list(connection, key)
    return ListChange(0, who.remove_from(key), who.unknown())


def replace_members(connection: Connection, key: str, listed: Listed, now: datetime) -> ListChange:
    """Make the profiles the list's only members; those that stay keep the instant at which they were added.

    Raises:
        NotFound: There is no segment of this key.
        WrongKind: It is a segment by rule.
    """
    who = _Who(connection, listed)
    _lock_list(connection, key)
    removed = who.remove_others_from(key)
    return ListChange(who.add_to(key, now), removed, who.unknown())


class _Who:
    """The profiles that were named, as selects; the ids travel as one parameter, however many there are."""

    def __init__(self, connection: Connection, listed: Listed) -> None:
        dialect: SqlDialect = DIALECTS[connection.dialect.name]
        self._connection = connection
        self._listed = listed
        self._ids = dialect.ids(list(dict.fromkeys(listed.profile_ids)))
        # What neither database can hold cannot be found in either: it stays out of the query, and counts as unknown.
        self._externals = dialect.texts([text for text in dict.fromkeys(listed.external_ids) if is_storable(text)])
        self._by_id = sa.select(profiles.c.id).where(profiles.c.id.in_(self._ids))
        self._by_external = sa.select(identities.c.profile_id).where(
            identities.c.namespace == EXTERNAL_ID, identities.c.value.in_(self._externals)
        )

    def add_to(self, key: str, now: datetime) -> int:
        found = sa.union(self._by_id, self._by_external).subquery()
        columns = segment_members.c
        rows = sa.select(
            sa.literal(key, columns.segment_key.type), found.c[0], sa.literal(now, columns.added_at.type)
        ).where(sa.true())  # SQLite takes ON CONFLICT for a join's ON without a WHERE before it
        return self._change(
            insert_ignoring(self._connection, segment_members).from_select(
                ["segment_key", "profile_id", "added_at"], rows
            )
        )

    def remove_from(self, key: str) -> int:
        return self._change(self._delete(key).where(self._named()))

    def remove_others_from(self, key: str) -> int:
        return self._change(self._delete(key).where(sa.not_(self._named())))

    def unknown(self) -> Listed:
        """Return the ids that belong to nobody."""
        ids = set(self._connection.scalars(self._by_id))
        query = sa.select(identities.c.value).where(
            identities.c.namespace == EXTERNAL_ID, identities.c.value.in_(self._externals)
        )
        externals = set(self._connection.scalars(query))
        return Listed(
            tuple(id for id in dict.fromkeys(self._listed.profile_ids) if id not in ids),
            tuple(text for text in dict.fromkeys(self._listed.external_ids) if text not in externals),
        )

    def _named(self) -> sa.ColumnElement[bool]:
        id = segment_members.c.profile_id
        return sa.or_(id.in_(self._by_id), id.in_(self._by_external))

    def _delete(self, key: str) -> Any:
        return sa.delete(segment_members).where(segment_members.c.segment_key == key)

    def _change(self, statement: Any) -> int:
        return self._connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def _lock_list(connection: Connection, key: str) -> None:
    """Lock the list, so that two changes of one list come one after the other.

    Raises:
        NotFound: There is no segment of this key.
        WrongKind: It is a segment by rule.
    """
    connection.execute(sa.select(segments.c.key).where(segments.c.key == key).with_for_update(key_share=True))
    segment: Segment = get(connection, key)
    if segment.rule is not None:
        raise WrongKind(segment, "and only lists have members to add and remove. Change its rule instead.")
