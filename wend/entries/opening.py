"""One occasion on which a segment enters a journey: one verdict per member, in one transaction.

Membership is evaluated once. Every member gets a pending run, or an exclusion with its reason; the members counted
from the segment equal both together. Unique indexes stand behind it: a run that one of them refuses becomes an
exclusion too.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.entries.returning import refuse_returned
from wend.errors import Conflict, NotFound
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.versions import Versions
from wend.segments import store as segment_store
from wend.storage.database import Database, insert_ignoring, lock_journey
from wend.storage.tables import entries, exclusions, identities, journeys, profiles, runs

ENTERING_STATES = frozenset({"scheduled", "live"})
"""States of a journey in which members are taken in."""


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

        Returns:
            ``None`` where the journey takes nobody in any more.

        Raises:
            NotFound: There is no such journey.
            EntryDoesNotAddUp: The verdicts do not cover the members.
        """
        with self._database.write() as connection:
            row = lock_journey(connection, journey, share=False)
            if row is None:
                raise NotFound("journey", journey)
            known = self._find(connection, journey, occurrence.key)
            if known is not None:
                return known
            if row.state not in ENTERING_STATES:
                return None
            version = self._versions.get(connection, journey, row.version)
            entry_id = uuid4()
            members = _give_verdicts(connection, version, entry_id, occurrence, now)
            connection.execute(sa.update(journeys).where(journeys.c.key == journey).values(state="live"))
            opened = self._find(connection, journey, occurrence.key)
            assert opened is not None
            if members != opened.entered + opened.excluded:
                raise EntryDoesNotAddUp(entry_id, members, opened.entered, opened.excluded)
            return opened

    def rate(self, entry_id: UUID) -> int:
        """Return how many profiles of this entry may start per second.

        Raises:
            NotFound: There is no such entry.
        """
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(entries.c.journey_key, entries.c.version).where(entries.c.id == entry_id)
            ).one_or_none()
            if row is None:
                raise NotFound("entry", entry_id)
            entry = self._versions.get(connection, row.journey_key, row.version).definition.entry
            assert entry is not None
            return entry.rate

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


def _give_verdicts(
    connection: Connection, version: JourneyVersion, entry_id: UUID, occurrence: Occurrence, now: datetime
) -> int:
    """Write the entry, its pending runs and its exclusions; return the number of members."""
    definition = version.definition
    entry = definition.entry
    assert entry is not None, "published with an entry, or it has no occurrences"
    verdicts = _decide_all(connection, version, now)
    count = connection.scalar(sa.select(sa.func.count()).select_from(verdicts)) or 0
    connection.execute(
        sa.insert(entries).values(
            id=entry_id,
            journey_key=definition.key,
            version=version.number,
            occurrence=occurrence.key,
            kind="segment",
            state="open",
            due_at=occurrence.at,
            opened_at=now,
            members=count,
        )
    )
    _insert_runs(connection, version, entry_id, verdicts, now)
    _insert_exclusions(connection, entry_id, verdicts, now)
    verdicts.drop(connection)
    return count


def _decide_all(connection: Connection, version: JourneyVersion, now: datetime) -> sa.Table:
    """Evaluate the segment once, into a temporary table: each member, and why it does not enter if it does not."""
    assert version.definition.entry is not None
    verdicts = sa.Table(
        f"verdicts_{uuid4().hex}",
        sa.MetaData(),
        sa.Column("profile_id", sa.Uuid, primary_key=True),
        sa.Column("reason", sa.Text),
        prefixes=["TEMPORARY"],
    )
    verdicts.create(connection)
    connection.execute(
        sa.insert(verdicts).from_select(["profile_id", "reason"], verdicts_select(connection, version.definition, now))
    )
    refuse_returned(connection, version.definition, verdicts)
    return verdicts


def verdicts_select(
    connection: Connection, definition: JourneyDefinition, now: datetime
) -> sa.Select[tuple[UUID, str | None]]:
    """Return a select of ``profile_id`` and ``reason``: each member, and why it would not enter now, if it would not.

    Raises:
        NotFound: A segment of the entry does not exist.
    """
    assert definition.entry is not None
    select = segment_store.members_select(connection, definition.entry.segment, now)
    members = select.subquery("members")
    (person,) = members.c
    return sa.select(person.label("profile_id"), _reason(connection, definition, person, now).label("reason"))


def _reason(
    connection: Connection, definition: JourneyDefinition, person: sa.ColumnElement[UUID], now: datetime
) -> sa.ColumnElement[str | None]:
    """Return why a member does not enter; SQL's NULL where it does. The first reason that fits is told."""
    entry = definition.entry
    assert entry is not None
    earlier = sa.select(runs.c.id).where(runs.c.journey_key == definition.key, runs.c.profile_id == person)
    whens: list[tuple[sa.ColumnElement[bool], str]] = [
        (~sa.exists(sa.select(profiles.c.id).where(profiles.c.id == person)), "no_profile")
    ]
    if entry.namespace is not None:
        identity = sa.select(identities.c.profile_id).where(
            identities.c.profile_id == person, identities.c.namespace == entry.namespace
        )
        whens.append((~sa.exists(identity), "no_identity"))
    whens += [
        (person.in_(segment_store.members_select(connection, key, now)), "excluded_segment") for key in entry.exclude
    ]
    if entry.frequency != "repeating":
        whens.append((sa.exists(earlier.where(runs.c.once)), "already_entered"))
    whens.append((sa.exists(earlier.where(runs.c.ended_at.is_(None))), "still_inside"))
    return sa.case(*whens, else_=sa.null())


def _insert_runs(
    connection: Connection, version: JourneyVersion, entry_id: UUID, verdicts: sa.Table, now: datetime
) -> None:
    definition = version.definition
    entry = definition.entry
    assert entry is not None
    number = (
        sa.select(sa.func.coalesce(sa.func.max(runs.c.entry_number), 0) + 1)
        .where(runs.c.journey_key == definition.key, runs.c.profile_id == verdicts.c.profile_id)
        .scalar_subquery()
    )
    pending: dict[str, sa.ColumnElement[Any]] = {
        "id": _new_id(connection),
        "journey_key": sa.literal(definition.key),
        "version": sa.literal(version.number),
        "entry_id": sa.literal(entry_id, sa.Uuid),
        "profile_id": verdicts.c.profile_id,
        "entry_number": number,
        "once": sa.literal(entry.frequency != "repeating"),
        "properties": sa.literal({}, runs.c.properties.type),
        "state": sa.literal("pending"),
        "sequence": sa.literal(0),
        "moves": sa.literal(0),
        "woken": sa.literal(False),
        "created_at": sa.literal(now, runs.c.created_at.type),
    }
    chosen = sa.select(*pending.values()).where(verdicts.c.reason.is_(None))
    connection.execute(insert_ignoring(connection, runs).from_select(list(pending), chosen))


def _insert_exclusions(connection: Connection, entry_id: UUID, verdicts: sa.Table, now: datetime) -> None:
    """Write an exclusion for whoever got no run, also for whom a unique index stood in the way of one."""
    entered = sa.select(runs.c.profile_id).where(runs.c.entry_id == entry_id)
    left_out = sa.select(
        sa.literal(entry_id, sa.Uuid),
        verdicts.c.profile_id,
        sa.func.coalesce(verdicts.c.reason, sa.literal("still_inside")),
        sa.literal(now, exclusions.c.at.type),
    ).where(verdicts.c.profile_id.not_in(entered))
    columns = ["entry_id", "profile_id", "reason", "at"]
    connection.execute(sa.insert(exclusions).from_select(columns, left_out))


def _new_id(connection: Connection) -> sa.ColumnElement[UUID]:
    """Return SQL that makes a new id for each row."""
    if connection.dialect.name == "postgresql":
        return sa.func.gen_random_uuid(type_=sa.Uuid)
    return sa.func.lower(sa.func.hex(sa.func.randomblob(16)))
