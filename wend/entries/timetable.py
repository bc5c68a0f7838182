"""A journey's occurrences, as its newest version and its first publication say."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.definition import JourneyVersion
from wend.journeys.occurrences import Occurrence, next_occurrences, occurrences
from wend.journeys.schedule import Entry
from wend.lifecycle.versions import Versions
from wend.storage.database import Database
from wend.storage.tables import entries, journey_versions, journeys

MOST_AHEAD = 200
"""Dated occurrences that a Temporal Schedule holds; it is filled up at each firing."""

LOOK_BACK = timedelta(days=7)
"""How far back a firing without an occurrence of its own looks for one that was missed."""


CATCH_UP = timedelta(hours=1)
"""How late a repeating occurrence may still be taken in after an outage."""

AROUND_PUBLISH = timedelta(seconds=5)
"""A schedule that is replaced as an occurrence comes due forgets it, if it had not fired yet."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a journey's Temporal Schedule is to hold.

    Attributes:
        version: The newest version.
        coming: The next occurrences.
        only: The key of the one occurrence of a journey that is entered once.
        overdue: An occurrence that the schedule will not fire any more has passed, and nobody was taken in.
    """

    version: JourneyVersion
    coming: list[Occurrence]
    only: str | None
    overdue: bool


class Timetable:
    """Says what is due, and what comes next."""

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    def ahead(self, journey: str, now: datetime) -> Ahead | None:
        """Return what comes next; ``None`` where the journey takes nobody in by itself."""
        with self._database.read() as connection:
            found = self._entry(connection, journey)
            if found is None:
                return None
            version, entry, published_at = found
            coming = next_occurrences(entry.schedule, version.zone, published_at, since=now, limit=MOST_AHEAD)
            done = self._done(connection, journey)
            if entry.frequency == "repeating":
                since = max(now - CATCH_UP, self._written_at(connection, journey, version) - AROUND_PUBLISH)
                passed = _until(occurrences(entry.schedule, version.zone, published_at, since=since), now)
                return Ahead(version, coming, None, overdue=any(each.key not in done for each in passed))
            start = next(occurrences(entry.schedule, version.zone, published_at))
            return Ahead(version, coming, start.key, overdue=start.at <= now and start.key not in done)

    def due(self, journey: str, fired_at: datetime) -> Occurrence | None:
        """Return the occurrence that a firing is for; ``None`` if nothing is due.

        That of this very instant; else, for a firing by hand, the latest that was due, if nobody took it in. Earlier
        ones are not gone back to, else a second firing by hand would take the same people in again.
        """
        with self._database.read() as connection:
            found = self._entry(connection, journey)
            if found is None:
                return None
            version, entry, published_at = found
            done = self._done(connection, journey)
            since = fired_at - LOOK_BACK if entry.frequency == "repeating" else None
            latest: Occurrence | None = None
            for occurrence in _until(occurrences(entry.schedule, version.zone, published_at, since=since), fired_at):
                if occurrence.at == fired_at:
                    return occurrence
                latest = occurrence
            return latest if latest and latest.key not in done else None

    def _done(self, connection: Connection, journey: str) -> set[str]:
        by_segment = (entries.c.journey_key == journey, entries.c.kind == "segment")
        return set(connection.scalars(sa.select(entries.c.occurrence).where(*by_segment)))

    def _written_at(self, connection: Connection, journey: str, version: JourneyVersion) -> datetime:
        query = sa.select(journey_versions.c.published_at).where(
            journey_versions.c.journey_key == journey, journey_versions.c.version == version.number
        )
        written_at: datetime = connection.execute(query).scalar_one()
        return written_at

    def _entry(self, connection: Connection, journey: str) -> tuple[JourneyVersion, Entry, datetime] | None:
        row = connection.execute(
            sa.select(journeys.c.state, journeys.c.version, journeys.c.first_published_at).where(
                journeys.c.key == journey
            )
        ).one_or_none()
        if row is None or row.state not in ("scheduled", "live") or row.first_published_at is None:
            return None
        version = self._versions.get(connection, journey, row.version)
        entry = version.definition.entry
        return (version, entry, row.first_published_at) if entry is not None else None


def _until(coming: Iterator[Occurrence], last: datetime) -> Iterator[Occurrence]:
    for occurrence in coming:
        if occurrence.at > last:
            return
        yield occurrence
