"""How long a large segment takes to enter, against the bare insert of the same rows; and how long a look takes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.documents import parse_definition
from wend.entries.opening import EntryDesk
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.publishing import publish, put_draft
from wend.lifecycle.versions import Versions
from wend.segments import store as segment_store
from wend.segments.rules import parse_rule
from wend.storage.database import Database, chunks
from wend.storage.schema import upgrade
from wend.storage.tables import entries, identities, profiles, runs

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)


def measure(members: int) -> dict[str, float]:
    """Return seconds and ratios; each on an SQLite file of its own."""
    bare = _on_a_file(members, lambda database, _: {"bare": _timed(lambda: _insert_bare(database))})["bare"]
    once = _on_a_file(members, lambda _, desk: {"once": _timed(lambda: _enter(desk, "once", members))})["once"]
    joiners = _on_a_file(members, lambda database, desk: _look(database, desk, members))
    return {
        "members": members,
        "insert of the same rows (s)": bare,
        "entry, once (s)": once,
        "entry, once, ratio": once / bare,
        "entry that remembers its members (s)": joiners["entry"],
        "entry that remembers its members, ratio": joiners["entry"] / bare,
        "look that finds nobody (s)": joiners["nobody"],
        "look that finds one in a thousand (s)": joiners["some"],
    }


def _on_a_file(members: int, call: Callable[[Database, EntryDesk], dict[str, float]]) -> dict[str, float]:
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'bench.db'}"
        upgrade(url)
        database = Database(url)
        try:
            with database.write() as connection:
                rule = parse_rule({"attribute": "level", "op": "eq", "value": "gold"})
                segment_store.put_rule(connection, "gold", "Gold", rule, NOW)
                _load(connection, members)
                for key, frequency in (("bare", "once"), ("once", "once"), ("joiners", "once_and_joiners")):
                    _publish(connection, key, frequency)
            return call(database, EntryDesk(database, Versions()))
        finally:
            database.close()


def _enter(desk: EntryDesk, key: str, members: int) -> None:
    opened = desk.open(key, Occurrence("2026-12-01T09:00", NOW), NOW)
    assert opened is not None
    assert opened.entered == members


def _look(database: Database, desk: EntryDesk, members: int) -> dict[str, float]:
    def look(minutes: int) -> None:
        fired_at = NOW + minutes * A_MINUTE
        desk.look_for_joiners("joiners", fired_at, fired_at)

    entry = _timed(lambda: _enter(desk, "joiners", members))
    nobody = _timed(lambda: look(1))
    with database.write() as connection:
        _load(connection, max(members // 1000, 1))
    return {"entry": entry, "nobody": nobody, "some": _timed(lambda: look(2))}


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _load(connection: Connection, count: int) -> None:
    level = {"level": "gold"}
    for some in chunks([uuid4() for _ in range(count)], 20_000):
        people = [{"id": id, "attributes": level, "created_at": NOW, "updated_at": NOW} for id in some]
        connection.execute(sa.insert(profiles), people)
        addresses = [{"profile_id": id, "namespace": "email", "value": f"{id}@example.com"} for id in some]
        connection.execute(sa.insert(identities), addresses)


def _publish(connection: Connection, key: str, frequency: str) -> None:
    start = {"start": {"at": "2026-12-01T09:00"}}
    entry = {"segment": "gold", "namespace": "email", "frequency": frequency, "schedule": start}
    steps = [{"id": "year", "type": "wait", "for": "P365D"}]
    put_draft(connection, parse_definition({"key": key, "name": key, "entry": entry, "steps": steps}), NOW)
    publish(connection, key, NOW)


def _insert_bare(database: Database) -> None:
    """Write a pending run for every profile, with nothing decided."""
    entry_id = uuid4()
    values: dict[str, sa.ColumnElement[object]] = {
        "id": _new_id(database),
        "journey_key": sa.literal("bare"),
        "version": sa.literal(1),
        "entry_id": sa.literal(entry_id, sa.Uuid),
        "profile_id": profiles.c.id,
        "entry_number": sa.literal(1),
        "once": sa.literal(True),
        "properties": sa.literal({}, runs.c.properties.type),
        "state": sa.literal("pending"),
        "sequence": sa.literal(0),
        "moves": sa.literal(0),
        "woken": sa.literal(False),
        "created_at": sa.literal(NOW, runs.c.created_at.type),
    }
    entry = {"journey_key": "bare", "version": 1, "occurrence": "bare", "kind": "segment", "state": "done"}
    with database.write() as connection:
        connection.execute(sa.insert(entries).values(id=entry_id, due_at=NOW, opened_at=NOW, members=0, **entry))
        connection.execute(sa.insert(runs).from_select(list(values), sa.select(*values.values())))


def _new_id(database: Database) -> sa.ColumnElement[UUID]:
    if database.dialect == "postgresql":
        return sa.func.gen_random_uuid(type_=sa.Uuid)
    return sa.func.lower(sa.func.hex(sa.func.randomblob(16)))
