"""No occurrence goes by unaccounted for: each has an entry, or a row that says why nobody was taken in.

Temporal fires what a journey's schedule holds. What it did not fire is looked after from here: taken in late, or
written down as missed (``outage``) or skipped (``schedule_paused``, ``window_closed``). Each occurrence counts by the
schedule of the version that was the newest when it came due; it is taken in late only if the newest one holds it too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal
from uuid import uuid4

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from wend import outbox
from wend.entries.opening import ENTERING_STATES
from wend.entries.timetable import enters_until
from wend.errors import Conflict, NotFound
from wend.journeys.definition import JourneyVersion
from wend.journeys.occurrences import Occurrence, occurrences
from wend.journeys.walltime import LONG_AGO
from wend.lifecycle import audit
from wend.lifecycle.versions import Versions, load_version
from wend.storage.database import Database, chunks, hold_journey, insert_ignoring, lock_journey
from wend.storage.tables import entries, journey_versions, journeys

GRACE = timedelta(minutes=1)
"""How long an occurrence is left to its firing before it is looked after."""

MOST_AT_ONCE = 500
"""Occurrences of one journey in one round; the others come in the next."""

ABANDONED_AFTER = timedelta(hours=1)
"""Whoever tries to read an entry's segments tries again within ten minutes of an attempt of thirty, or has died."""

ONE_MICROSECOND = timedelta(microseconds=1)

log = structlog.get_logger()

Reason = Literal["outage", "schedule_paused", "window_closed"]


class NotMissed(Conflict):
    """Only an occurrence that was missed or skipped is taken in after all."""

    def __init__(self, journey: str, occurrence: str, why: str) -> None:
        super().__init__(f"Occurrence {occurrence!r} of journey {journey!r} cannot be taken in: {why}")
        self.journey = journey
        self.occurrence = occurrence


@dataclass(frozen=True, slots=True)
class Held:
    """A journey's Temporal Schedule as it stands.

    Attributes:
        paused: It fires nothing.
        touched: Somebody has paused or resumed it since it was last written.
        fired: The latest firings, by the instants that they were for.
        all_fired: Whether these are all that it ever made.
        dates: The instants that it holds.
        looks: It holds an interval too.
    """

    paused: bool = False
    touched: bool = False
    fired: frozenset[datetime] = frozenset()
    all_fired: bool = True
    dates: frozenset[datetime] = frozenset()
    looks: bool = False

    def held_back(self, at: datetime) -> bool:
        """Return whether it was paused when an occurrence came due: a short pause may be over by now."""
        has_fired = at in self.fired or not (self.all_fired or any(other < at for other in self.fired))
        return (self.paused or self.touched) and not has_fired


@dataclass(frozen=True, slots=True)
class Due:
    """An occurrence that has come due and has no entry.

    Attributes:
        counts_at: When it came due: its instant, or the publication of a start that had passed.
        within_window: That of its own version.
        until: The last instant at which it is still taken in; ``None`` if the newest version does not hold it.
    """

    occurrence: Occurrence
    counts_at: datetime
    within_window: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Unaccounted:
    """What a journey has to be looked after for.

    Attributes:
        moved_to: Up to here every occurrence has an entry, once ``due`` has been settled.
        due: Those that have none, the earliest first.
        closing: The journey's window has ended.
    """

    journey: str
    moved_to: datetime
    due: tuple[Due, ...]
    closing: bool


@dataclass(frozen=True, slots=True)
class _Reign:
    """A version while it was the newest."""

    version: JourneyVersion
    begins_at: datetime
    ends_at: datetime | None
    published_at: datetime  # the journey's first publication, from which schedules count


class Watcher:
    """Finds occurrences that have no entry, and writes down what became of them; any number may do so at once.

    Args:
        database: Where journeys and their entries are.
        versions: Published versions.
    """

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    def look_around(self, now: datetime) -> list[Unaccounted]:
        """Return the journeys that have something to be looked after; nothing is written."""
        newest = sa.and_(
            journey_versions.c.journey_key == journeys.c.key, journey_versions.c.version == journeys.c.version
        )
        columns = (
            journeys.c.key,
            journeys.c.version,
            journeys.c.first_published_at,
            journeys.c.watched_until,
            journeys.c.closes_at,
            journey_versions.c.published_at,
        )
        living = sa.select(*columns).join(journey_versions, newest).where(journeys.c.state.in_(ENTERING_STATES))
        found = []
        with self._database.read() as connection:
            for row in connection.execute(living.order_by(journeys.c.key)).all():
                try:
                    unaccounted = self._look_at(connection, row, now)
                except ValueError:  # a definition that cannot be read must not hold up the other journeys
                    log.exception("journey cannot be watched", journey=row.key)
                    continue
                if unaccounted is not None:
                    found.append(unaccounted)
        return found

    def settle(self, unaccounted: Unaccounted, held: Held | None, now: datetime) -> list[Occurrence]:
        """Write down what was missed or skipped; return what is to be taken in now.

        Args:
            unaccounted: What was found.
            held: The journey's Temporal Schedule; ``None`` if it has none.
            now: The instant.
        """
        entering: list[Due] = []
        with self._database.write() as connection:
            row = lock_journey(connection, unaccounted.journey, share=False)
            if row is None or row.state not in ENTERING_STATES:
                return []
            known = _known(connection, unaccounted.journey, [due.occurrence for due in unaccounted.due])
            for due in unaccounted.due:
                if due.occurrence.key in known:
                    continue
                verdict = _verdict(due, held, now)
                if verdict is None:
                    entering.append(due)
                else:
                    state, reason = verdict
                    _write_off(connection, unaccounted.journey, row.version, due.occurrence, state, reason, now)
            reached = min([unaccounted.moved_to, *(due.counts_at - ONE_MICROSECOND for due in entering)])
            if row.watched_until is None or reached > row.watched_until:
                connection.execute(sa.update(journeys).where(journeys.c.key == row.key).values(watched_until=reached))
        return [due.occurrence for due in entering]

    def write_off_late(self, journey: str, occurrence: Occurrence, now: datetime) -> bool:
        """Write an occurrence down as missed if it is too late for it; return whether it is.

        One that has an entry, or that somebody has tried to read already, is not too late.
        """
        with self._database.read() as connection:
            query = sa.select(journeys.c.version, journeys.c.state, journeys.c.first_published_at)
            row = connection.execute(query.where(journeys.c.key == journey)).one_or_none()
            if row is None or row.state not in ENTERING_STATES:
                return False
            version = self._versions.get(connection, journey, row.version)
            until = enters_until(version, row.first_published_at, occurrence)
            if (until is not None and now <= until) or _known(connection, journey, [occurrence]):
                return False
        with self._database.write() as connection:
            locked = lock_journey(connection, journey, share=False)
            if locked is None or locked.state not in ENTERING_STATES or _known(connection, journey, [occurrence]):
                return False
            _write_off(connection, journey, locked.version, occurrence, "missed", "outage", now)
        return True

    def abandoned(self, now: datetime) -> list[tuple[str, Occurrence]]:
        """Return occurrences that could not be read, or were asked for, long ago, and that nobody tries any more."""
        query = (
            sa.select(entries.c.journey_key, entries.c.occurrence, entries.c.due_at)
            .join(journeys, journeys.c.key == entries.c.journey_key)
            .where(
                entries.c.state.in_(("failing", "asked")),
                entries.c.kind == "segment",
                entries.c.state != sa.literal_column("'done'"),  # the condition of an index, in its own words
                entries.c.opened_at <= now - ABANDONED_AFTER,
                journeys.c.state.in_(ENTERING_STATES),
            )
        )
        with self._database.read() as connection:
            rows = connection.execute(query.limit(MOST_AT_ONCE)).all()
        return [(row.journey_key, Occurrence(row.occurrence, row.due_at)) for row in rows]

    def _look_at(self, connection: Connection, row: Any, now: datetime) -> Unaccounted | None:
        closing = row.closes_at is not None and now > row.closes_at
        until = now if closing else now - GRACE
        since: datetime | None = row.watched_until
        if until < row.first_published_at or (since is not None and until <= since):
            return None
        reigns = self._reigns(connection, row, since)
        found = list(islice((due for reign in reigns for due in _due_in(reign, since, until)), MOST_AT_ONCE))
        if len(found) == MOST_AT_ONCE:
            until = found[-1].counts_at
        elif not found and since is not None and (since >= row.published_at or until < row.published_at):
            return None  # as nearly always: nothing is written where nothing was due
        by_key = {due.occurrence.key: due for due in reversed(found)}
        known = _known(connection, row.key, [due.occurrence for due in by_key.values()])
        newest = self._versions.get(connection, row.key, row.version)
        due = tuple(
            replace(each, until=enters_until(newest, row.first_published_at, each.occurrence))
            for key, each in reversed(by_key.items())
            if key not in known
        )
        return Unaccounted(row.key, until, due, closing)

    def _reigns(self, connection: Connection, row: Any, since: datetime | None) -> list[_Reign]:
        """Return the versions that were the newest at some time after ``since``, in their order."""
        published = [(row.version, row.published_at)]
        if since is None or since < row.published_at:
            query = sa.select(journey_versions.c.version, journey_versions.c.published_at)
            query = query.where(journey_versions.c.journey_key == row.key).order_by(journey_versions.c.version)
            published = [(each.version, each.published_at) for each in connection.execute(query)]
        ends = [*(begins_at for _, begins_at in published[1:]), None]
        return [
            _Reign(self._versions.get(connection, row.key, number), begins_at, ends_at, row.first_published_at)
            for (number, begins_at), ends_at in zip(published, ends, strict=True)
            if ends_at is None or since is None or ends_at > since
        ]


def _due_in(reign: _Reign, since: datetime | None, until: datetime) -> Iterator[Due]:
    """Yield what came due after ``since`` and not after ``until`` while the version was the newest."""
    version, entry = reign.version, reign.version.definition.entry
    if entry is None:
        return
    # A start that had passed already when the version was published came due then.
    begin = LONG_AGO if entry.is_once else max(reign.begins_at, since or reign.begins_at)
    for occurrence in occurrences(entry.schedule, version.zone, reign.published_at, since=begin):
        counts_at = max(occurrence.at, reign.begins_at)
        if counts_at > until or (reign.ends_at is not None and counts_at >= reign.ends_at):
            return
        if since is None or counts_at > since:
            yield Due(occurrence, counts_at, version.window.is_open(occurrence.at), None)


def _verdict(due: Due, held: Held | None, now: datetime) -> tuple[Literal["missed", "skipped"], Reason] | None:
    """Return why nobody is taken in; ``None`` if there is still time to."""
    if not due.within_window:
        return "skipped", "window_closed"
    if held is not None and held.held_back(due.occurrence.at):
        return "skipped", "schedule_paused"
    if due.until is None or now > due.until:
        return "missed", "outage"
    return None


def _known(connection: Connection, journey: str, those: Sequence[Occurrence]) -> set[str]:
    """Return the keys of those occurrences that have a row."""
    known: set[str] = set()
    for some in chunks([occurrence.key for occurrence in those]):
        query = sa.select(entries.c.occurrence).where(entries.c.journey_key == journey, entries.c.occurrence.in_(some))
        known.update(connection.scalars(query))
    return known


def _write_off(
    connection: Connection,
    journey: str,
    version: int,
    occurrence: Occurrence,
    state: Literal["missed", "skipped"],
    reason: Reason,
    now: datetime,
) -> None:
    written = connection.execute(
        insert_ignoring(connection, entries).values(
            id=uuid4(),
            journey_key=journey,
            version=version,
            occurrence=occurrence.key,
            kind="segment",
            state=state,
            reason=reason,
            due_at=occurrence.at,
            opened_at=now,
            finished_at=now,
            members=0,
        )
    )
    if written.rowcount:
        log.warning("occurrence took nobody in", journey=journey, occurrence=occurrence.key, state=state, reason=reason)


# -- asked for after all --------------------------------------------------------------------------------------------


def take_in(connection: Connection, journey: str, occurrence: str, now: datetime, *, by: str = audit.ITSELF) -> None:
    """Have an occurrence taken in that was missed or skipped, however late it is.

    Raises:
        NotFound: There is no such journey, or nothing is known of such an occurrence.
        NotMissed: It was taken in, or the journey takes nobody in now.
    """
    row = hold_journey(connection, journey)
    query = sa.select(entries.c.id, entries.c.state, entries.c.due_at).where(
        entries.c.journey_key == journey, entries.c.occurrence == occurrence, entries.c.kind == "segment"
    )
    entry = connection.execute(query).one_or_none()
    if entry is None:
        raise NotFound(
            "record of occurrence",
            occurrence,
            "One that is to come is taken in by itself, and one that has just been is looked after within two minutes. "
            f"Those that were missed or skipped are listed by: wend entries {journey}",
        )
    if entry.state == "asked":
        raise NotMissed(journey, occurrence, "somebody has asked for it, and it is being taken in.")
    if entry.state not in ("missed", "skipped"):
        raise NotMissed(journey, occurrence, f"it is {entry.state}, neither missed nor skipped.")
    if row.state not in ENTERING_STATES:
        raise NotMissed(journey, occurrence, f"the journey is {row.state} and takes nobody in any more.")
    version = load_version(connection, journey, row.version)
    if version.definition.entry is None:
        raise NotMissed(journey, occurrence, "the newest version of the journey has no entry.")
    for at, when in ((now, "is closed now"), (entry.due_at, "was closed when it was due")):
        if not version.window.is_open(at):
            remedy = "Publish a version whose window is open at both, and ask again."
            raise NotMissed(journey, occurrence, f"the journey's window {when}. {remedy}")
    connection.execute(sa.update(entries).where(entries.c.id == entry.id).values(state="asked"))
    outbox.put(connection, "enter", journey, now, {"occurrence": occurrence, "due_at": entry.due_at.isoformat()})
    told = {"occurrence": occurrence, "was": entry.state}
    audit.note(connection, by, "take_in", now, journey=journey, version=row.version, detail=told)
