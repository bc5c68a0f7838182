"""One occasion on which a segment enters a journey: one verdict per member, in one transaction.

Membership is evaluated once. Every member gets a pending run, or an exclusion with its reason; the members counted
from the segment equal both together. Unique indexes stand behind it: a run that one of them refuses becomes an
exclusion too.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.entries import verdicts
from wend.entries.returning import refuse_returned
from wend.errors import Conflict, NotFound
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.ending import RESTARTED, end_runs
from wend.lifecycle.versions import Versions
from wend.storage.database import Database, hold_journey, insert_ignoring
from wend.storage.tables import entries, exclusions, journeys, runs
from wend.storage.types import Instant

NOT_OPENED = frozenset({"failing", "asked"})
"""States of an entry that is still to be opened."""

ON_TIME = timedelta(minutes=1)
"""How long after its instant an occurrence may be opened and still be that instant's."""

ENTERING_STATES = frozenset({"scheduled", "live", "paused"})
"""States of a journey in whose time members are taken in; of a paused one, as was chosen for the pause."""

A_SECOND = timedelta(seconds=1)


class EntryDoesNotAddUp(Conflict):
    """Members are missing from the verdicts: a defect, and never to be passed over."""

    def __init__(self, entry_id: UUID, members: int, entered: int, excluded: int) -> None:
        super().__init__(
            f"Entry {str(entry_id)!r} has {members} members, but {entered} runs and {excluded} exclusions. "
            "Please report this; nobody was started twice."
        )
        self.entry_id = entry_id


@dataclass(frozen=True, slots=True)
class OpenedEntry:
    """An entry as it stands. ``entered`` and ``excluded`` are counted from the rows, ``members`` from the segment."""

    id: UUID
    journey: str
    occurrence: str
    state: str
    members: int
    entered: int
    excluded: int


class EntryDesk:
    """Opens entries and says how they stand."""

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    def open(self, journey: str, occurrence: Occurrence, now: datetime) -> OpenedEntry | None:
        """Open the entry of an occurrence, or return it as it stands: an occurrence is taken in once.

        One that is outside of the journey's window is written down as skipped, and so is one during a pause that drops
        entries.

        Returns:
            ``None`` where the journey takes nobody in any more.

        Raises:
            NotFound: There is no such journey, or a segment of its entry is gone.
            EntryDoesNotAddUp: The verdicts do not cover the members.
        """
        with self._database.write() as connection:
            row = hold_journey(connection, journey)
            known = self._find(connection, journey, occurrence.key)
            if known is not None and known.state not in NOT_OPENED:
                return known
            if row.state not in ENTERING_STATES:
                return None
            version = self._versions.get(connection, journey, row.version)
            if version.definition.entry is None:
                return None  # published without one after this was fired
            draft = _EntryRow(journey, version.number, occurrence.key, "segment", occurrence.at, now)
            window = version.window
            on_time = now - occurrence.at <= ON_TIME
            if not (window.is_open(occurrence.at) and (on_time or window.is_open(now))):
                draft.write(connection, known, state="skipped", reason="window_closed", finished_at=now)
                return self._find(connection, journey, occurrence.key)
            if _drops(row):
                draft.write(connection, known, state="skipped", reason="paused", finished_at=now)
                return self._find(connection, journey, occurrence.key)
            return self._take_in(connection, row, version, draft, known)

    def look_for_joiners(self, journey: str, fired_at: datetime, now: datetime) -> OpenedEntry | None:
        """Take in whoever has joined since the last look, as an entry of its own; note who has left.

        A look that was due before the last read finds itself done by that one, so looks that have piled up dissolve.

        Args:
            journey: One that looks for joiners.
            fired_at: When the look was due; names its entry.
            now: Its instant.

        Returns:
            ``None`` where nobody joined, or the journey takes nobody in.

        Raises:
            NotFound: There is no such journey, or a segment of its entry is gone.
            EntryDoesNotAddUp: The verdicts do not cover the joiners.
        """
        if not self._is_worth_looking(journey, fired_at, now):
            return None
        key = f"{fired_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        with self._database.write() as connection:
            row = hold_journey(connection, journey)
            known = self._find(connection, journey, key)
            if known is not None and known.state != "failing":
                return known
            version = self._looking(connection, row, fired_at, now)
            if version is None:
                return None
            draft = _EntryRow(journey, version.number, key, "joiners", fired_at, now)
            return self._take_in(connection, row, version, draft, known)

    def _is_worth_looking(self, journey: str, fired_at: datetime, now: datetime) -> bool:
        """Look first without the locks that a change needs: most looks find nobody."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(journeys).where(journeys.c.key == journey)).one_or_none()
            if row is None:
                raise NotFound("journey", journey)
            version = self._looking(connection, row, fired_at, now)
            return version is not None and (
                row.read_at is None or verdicts.has_changed(connection, version.definition, now)
            )

    def _looking(
        self, connection: Connection, row: sa.Row[Any], fired_at: datetime, now: datetime
    ) -> JourneyVersion | None:
        """Return the version by which a journey looks for joiners now; ``None`` if it does not."""
        # Temporal knows a firing's second alone: one by hand may come later in it than the last read.
        if row.state not in ENTERING_STATES or (row.read_at is not None and row.read_at >= fired_at + A_SECOND):
            return None
        version = self._versions.get(connection, row.key, row.version)
        entry = version.definition.entry
        if entry is None or entry.refreshes_every is None or not version.window.is_open(now):
            return None
        return version

    def _take_in(
        self,
        connection: Connection,
        journey: sa.Row[Any],
        version: JourneyVersion,
        draft: "_EntryRow",
        known: OpenedEntry | None,
    ) -> OpenedEntry | None:
        """Give every member a verdict; return the entry, or ``None`` for a look that found nobody new."""
        definition, now = version.definition, draft.now
        entry = definition.entry
        assert entry is not None, "published with an entry, or it has no occurrences"
        if entry.looks_for_joiners:
            verdicts.forget_leavers(connection, definition, now)
        table = _decide_all(connection, definition, now, first_look=journey.read_at is None)
        if _drops(journey):  # joiners: they are known from now on, and do not enter when the journey goes on
            connection.execute(sa.update(table).where(table.c.reason.is_(None)).values(reason="paused"))
        members = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        values: dict[str, Any] = {"read_at": now} if entry.looks_for_joiners else {}
        values |= {"pause": journey.pause | {"state": "live"}} if journey.pause else {"state": "live"}
        connection.execute(sa.update(journeys).where(journeys.c.key == definition.key).values(**values))
        if members == 0 and draft.kind == "joiners" and known is None:
            table.drop(connection)
            return None
        entry_id = draft.write(connection, known, state="open", members=members)
        _admit(connection, version, entry_id, table, now)
        if entry.looks_for_joiners:
            verdicts.remember(connection, definition, table, now)
        table.drop(connection)
        opened = read_entry(connection, entry_id)
        if members != opened.entered + opened.excluded:
            raise EntryDoesNotAddUp(entry_id, members, opened.entered, opened.excluded)
        return opened

    def finish(self, entry_id: UUID, now: datetime) -> OpenedEntry:
        """Close an entry all of whose runs have their workflow, and count once more.

        Raises:
            NotFound: There is no such entry.
            EntryDoesNotAddUp: The rows do not cover the members.
        """
        with self._database.write() as connection:
            connection.execute(
                sa.update(entries)
                .where(entries.c.id == entry_id, entries.c.state == "open")
                .values(state="done", finished_at=now)
            )
            entry = read_entry(connection, entry_id)
        if entry.members != entry.entered + entry.excluded:
            raise EntryDoesNotAddUp(entry_id, entry.members, entry.entered, entry.excluded)
        return entry

    def _find(self, connection: Connection, journey: str, occurrence: str) -> OpenedEntry | None:
        entry_id = connection.scalar(
            sa.select(entries.c.id).where(entries.c.journey_key == journey, entries.c.occurrence == occurrence)
        )
        return read_entry(connection, entry_id) if entry_id else None


def read_entry(connection: Connection, entry_id: UUID) -> OpenedEntry:
    """Return an entry as it stands.

    Raises:
        NotFound: There is no such entry.
    """
    row = connection.execute(sa.select(entries).where(entries.c.id == entry_id)).one_or_none()
    if row is None:
        raise NotFound("entry", entry_id)
    entered = connection.scalar(sa.select(sa.func.count()).select_from(runs).where(runs.c.entry_id == entry_id)) or 0
    excluded = (
        connection.scalar(sa.select(sa.func.count()).select_from(exclusions).where(exclusions.c.entry_id == entry_id))
        or 0
    )
    return OpenedEntry(row.id, row.journey_key, row.occurrence, row.state, row.members, entered, excluded)


@dataclass(frozen=True, slots=True)
class _EntryRow:
    """What is known of an entry before it is opened."""

    journey: str
    version: int
    occurrence: str
    kind: str
    due_at: datetime
    now: datetime

    def write(self, connection: Connection, known: OpenedEntry | None, **values: Any) -> UUID:
        """Write the entry; the row of one that could not be read so far becomes it. Returns its id."""
        cleared = {"reason": None, "error": None, "finished_at": None, "members": 0}
        values = {"version": self.version, "opened_at": self.now} | cleared | values
        if known is not None:
            connection.execute(sa.update(entries).where(entries.c.id == known.id).values(**values))
            return known.id
        entry_id = uuid4()
        connection.execute(
            sa.insert(entries).values(
                id=entry_id,
                journey_key=self.journey,
                occurrence=self.occurrence,
                kind=self.kind,
                due_at=self.due_at,
                **values,
            )
        )
        return entry_id


def _drops(journey: sa.Row[Any]) -> bool:
    """Return whether a pause keeps everybody out, and not only until it ends."""
    return bool(journey.state == "paused" and journey.pause["entries"] == "drop")


def _decide_all(connection: Connection, definition: JourneyDefinition, now: datetime, *, first_look: bool) -> sa.Table:
    """Evaluate the segments once, into a temporary table: each member, and why it does not enter if it does not."""
    table = sa.Table(
        f"verdicts_{uuid4().hex}",
        sa.MetaData(),
        sa.Column("profile_id", sa.Uuid, primary_key=True),
        sa.Column("reason", sa.Text),
        sa.Column("entry_number", sa.Integer, nullable=False),
        sa.Column("once", sa.Boolean, nullable=False),
        sa.Column("joined_at", Instant),
        prefixes=["TEMPORARY"],
    )
    table.create(connection)
    select = verdicts.admissions_select(connection, definition, now, first_look=first_look)
    connection.execute(sa.insert(table).from_select(list(table.c), select))
    refuse_returned(connection, definition, table)
    return table


def _admit(connection: Connection, version: JourneyVersion, entry_id: UUID, table: sa.Table, now: datetime) -> None:
    """Write a pending run or an exclusion for every member."""
    if version.definition.reentry.still_inside == "restart":
        entering = sa.select(table.c.profile_id).where(table.c.reason.is_(None))
        end_runs(connection, version.definition.key, RESTARTED, now, runs.c.profile_id.in_(entering))
    entering = sa.select(sa.func.count()).select_from(table).where(table.c.reason.is_(None))
    refused = (connection.scalar(entering) or 0) - _insert_runs(connection, version, entry_id, table, now)
    _insert_exclusions(connection, entry_id, table, now, any_refused=refused > 0)


def _insert_runs(
    connection: Connection, version: JourneyVersion, entry_id: UUID, table: sa.Table, now: datetime
) -> int:
    """Write the pending runs; return how many: an index may have refused one."""
    definition = version.definition
    pending: dict[str, sa.ColumnElement[Any]] = {
        "id": _new_id(connection),
        "journey_key": sa.literal(definition.key),
        "version": sa.literal(version.number),
        "entry_id": sa.literal(entry_id, sa.Uuid),
        "profile_id": table.c.profile_id,
        "entry_number": table.c.entry_number,
        "once": table.c.once,
        "overlapping": sa.literal(definition.reentry.still_inside == "overlap"),
        "joined_at": table.c.joined_at,
        "properties": sa.literal({}, runs.c.properties.type),
        "state": sa.literal("pending"),
        "sequence": sa.literal(0),
        "moves": sa.literal(0),
        "woken": sa.literal(False),
        "created_at": sa.literal(now, runs.c.created_at.type),
    }
    chosen = sa.select(*pending.values()).where(table.c.reason.is_(None))
    return connection.execute(insert_ignoring(connection, runs).from_select(list(pending), chosen)).rowcount


def _insert_exclusions(
    connection: Connection, entry_id: UUID, table: sa.Table, now: datetime, *, any_refused: bool
) -> None:
    """Write an exclusion for whoever got no run, also for whom a unique index stood in the way of one."""
    left_out = sa.select(
        sa.literal(entry_id, sa.Uuid),
        table.c.profile_id,
        sa.func.coalesce(table.c.reason, sa.literal("still_inside")),
        sa.literal(now, exclusions.c.at.type),
    )
    if any_refused:
        entered = sa.select(runs.c.profile_id).where(runs.c.entry_id == entry_id)
        left_out = left_out.where(table.c.profile_id.not_in(entered))
    else:
        left_out = left_out.where(table.c.reason.is_not(None))
    columns = ["entry_id", "profile_id", "reason", "at"]
    connection.execute(sa.insert(exclusions).from_select(columns, left_out))


def _new_id(connection: Connection) -> sa.ColumnElement[UUID]:
    """Return SQL that makes a new id for each row."""
    if connection.dialect.name == "postgresql":
        return sa.func.gen_random_uuid(type_=sa.Uuid)
    return sa.func.lower(sa.func.hex(sa.func.randomblob(16)))
