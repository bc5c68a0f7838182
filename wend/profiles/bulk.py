"""Writing very many profiles at once, as ``store.upsert`` would, for rows that all have different external ids.

PostgreSQL: COPY into a temporary table, then a handful of set-based statements that take locks in the same order as
the store. SQLite: there is no other writer, so new people are inserted straight away and only the others are upserted.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wend.errors import Conflict
from wend.profiles import store
from wend.profiles.identities import EXTERNAL_ID
from wend.profiles.ids import new_ids
from wend.profiles.spool import Row, Spool
from wend.storage.tables import identities, profiles

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

_PREPARE = (
    "SET LOCAL lock_timeout = 0",  # a million people are worth waiting for whoever holds one of them
    "SET LOCAL work_mem = '64MB'",
    """
    CREATE TEMP TABLE incoming (
        id uuid NOT NULL, external_id text NOT NULL, attributes jsonb NOT NULL, removed jsonb,
        identities jsonb NOT NULL, time_zone text, sets_time_zone boolean NOT NULL
    ) ON COMMIT DROP
    """,
)

_MATCH = """
    CREATE TEMP TABLE matched ON COMMIT DROP AS
    SELECT n.id AS incoming_id, i.profile_id
    FROM incoming n JOIN identities i ON i.namespace = 'external_id' AND i.value = n.external_id
"""

_NEW = "NOT EXISTS (SELECT FROM matched m WHERE m.incoming_id = n.id)"

_CREATE = f"""
    INSERT INTO profiles (id, attributes, time_zone, created_at, updated_at)
    SELECT n.id, n.attributes, n.time_zone, :now, :now FROM incoming n WHERE {_NEW}
"""

# In the order of the ids by code point, as in store.upsert: two imports at once then wait and do not deadlock.
_CLAIM = f"""
    INSERT INTO identities (profile_id, namespace, value)
    SELECT n.id, 'external_id', n.external_id FROM incoming n WHERE {_NEW} ORDER BY n.external_id COLLATE "C"
    ON CONFLICT DO NOTHING
"""

# Those whose external id somebody else took between the match and the claim are existing profiles after all.
_MATCH_LOST = f"""
    INSERT INTO matched
    SELECT n.id, i.profile_id
    FROM incoming n JOIN identities i ON i.namespace = 'external_id' AND i.value = n.external_id
    WHERE i.profile_id <> n.id AND {_NEW}
"""
_DROP_LOST = "DELETE FROM profiles WHERE id IN (SELECT incoming_id FROM matched)"

_LOCK = """
    SELECT count(*) FROM (
        SELECT FROM profiles p JOIN matched m ON m.profile_id = p.id ORDER BY p.id FOR NO KEY UPDATE OF p
    ) locked
"""

_CHANGE = """
    WITH wanted AS (
        SELECT p.id,
            (p.attributes || n.attributes)
                - ARRAY(SELECT jsonb_array_elements_text(coalesce(n.removed, '[]'))) AS attributes,
            CASE WHEN n.sets_time_zone THEN n.time_zone ELSE p.time_zone END AS time_zone
        FROM incoming n JOIN matched m ON m.incoming_id = n.id JOIN profiles p ON p.id = m.profile_id
    )
    UPDATE profiles p SET attributes = w.attributes, time_zone = w.time_zone, updated_at = :now
    FROM wanted w
    WHERE p.id = w.id AND (p.attributes, p.time_zone) IS DISTINCT FROM (w.attributes, w.time_zone)
"""

_NEW_IDENTITIES = f"""
    INSERT INTO identities (profile_id, namespace, value)
    SELECT n.id, e.key, e.value FROM incoming n CROSS JOIN jsonb_each_text(n.identities) e
    WHERE e.value IS NOT NULL AND {_NEW}
"""

_WANTED = "matched m JOIN incoming n ON n.id = m.incoming_id CROSS JOIN jsonb_each_text(n.identities) e"
_TOUCH = "UPDATE profiles SET updated_at = :now WHERE updated_at <> :now AND id IN (SELECT profile_id FROM changed)"
_SET_IDENTITIES = f"""
    WITH changed AS (
        INSERT INTO identities AS i (profile_id, namespace, value)
        SELECT m.profile_id, e.key, e.value FROM {_WANTED} WHERE e.value IS NOT NULL
        ON CONFLICT (profile_id, namespace) DO UPDATE SET value = excluded.value WHERE i.value <> excluded.value
        RETURNING i.profile_id
    ) {_TOUCH}
"""
_REMOVE_IDENTITIES = f"""
    WITH changed AS (
        DELETE FROM identities i
        USING (SELECT m.profile_id, e.key FROM {_WANTED} WHERE e.value IS NULL) gone
        WHERE i.profile_id = gone.profile_id AND i.namespace = gone.key
        RETURNING i.profile_id
    ) {_TOUCH}
"""


def copy_profiles(connection: Connection, spool: Spool, now: datetime, written: Callable[[int], None]) -> int:
    """Write the rows; return how many profiles were new.

    Raises:
        Conflict: A profile was deleted by somebody else while it was being imported.
    """

    def run(statement: str, share: float) -> int:
        result = connection.execute(sa.text(statement), {"now": now} if ":now" in statement else {})
        written(int(spool.rows * share))
        return int(result.rowcount)

    for statement in _PREPARE:
        run(statement, 0)
    _copy(connection, spool, now, lambda done: written(done * 4 // 10))
    run("ANALYZE incoming", 0.4)
    run(_MATCH, 0.45)
    run("ANALYZE matched", 0.45)
    created, claimed = run(_CREATE, 0.6), run(_CLAIM, 0.7)
    if claimed < created:
        lost = run(_MATCH_LOST, 0.7)
        run(_DROP_LOST, 0.7)
        created -= lost
    run(_NEW_IDENTITIES, 0.8)
    matched = connection.execute(sa.text("SELECT count(*) FROM matched")).scalar_one()
    locked = connection.execute(sa.text(_LOCK)).scalar_one()
    if claimed < created or locked < matched:
        raise Conflict("A profile was deleted while it was being imported. Nothing was imported; import again.")
    run(_CHANGE, 0.9)
    run(_SET_IDENTITIES, 1)
    run(_REMOVE_IDENTITIES, 1)
    return created


def _copy(connection: Connection, spool: Spool, now: datetime, copied: Callable[[int], None]) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    done, ids = 0, (id.hex for id in new_ids(now))
    with driver.cursor() as cursor, cursor.copy("COPY incoming FROM STDIN") as copy:
        for batch in spool.batches():
            copy.write("".join(_line(row, ids) for row in batch))
            done += len(batch)
            copied(done)


def _line(row: Row, ids: Iterator[str]) -> str:
    removed = [name for name, value in row.attributes.items() if value is None]
    attributes = _kept(row.attributes) if removed else row.attributes
    cells = (
        next(ids),
        _escape(row.external_id),
        _escape(_encode(attributes)),
        _escape(_encode(removed)) if removed else r"\N",
        _escape(_encode(row.identities)),
        row.time_zone or r"\N",
        "t" if row.sets_time_zone else "f",
    )
    return "\t".join(cells) + "\n"


def _escape(text: str) -> str:
    # Nothing that comes here holds a tab or a line's end: control characters are refused or escaped by JSON.
    return text.replace("\\", "\\\\")


def _kept(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


# -- SQLite -----------------------------------------------------------------------------------------------------


def insert_profiles(connection: Connection, spool: Spool, now: datetime, written: Callable[[int], None]) -> int:
    """Write the rows; return how many profiles were new."""
    created = done = 0
    ids = (id.hex for id in new_ids(now))
    for batch in spool.batches():
        known = store.find_external(connection, [row.external_id for row in batch])
        store.upsert(connection, [row.upsert() for row in batch if row.external_id in known], now)
        new = [(next(ids), row) for row in batch if row.external_id not in known]
        if new:
            _insert(connection, new, now)
        created += len(new)
        done += len(batch)
        written(done)
    return created


def _insert(connection: Connection, new: Sequence[tuple[str, Row]], now: datetime) -> None:
    """Insert new people with the driver's own statements: the ORM-less core is still half of the time."""
    at = profiles.c.created_at.type.bind_processor(connection.dialect)
    stamp = at(now) if at else now
    people = [(id, _encode(_kept(row.attributes)), row.time_zone, stamp, stamp) for id, row in new]
    named = [(id, EXTERNAL_ID, row.external_id) for id, row in new]
    named += [(id, space, value) for id, row in new for space, value in row.identities.items() if value is not None]
    connection.exec_driver_sql(_insert_text(profiles), people)
    connection.exec_driver_sql(_insert_text(identities), named)


def _insert_text(table: sa.Table) -> str:
    names = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
