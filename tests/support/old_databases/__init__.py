"""Databases as earlier releases left them: their rows, recorded by those releases, to be loaded and upgraded.

Each file here is what ``python -m tests.support.old_databases.recording FILE`` wrote in a checkout of the last release
with that schema. Files are added, never edited: one for the schema that a new migration leaves behind.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from wend.storage import schema
from wend.storage.database import Database
from wend.storage.tables import metadata

Rows = list[dict[str, Any]]

OLD_DATABASES = sorted(path.stem for path in Path(__file__).parent.glob("*.json"))
"""Their revisions, the oldest first."""


def recorded(revision: str) -> dict[str, Rows]:
    """Return the rows that a release with this schema left, by table; tables that it did not have are not there."""
    document = json.loads((Path(__file__).parent / f"{revision}.json").read_text(), object_hook=_value)
    tables: dict[str, Rows] = document["tables"]
    return {name: rows for name, rows in tables.items() if rows}


def load(url: str, revision: str) -> dict[str, Rows]:
    """Make an empty database what a release with this schema left; return its rows."""
    schema.upgrade(url, revision)
    rows = recorded(revision)
    database = Database(url)
    try:
        with database.write() as connection:
            for table in metadata.sorted_tables:
                for row in rows.get(table.name, ()):
                    connection.execute(sa.insert(_as_it_was(table, row)).values(row))
                if database.dialect == "postgresql" and table.name in rows:
                    _go_on_counting(connection, table)
    finally:
        database.close()
    return rows


def comparable(rows: Mapping[str, Rows]) -> dict[str, list[str]]:
    """Return the rows so that neither their order nor that of names in them makes a difference."""
    return {name: sorted(json.dumps(row, sort_keys=True, default=str) for row in each) for name, each in rows.items()}


def stored(database: Database, like: Mapping[str, Rows]) -> dict[str, Rows]:
    """Return what is stored in the columns and tables that ``like`` has, the rows in no order."""
    with database.read() as connection:
        return {
            name: [
                dict(row)
                for row in connection.execute(
                    sa.select(*(metadata.tables[name].c[each] for each in rows[0]))
                ).mappings()
            ]
            for name, rows in like.items()
        }


def _as_it_was(table: sa.Table, row: Mapping[str, Any]) -> sa.TableClause:
    """Return the table with the columns that it had: today's would add what new ones hold by default."""
    return sa.table(table.name, *(sa.column(name, table.c[name].type) for name in row))


def _go_on_counting(connection: sa.Connection, table: sa.Table) -> None:
    for column in table.primary_key:
        if isinstance(column.type, sa.Integer) and column.autoincrement is True:
            counter = sa.func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(sa.select(sa.func.setval(counter, sa.select(sa.func.max(column)).scalar_subquery())))


def _value(document: dict[str, Any]) -> Any:
    match document:
        case {"$at": text}:
            return datetime.fromisoformat(text)
        case {"$id": text}:
            return UUID(text)
        case {"$bytes": text}:
            return bytes.fromhex(text)
        case _:
            return document
