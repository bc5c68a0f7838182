"""A journey's occurrences, as its newest version and its first publication say."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.definition import JourneyVersion
from wend.journeys.entry import Entry
from wend.journeys.occurrences import Occurrence, next_occurrences, occurrences
from wend.journeys.walltime import FOREVER, later
from wend.lifecycle.versions import Versions
from wend.storage.database import Database
from wend.storage.tables import entries, journey_versions, journeys

MOST_AHEAD = 200
"""Dated occurrences that a Temporal Schedule holds; it is filled up at each firing."""

CLOCKS_APART = timedelta(milliseconds=500)
"""How far the clock of whoever fires by hand may be ahead of the one that entries are opened by."""

CATCH_UP = timedelta(hours=1)
"""How late a repeating occurrence may still be taken in, where its schedule does not say."""

AROUND_PUBLISH = timedelta(seconds=5)
"""A schedule that is replaced as an occurrence comes due forgets it, if it had not fired yet."""


@dataclass(frozen=True, slots=True)
class Looks:
    """When joiners are looked for: every so long, from an instant on, up to another one, itself included."""

    every: timedelta
    begin_at: datetime
    end_at: datetime | None


@dataclass(frozen=True, slots=True)
class Look:
    """A firing that is for no occurrence: joiners are looked for.

    Attributes:
        next_at: When they are looked for again, whatever comes of this look.
    """

    fired_at: datetime
    next_at: datetime

    @property
    def named(self) -> Occurrence:
        """What its entry is called."""
        return Occurrence(f"{self.fired_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", self.fired_at)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a journey's Temporal Schedule is to hold.

    Attributes:
        version: The newest version.
        coming: The next occurrences within the journey's window.
        only: The key of the one occurrence of a journey that is entered once.
        overdue: An occurrence that the schedule will not fire any more has passed, and nobody was taken in.
        looks: When joiners are looked for besides.
        catch_up: How late a firing may still be made up for; ``None``: without limit.
    """

    version: JourneyVersion
    coming: list[Occurrence]
    only: str | None
    overdue: bool
    looks: Looks | None = None
    catch_up: timedelta | None = None


class Timetable:
    """Says what is due, and what comes next.

    Args:
        database: Where journeys and their entries are.
        versions: Published versions.
    """

    def __init__(self, database: Database, versions: Versions) -> None:
        self.database = database
        self.versions = versions

    def journeys(self) -> list[str]:
        """Return the journeys that take members in by themselves, as far as their state goes."""
        query = (
            sa.select(journeys.c.key)
            .where(journeys.c.state.in_(("scheduled", "live", "paused")))
            .order_by(journeys.c.key)
        )
        with self.database.read() as connection:
            return list(connection.scalars(query))

    def ahead(self, journey: str, now: datetime) -> Ahead | None:
        """Return what comes next; ``None`` where the journey takes nobody in by itself."""
        with self.database.read() as connection:
            found = self._entry(connection, journey)
            if found is None:
                return None
            version, entry, published_at = found
            opens_at = version.window.opens_at
            since = max(now, opens_at) if opens_at else now
            held = next_occurrences(entry.schedule, version.zone, published_at, since=since, limit=MOST_AHEAD)
            coming = [occurrence for occurrence in held if version.window.is_open(occurrence.at)]
            catch_up = catch_up_of(entry)
            if not entry.is_once:
                overdue = self._is_overdue(connection, journey, found, now)
                return Ahead(version, coming, None, overdue, catch_up=catch_up)
            start = _start(entry, version, published_at)
            state = _state_of(connection, journey, start.key)
            overdue = state is None and start.at <= now and _may_enter(found, start, now)
            looks = looks_of(version, published_at)
            if looks is not None and _lets_look(state):
                catch_up = looks.every  # a look that was missed is made up for by the next one
            return Ahead(version, coming, start.key, overdue, looks, catch_up)

    def due(self, journey: str, fired_at: datetime) -> Occurrence | Look | None:
        """Return what a firing is for; ``None`` if nothing is due.

        The occurrence of this very instant; else, for a firing by hand, the latest that was due and is not too late,
        if nobody took it in. Earlier ones are not gone back to, else a second firing by hand would take the same
        people in again. Where joiners are looked for, any firing after the start has been dealt with is for them.
        """
        with self.database.read() as connection:
            found = self._entry(connection, journey)
            if found is None:
                return None
            version, entry, published_at = found
            since = None if entry.is_once else fired_at - (catch_up_of(entry) or CATCH_UP)
            passed = deque(_until(occurrences(entry.schedule, version.zone, published_at, since=since), fired_at), 1)
            if not passed:
                return None
            latest = passed.pop()
            state = _state_of(connection, journey, latest.key)
            every = entry.refreshes_every
            if version.window.is_open(latest.at):
                # One that cannot be read is tried again by whoever tries it already; a firing by hand tries it too.
                untried = state is None or (state == "failing" and every is None)
                if latest.at == fired_at or (untried and _may_enter(found, latest, fired_at)):
                    return latest
                # Whoever opened it for this firing may have died over it: its runs have yet to be started.
                if state == "open" and _opened_since(connection, journey, latest.key, fired_at):
                    return latest
            if every is not None and _lets_look(state) and version.window.is_open(fired_at):
                return Look(fired_at, fired_at + every)
            return None

    def _is_overdue(
        self, connection: Connection, journey: str, found: "tuple[JourneyVersion, Entry, datetime]", now: datetime
    ) -> bool:
        version, entry, published_at = found
        since = max(now - (catch_up_of(entry) or CATCH_UP), self._written_at(connection, journey, version))
        known = (entries.c.journey_key == journey, entries.c.kind == "segment", entries.c.due_at >= since)
        done = set(connection.scalars(sa.select(entries.c.occurrence).where(*known)))
        passed = _until(occurrences(entry.schedule, version.zone, published_at, since=since), now)
        return any(each.key not in done and _may_enter(found, each, now) for each in passed)

    def _written_at(self, connection: Connection, journey: str, version: JourneyVersion) -> datetime:
        query = sa.select(journey_versions.c.published_at).where(
            journey_versions.c.journey_key == journey, journey_versions.c.version == version.number
        )
        written_at: datetime = connection.execute(query).scalar_one()
        return written_at - AROUND_PUBLISH

    def _entry(self, connection: Connection, journey: str) -> tuple[JourneyVersion, Entry, datetime] | None:
        row = connection.execute(
            sa.select(journeys.c.state, journeys.c.version, journeys.c.first_published_at).where(
                journeys.c.key == journey
            )
        ).one_or_none()
        if row is None or row.state not in ("scheduled", "live", "paused") or row.first_published_at is None:
            return None
        version = self.versions.get(connection, journey, row.version)
        entry = version.definition.entry
        return (version, entry, row.first_published_at) if entry is not None else None


def catch_up_of(entry: Entry) -> timedelta | None:
    """Return how late an occurrence may still be taken in; ``None``: without limit."""
    if entry.schedule.catch_up is None and not entry.is_once:
        return CATCH_UP
    return entry.schedule.catch_up


def enters_until(version: JourneyVersion, published_at: datetime, occurrence: Occurrence) -> datetime | None:
    """Return the last instant at which an occurrence is still taken in; ``None`` if the version does not hold it.

    Args:
        version: The newest one.
        published_at: When the journey was first published.
        occurrence: Of this version, or of an earlier one.
    """
    entry = version.definition.entry
    if entry is None:
        return None
    held = next(occurrences(entry.schedule, version.zone, published_at, since=occurrence.at), None)
    if held is None or (held.key, held.at) != (occurrence.key, occurrence.at):
        return None
    catch_up = catch_up_of(entry)
    latest = FOREVER if catch_up is None else later(occurrence.at, catch_up)
    closes_at = version.window.closes_at
    return min(latest, closes_at) if closes_at is not None else latest


def looks_of(version: JourneyVersion, published_at: datetime) -> Looks | None:
    """Return when a version looks for joiners between occurrences; ``None`` if it does not."""
    entry = version.definition.entry
    if entry is None or entry.refreshes_every is None:
        return None
    start = _start(entry, version, published_at).at
    opens_at, closes_at = version.window.opens_at, version.window.closes_at
    return Looks(entry.refreshes_every, max(start, opens_at) if opens_at else start, closes_at)


def _start(entry: Entry, version: JourneyVersion, published_at: datetime) -> Occurrence:
    return next(occurrences(entry.schedule, version.zone, published_at))


def _may_enter(found: tuple[JourneyVersion, Entry, datetime], occurrence: Occurrence, at: datetime) -> bool:
    version, _, published_at = found
    latest = enters_until(version, published_at, occurrence)
    return latest is not None and at <= latest and version.window.is_open(occurrence.at)


def _lets_look(state: str | None) -> bool:
    """Whether the start has been dealt with, so that whoever is a member now and was not then has joined since."""
    return state is not None and state != "failing"


def _state_of(connection: Connection, journey: str, key: str) -> str | None:
    """Return the state of an occurrence's entry; ``None`` if it has none."""
    query = sa.select(entries.c.state).where(
        entries.c.journey_key == journey, entries.c.occurrence == key, entries.c.kind == "segment"
    )
    return connection.scalar(query)


def _opened_since(connection: Connection, journey: str, key: str, fired_at: datetime) -> bool:
    """Return whether an occurrence's entry was opened after a firing, or at most as much before it as clocks differ."""
    query = sa.select(entries.c.opened_at).where(
        entries.c.journey_key == journey, entries.c.occurrence == key, entries.c.kind == "segment"
    )
    opened_at: datetime | None = connection.scalar(query)
    return opened_at is not None and opened_at >= fired_at - CLOCKS_APART


def _until(coming: Iterator[Occurrence], last: datetime) -> Iterator[Occurrence]:
    for occurrence in coming:
        if occurrence.at > last:
            return
        yield occurrence
