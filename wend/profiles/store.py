"""Profiles in the database. Every function works inside the caller's transaction.

Locks: new profiles are made first, in the order of their external ids, then existing ones are locked in the order
of their ids; so two batches over the same people wait for each other and never deadlock.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wend.errors import Conflict, InvalidDocument, NotFound, Problem, Unavailable
from wend.profiles.identities import EXTERNAL_ID, normalise_identity
from wend.profiles.ids import new_ids
from wend.profiles.model import Profile, ProfileUpsert
from wend.storage.database import chunks, insert, insert_ignoring, lock_profile, lock_profiles
from wend.storage.tables import identities, profiles

_ATTEMPTS = 5


class UpsertResult(NamedTuple):
    """Which profile it is, and whether this upsert made it."""

    id: UUID
    created: bool


class ExternalIdTaken(Conflict):
    """Two different profiles were meant by one upsert."""

    def __init__(self, external_id: str, id: UUID) -> None:
        super().__init__(
            f"The external id {external_id!r} belongs to another profile than {str(id)!r}. Nothing was changed: "
            "leave out one of the two, or delete the profile that should not have it."
        )
        self.external_id = external_id
        self.id = id


# -- reading ----------------------------------------------------------------------------------------------------


def get(connection: Connection, id: UUID, *, lock: bool = False) -> Profile | None:
    """Return the profile, locked until the transaction ends if ``lock``; None if there is none."""
    if lock and lock_profile(connection, id) is None:
        return None
    return get_many(connection, [id]).get(id)


def get_many(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Profile]:
    """Return those of the profiles that exist, by id."""
    found: dict[UUID, Profile] = {}
    for some in chunks(sorted(set(ids))):
        rows = connection.execute(sa.select(profiles).where(profiles.c.id.in_(some))).all()
        found.update((profile.id, profile) for profile in _with_identities(connection, rows))
    return found


def find(
    connection: Connection, namespace: str, value: str, *, region: str | None = None, limit: int = 100
) -> list[Profile]:
    """Return the profiles with this identity, oldest first, however it was written.

    Args:
        region: ISO country of a phone number without ``+``.
        limit: The most that are returned; a family may share an address.

    Raises:
        InvalidDocument: The value is no identity of its kind.
    """
    try:
        value = normalise_identity(namespace, value, region)
    except ValueError as error:
        raise InvalidDocument("The identity", [Problem(namespace, str(error))]) from error
    query = (
        sa.select(profiles)
        .join(identities, identities.c.profile_id == profiles.c.id)
        .where(identities.c.namespace == namespace, identities.c.value == value)
        .order_by(profiles.c.created_at, profiles.c.id)
        .limit(limit)
    )
    return _with_identities(connection, connection.execute(query).all())


def page(connection: Connection, after: UUID | None = None, limit: int = 100) -> list[Profile]:
    """Return the next profiles in the order of their ids, at most ``limit``."""
    query = sa.select(profiles).order_by(profiles.c.id).limit(limit)
    if after is not None:
        query = query.where(profiles.c.id > after)
    return _with_identities(connection, connection.execute(query).all())


def count(connection: Connection) -> int:
    """Return how many profiles there are."""
    return connection.execute(sa.select(sa.func.count()).select_from(profiles)).scalar_one()


def delete(connection: Connection, id: UUID) -> bool:
    """Delete the profile with its identities and memberships; return whether there was one.

    Runs, sent messages and events stay and carry the id; ending the runs is the caller's.
    """
    return connection.execute(sa.delete(profiles).where(profiles.c.id == id)).rowcount == 1


def _with_identities(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[Profile]:
    named = read_identities(connection, [row.id for row in rows])
    return [
        Profile(
            id=row.id,
            external_id=named[row.id].pop(EXTERNAL_ID, None),
            identities=named[row.id],
            attributes=row.attributes,
            time_zone=row.time_zone,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def read_identities(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
    """Return each one's identities, ``external_id`` among them: namespace → value."""
    named: dict[UUID, dict[str, str]] = {id: {} for id in ids}
    for some in chunks(ids):
        query = sa.select(identities).where(identities.c.profile_id.in_(some))
        for id, namespace, value in connection.execute(query):
            named[id][namespace] = value
    return named


# -- changing ---------------------------------------------------------------------------------------------------


def upsert(connection: Connection, upserts: Sequence[ProfileUpsert], now: datetime) -> list[UpsertResult]:
    """Create and change profiles, in the order given; return one result for each.

    Several upserts of one person in the same batch add up. ``updated_at`` moves only where something changed.

    Raises:
        NotFound: There is no profile with a given ``id``.
        ExternalIdTaken: ``id`` and ``external_id`` of one upsert belong to two profiles.
        Unavailable: Others created or deleted the same profiles again and again meanwhile.
    """
    for _ in range(_ATTEMPTS):
        batch = _Batch(connection, upserts, now)
        if batch.create() and batch.change():
            return batch.results
        batch.take_back()
    raise Unavailable("The database", "others create or delete the same profiles at this moment")


@dataclass(slots=True)
class _State:
    """What a profile holds, on its way from what is stored to what will be."""

    attributes: dict[str, Any] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    time_zone: str | None = None

    def copy(self) -> "_State":
        return _State(dict(self.attributes), dict(self.identities), self.time_zone)

    def apply(self, wanted: ProfileUpsert) -> None:
        _merge(self.attributes, wanted.attributes)
        _merge(self.identities, wanted.identities)
        if wanted.external_id is not None:
            self.identities[EXTERNAL_ID] = wanted.external_id
        if "time_zone" in wanted.model_fields_set:
            self.time_zone = wanted.time_zone


def _merge(into: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is None:
            into.pop(name, None)
        else:
            into[name] = value


class _Batch:
    """One attempt at a list of upserts: who is meant, who is new, what changes."""

    def __init__(self, connection: Connection, upserts: Sequence[ProfileUpsert], now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._fresh: dict[UUID, _State] = {}
        self._existing: dict[UUID, list[ProfileUpsert]] = {}
        self._given: set[UUID] = set()  # named by Wend's own id: must exist
        self.results: list[UpsertResult] = []
        ids = new_ids(now)
        known = find_external(connection, [each.external_id for each in upserts if each.external_id is not None])
        for each in upserts:
            self._aim(each, known, ids)

    def _aim(self, wanted: ProfileUpsert, known: dict[str, UUID], ids: Iterator[UUID]) -> None:
        id, external = None, wanted.external_id
        if external is not None:
            id = known.get(external)
            if id is not None and wanted.id is not None and id != wanted.id:
                raise ExternalIdTaken(external, wanted.id)
        if id is None and wanted.id is not None:
            id = wanted.id
            self._given.add(id)
        created = id is None
        if id is None:
            id = next(ids)
            self._fresh[id] = _State()
        if id in self._fresh:
            self._fresh[id].apply(wanted)
        else:
            self._existing.setdefault(id, []).append(wanted)
        if external is not None:
            known[external] = id
        self.results.append(UpsertResult(id, created))

    def create(self) -> bool:
        """Insert the new profiles; return False if somebody else made one of them first."""
        if not self._fresh:
            return True
        self._connection.execute(
            sa.insert(profiles),
            [{**self._row(id, state), "created_at": self._now} for id, state in self._fresh.items()],
        )
        external = [(state.identities[EXTERNAL_ID], id) for id, state in self._fresh.items() if _has_external(state)]
        if not self._claim(sorted(external)):
            return False
        _write_identities(
            self._connection,
            [
                (id, namespace, value)
                for id, state in self._fresh.items()
                for namespace, value in state.identities.items()
                if namespace != EXTERNAL_ID
            ],
        )
        return True

    def _claim(self, external: Sequence[tuple[str, UUID]]) -> bool:
        """Give new profiles their external ids; return False if one of these was taken meanwhile."""
        if not external:
            return True
        rows = [{"profile_id": id, "namespace": EXTERNAL_ID, "value": value} for value, id in external]
        if self._connection.dialect.name == "sqlite":  # the only writer: nothing can have come between
            self._connection.execute(sa.insert(identities), rows)
            return True
        claimed = insert_ignoring(self._connection, identities).returning(identities.c.profile_id)
        return len(self._connection.execute(claimed, rows).all()) == len(rows)

    def take_back(self) -> None:
        """Remove what this attempt created."""
        for some in chunks(list(self._fresh)):
            self._connection.execute(sa.delete(profiles).where(profiles.c.id.in_(some)))

    def change(self) -> bool:
        """Write what changes of existing profiles; return False if one of them was deleted meanwhile."""
        if not self._existing:
            return True
        rows = lock_profiles(self._connection, self._existing)
        if gone := self._existing.keys() - {row.id for row in rows}:
            if given := gone & self._given:
                raise NotFound("profile", min(given))
            return False
        named = read_identities(self._connection, [row.id for row in rows])
        before = {row.id: _State(row.attributes, named[row.id], row.time_zone) for row in rows}
        after = {id: state.copy() for id, state in before.items()}
        for id, wanted in self._existing.items():
            for each in wanted:
                after[id].apply(each)
        self._update(before, after)
        self._update_identities(before, after)
        return True

    def _update(self, before: dict[UUID, _State], after: dict[UUID, _State]) -> None:
        changed = [{**self._row(id, state), "id_": id} for id, state in after.items() if state != before[id]]
        if changed:
            statement = sa.update(profiles).where(profiles.c.id == sa.bindparam("id_"))
            columns: dict[str, Any] = {name: sa.bindparam(name) for name in ("attributes", "time_zone", "updated_at")}
            self._connection.execute(
                statement.values(columns), [{name: row[name] for name in (*columns, "id_")} for row in changed]
            )

    def _update_identities(self, before: dict[UUID, _State], after: dict[UUID, _State]) -> None:
        written: list[tuple[UUID, str, str]] = []
        removed: list[dict[str, Any]] = []
        for id, state in after.items():
            old, new = before[id].identities, state.identities
            written += [(id, namespace, value) for namespace, value in new.items() if old.get(namespace) != value]
            removed += [{"id_": id, "namespace_": namespace} for namespace in old.keys() - new.keys()]
        if removed:
            statement = sa.delete(identities).where(
                identities.c.profile_id == sa.bindparam("id_"), identities.c.namespace == sa.bindparam("namespace_")
            )
            self._connection.execute(statement, removed)
        try:
            _write_identities(self._connection, written)
        except sa.exc.IntegrityError as error:  # the only unique thing here, taken since it was looked up
            raise Conflict("An external id was taken by another profile meanwhile. Nothing was changed.") from error

    def _row(self, id: UUID, state: _State) -> dict[str, Any]:
        return {"id": id, "attributes": state.attributes, "time_zone": state.time_zone, "updated_at": self._now}


def _has_external(state: _State) -> bool:
    return EXTERNAL_ID in state.identities


def find_external(connection: Connection, external_ids: Collection[str]) -> dict[str, UUID]:
    """Return the profiles that have these external ids, by external id."""
    found: dict[str, UUID] = {}
    for some in chunks(list(dict.fromkeys(external_ids))):
        query = sa.select(identities.c.value, identities.c.profile_id).where(
            identities.c.namespace == EXTERNAL_ID, identities.c.value.in_(some)
        )
        found.update((value, id) for value, id in connection.execute(query))
    return found


def _write_identities(connection: Connection, rows: Sequence[tuple[UUID, str, str]]) -> None:
    if rows:
        statement = insert(connection, identities)
        statement = statement.on_conflict_do_update(
            index_elements=[identities.c.profile_id, identities.c.namespace], set_={"value": statement.excluded.value}
        )
        connection.execute(
            statement, [{"profile_id": id, "namespace": namespace, "value": value} for id, namespace, value in rows]
        )
