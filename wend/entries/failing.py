"""Reads that fail: written down where everybody looks, and told to the log as an alarm before long."""

import sqlite3
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import psycopg
import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from wend.entries.opening import ENTERING_STATES, NOT_OPENED, EntryDoesNotAddUp
from wend.errors import WendError
from wend.journeys.occurrences import Occurrence
from wend.storage.database import Database, lock_journey
from wend.storage.tables import entries, journeys

ALARM_ATTEMPT = 3
ALARM_AFTER = timedelta(minutes=10)
"""From the third attempt, or ten minutes after it was due, a read that fails is an error and not a warning."""

log = structlog.get_logger()

Kind = Literal["segment", "joiners"]


class ReadFailed(WendError):
    """The database refused to read an entry's segments."""


# The condition of an index, in its own words: SQLite finds it by them.
_NOT_DONE = entries.c.state != sa.literal_column("'done'")

_SAYS_NO_VALUES = ("08", "28", "3D", "40", "42", "53", "55", "57", "58")
"""Classes of PostgreSQL's errors whose messages name tables, columns and limits, and never a value."""


def note_failure(
    database: Database,
    journey: str,
    occurrence: Occurrence,
    error: Exception,
    attempt: int,
    now: datetime,
    kind: Kind = "segment",
) -> None:
    """Write down that an occurrence's segments could not be read; whoever reads them goes on trying.

    Looks for joiners share one row for as long as they fail: the next look takes over from the one before.

    Args:
        database: Where the entry's row is, or is to be.
        journey: The journey's key.
        occurrence: Which one; for a look, its instant.
        error: What was raised; its first line is kept, unless it might tell of a person.
        attempt: Counts the attempts of whoever tries, from 1.
        now: The instant.
        kind: ``joiners`` for a look.

    Raises:
        Unavailable: The database does not answer; it was told to the log all the same.
    """
    said, final = say(error), isinstance(error, EntryDoesNotAddUp)
    is_alarm = final or attempt >= ALARM_ATTEMPT or now - occurrence.at >= ALARM_AFTER
    tell = log.error if is_alarm else log.warning
    tell("entry cannot be read", journey=journey, occurrence=occurrence.key, attempt=attempt, error=said)
    with database.write() as connection:
        row = lock_journey(connection, journey, share=False)
        if row is None:
            return
        values = {
            "version": row.version,
            "state": "failed" if final else "failing",
            "error": said,
            "opened_at": now,
            "finished_at": now if final else None,
        }
        known = _known(connection, journey, occurrence, kind)
        if known is None:
            connection.execute(
                sa.insert(entries).values(
                    id=uuid4(),
                    journey_key=journey,
                    occurrence=occurrence.key,
                    kind=kind,
                    due_at=occurrence.at,
                    members=0,
                    attempts=attempt,
                    **values,
                )
            )
        elif known.state in NOT_OPENED:
            attempts = max(known.attempts + 1, attempt)
            connection.execute(sa.update(entries).where(entries.c.id == known.id).values(attempts=attempts, **values))


def note_recovery(database: Database, journey: str, now: datetime) -> None:
    """Write down that joiners can be looked for again."""
    failing = (
        entries.c.journey_key == journey,
        entries.c.state == "failing",
        _NOT_DONE,
        entries.c.kind == "joiners",
    )
    with database.read() as connection:
        if connection.execute(sa.select(entries.c.id).where(*failing)).first() is None:
            return  # as nearly always
    with database.write() as connection:
        lock_journey(connection, journey, share=False)
        connection.execute(sa.update(entries).where(*failing).values(state="done", finished_at=now))


def give_up(connection: Connection, now: datetime) -> int:
    """Write occurrences down as missed whose journey was over before they could be read; return how many."""
    over = sa.select(journeys.c.key).where(journeys.c.state.not_in(ENTERING_STATES))
    return connection.execute(
        sa.update(entries)
        .where(entries.c.state.in_(("failing", "asked")), _NOT_DONE, entries.c.journey_key.in_(over))
        .values(state="missed", reason="outage", finished_at=now)
    ).rowcount


def keep_values_out(error: Exception) -> None:
    """Raise another error instead, where this one may quote an attribute's value: Temporal keeps what is raised.

    Raises:
        ReadFailed: What may be told of an error of the database's driver.
    """
    if isinstance(error, sa.exc.DBAPIError):
        raise ReadFailed(say(error)) from None


def say(error: Exception) -> str:
    """Return the first line of an error, without anything that a person may have written."""
    name = type(error).__name__
    if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, Exception):
        return say(error.orig)
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        if state is not None and state[:2] not in _SAYS_NO_VALUES:
            return f"{name} ({state})"
        return f"{name} ({state}): {_first_line(error)}" if state else f"{name}: {_first_line(error)}"
    if isinstance(error, WendError | sqlite3.Error | sa.exc.TimeoutError):
        return f"{name}: {_first_line(error)}"
    return name


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:500]


def _known(connection: Connection, journey: str, occurrence: Occurrence, kind: Kind) -> sa.Row[UUID, str, int] | None:
    columns = sa.select(entries.c.id, entries.c.state, entries.c.attempts).where(entries.c.journey_key == journey)
    if kind == "joiners":
        failing = (entries.c.state == "failing", entries.c.kind == "joiners")
        found = connection.execute(columns.where(*failing).order_by(entries.c.due_at).limit(1)).one_or_none()
        if found is not None:
            return found
    return connection.execute(columns.where(entries.c.occurrence == occurrence.key)).one_or_none()
