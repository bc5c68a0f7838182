"""Segments in the database: their definitions, the members of lists, and who is in them now.

Every function takes the connection of a transaction that its caller opened. Whoever changes definitions locks all
of them, so that no two changes at once make a circle or a name that leads nowhere.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection

from wend.errors import Conflict, InvalidDocument, NotFound, Problem
from wend.journeys.model import Key
from wend.journeys.problems import problems_of
from wend.segments.references import Segment, check_references, users_of
from wend.segments.rules import Rule, parse_rule, segments_in, write_rule
from wend.segments.sql import condition, members
from wend.storage.database import chunks, insert_ignoring
from wend.storage.tables import profiles, segments


class SegmentInUse(Conflict):
    """The segment is named by other segments or by journeys, which would no longer mean anything without it."""

    def __init__(self, key: str, segments: Collection[str], journeys: Collection[str]) -> None:
        users = [f"segment {name!r}" for name in segments] + [f"journey {name!r}" for name in journeys]
        super().__init__(f"Segment {key!r} is used by {', '.join(users)}. Take it out there first.")
        self.key = key
        self.segments = tuple(segments)
        self.journeys = tuple(journeys)


class WrongKind(Conflict):
    """A list was asked for what only rules have, or a rule for what only lists have."""

    def __init__(self, segment: Segment, what: str) -> None:
        super().__init__(f"Segment {segment.key!r} is made by {segment.kind}, {what}")
        self.key = segment.key


# -- definitions ------------------------------------------------------------------------------------------------


def put_rule(connection: Connection, key: str, name: str, rule: Rule, now: datetime) -> Segment:
    """Make a segment by rule, or change the one that is there; returns it.

    Raises:
        InvalidDocument: The key is none, or the rule names segments that do not exist, or itself by way of others.
        WrongKind: There is a list of this key.
    """
    others = _lock_all(connection)
    problems = [*_check_key(key), *check_references(key, rule, others)]
    if problems:
        raise InvalidDocument(f"Segment {key!r}", problems)
    return _put(connection, others.get(key), Segment(key, name, rule, now, now))


def put_list(connection: Connection, key: str, name: str, now: datetime) -> Segment:
    """Make an empty list, or rename the one that is there, which keeps its members; returns it.

    Raises:
        InvalidDocument: The key is none.
        WrongKind: There is a segment by rule of this key.
    """
    others = _lock_all(connection)
    if problems := _check_key(key):
        raise InvalidDocument(f"Segment {key!r}", problems)
    return _put(connection, others.get(key), Segment(key, name, None, now, now))


def get(connection: Connection, key: str) -> Segment:
    """Return the segment.

    Raises:
        NotFound: There is none of this key.
    """
    row = connection.execute(sa.select(segments).where(segments.c.key == key)).one_or_none()
    if row is None:
        raise NotFound("segment", key)
    return _segment(row)


def page(connection: Connection, after: str | None = None, limit: int = 100) -> list[Segment]:
    """Return up to ``limit`` segments in the order of their keys, from the first one after ``after``."""
    query = sa.select(segments).order_by(segments.c.key).limit(limit)
    if after is not None:
        query = query.where(segments.c.key > after)
    return [_segment(row) for row in connection.execute(query)]


def delete(connection: Connection, key: str, journeys_using: Callable[[str], Collection[str]]) -> None:
    """Remove the segment, and of a list its members; their profiles stay.

    Args:
        journeys_using: Returns the journeys whose draft or versions name the segment.

    Raises:
        NotFound: There is none of this key.
        SegmentInUse: A segment or a journey names it.
    """
    others = _lock_all(connection)
    if key not in others:
        raise NotFound("segment", key)
    in_segments, in_journeys = users_of(key, others), journeys_using(key)
    if in_segments or in_journeys:
        raise SegmentInUse(key, in_segments, in_journeys)
    connection.execute(sa.delete(segments).where(segments.c.key == key))


# -- who is in them ---------------------------------------------------------------------------------------------


def members_select(connection: Connection, key: str, now: datetime) -> sa.Select[UUID]:
    """Return a select of one column, ``profile_id``: who is in the segment, each once.

    It is for this connection's database, to be run there or to be built into a larger statement.

    Raises:
        NotFound: There is no segment of this key.
    """
    found = with_references(connection, [key])
    return members(found[key], now, connection.dialect.name, found)


def count(connection: Connection, key: str, now: datetime) -> int:
    """Return how many profiles are in the segment.

    Raises:
        NotFound: There is no segment of this key.
    """
    chosen = members_select(connection, key, now).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(chosen)).scalar_one()


def count_rule(connection: Connection, rule: Rule, now: datetime) -> int:
    """Return how many profiles fit a rule that no segment has yet.

    Raises:
        NotFound: It names a segment that does not exist.
    """
    found = with_references(connection, segments_in(rule))
    chosen = members(rule, now, connection.dialect.name, found).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(chosen)).scalar_one()


def sample(connection: Connection, key: str, now: datetime, size: int) -> list[UUID]:
    """Return up to ``size`` members, drawn at random by the database.

    Raises:
        NotFound: There is no segment of this key.
    """
    return list(connection.scalars(members_select(connection, key, now).order_by(sa.func.random()).limit(size)))


def page_members(
    connection: Connection, key: str, now: datetime, after: UUID | None = None, limit: int = 100
) -> list[UUID]:
    """Return up to ``limit`` members in the order of their ids, from the first one after ``after``.

    Raises:
        NotFound: There is no segment of this key.
    """
    chosen = members_select(connection, key, now)
    id = chosen.selected_columns.profile_id
    query = chosen.order_by(id).limit(limit)
    return list(connection.scalars(query if after is None else query.where(id > after)))


def is_member(connection: Connection, key: str, profile_id: UUID, now: datetime) -> bool:
    """Return whether the profile is in the segment; a profile that does not exist is in none.

    Raises:
        NotFound: There is no segment of this key.
    """
    return bool(memberships(connection, profile_id, [key], now))


def memberships(connection: Connection, profile_id: UUID, keys: Iterable[str], now: datetime) -> frozenset[str]:
    """Return those of the segments that the profile is in.

    Raises:
        NotFound: One of the segments does not exist.
    """
    return memberships_of(connection, [profile_id], keys, now)[profile_id]


def memberships_of(
    connection: Connection, profile_ids: Sequence[UUID], keys: Iterable[str], now: datetime
) -> dict[UUID, frozenset[str]]:
    """Return for each profile those of the segments that it is in; one statement for a thousand profiles.

    Raises:
        NotFound: One of the segments does not exist.
    """
    wanted = sorted(set(keys))
    inside: dict[UUID, frozenset[str]] = dict.fromkeys(profile_ids, frozenset())
    if not wanted or not inside:
        return inside
    found = with_references(connection, wanted)
    conditions = [
        condition(found[key], now, connection.dialect.name, found).label(f"in_{n}") for n, key in enumerate(wanted)
    ]
    query = sa.select(profiles.c.id, *conditions)
    for some in chunks(list(inside)):
        for id, *answers in connection.execute(query.where(profiles.c.id.in_(some))):
            inside[id] = frozenset(key for key, answer in zip(wanted, answers, strict=True) if answer)
    return inside


def with_references(connection: Connection, keys: Iterable[str]) -> dict[str, Segment]:
    """Return the segments by key, and with them every segment that their rules lead to.

    Raises:
        NotFound: One of them does not exist.
    """
    found: dict[str, Segment] = {}
    wanted = set(keys)
    while wanted:
        rows = connection.execute(sa.select(segments).where(segments.c.key.in_(sorted(wanted))))
        new = {row.key: _segment(row) for row in rows}
        if missing := wanted - new.keys():
            raise NotFound("segment", min(missing))
        found |= new
        wanted = {key for segment in new.values() if segment.rule for key in segments_in(segment.rule)} - found.keys()
    return found


# -- rows -------------------------------------------------------------------------------------------------------


def _lock_all(connection: Connection) -> dict[str, Segment]:
    """Return every segment, so that none is made, changed or deleted until the transaction ends."""
    # NO KEY UPDATE: the foreign keys of members that are added to a list meanwhile are not in the way.
    query = sa.select(segments).order_by(segments.c.key).with_for_update(key_share=True)
    locked: set[str] | None = None
    while True:
        found = {row.key: _segment(row) for row in connection.execute(query)}
        if found.keys() == locked:
            return found
        # It may have waited for whoever made another one, and PostgreSQL sees only those that it set out with.
        locked = set(found)


def _put(connection: Connection, old: Segment | None, new: Segment) -> Segment:
    rule = write_rule(new.rule) if new.rule else None
    if old is None:
        values = {"key": new.key, "kind": new.kind, "created_at": new.created_at}
        made = insert_ignoring(connection, segments).values(
            **values, name=new.name, rule=rule, updated_at=new.updated_at
        )
        if connection.execute(made).rowcount == 0:
            raise Conflict(f"Somebody else is making segment {new.key!r} at this moment. Ask again.")
        return new
    if old.kind != new.kind:
        raise WrongKind(old, f"and cannot become one by {new.kind}. Delete it first, or choose another key.")
    connection.execute(
        sa.update(segments).where(segments.c.key == new.key).values(name=new.name, rule=rule, updated_at=new.updated_at)
    )
    return Segment(new.key, new.name, new.rule, old.created_at, new.updated_at)


def _segment(row: sa.Row[Any]) -> Segment:
    rule = parse_rule(row.rule) if row.kind == "rule" else None
    return Segment(row.key, row.name, rule, row.created_at, row.updated_at)


_KEY: Final = TypeAdapter(Key)


def _check_key(key: str) -> list[Problem]:
    try:
        _KEY.validate_python(key)
    except ValidationError as error:
        return [Problem("key", problem.message) for problem in problems_of(error, key)]
    return []
