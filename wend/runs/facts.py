"""The kernel's facts, read from the database inside the deciding transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.facts import Happening, ProfileView
from wend.journeys.freezes import Freeze
from wend.profiles.store import read_identities
from wend.segments import store as segment_store
from wend.storage.tables import events, profiles

_COLUMNS = (events.c.id, events.c.name, events.c.at, events.c.properties, events.c.message_id, events.c.link)


@dataclass(slots=True)
class StoredFacts:
    """Facts about one run. The caller holds the profile's lock, so two reads of the same thing agree."""

    connection: Connection
    now: datetime
    run_id: UUID
    profile: ProfileView | None
    properties: Mapping[str, Any]
    joined_at: datetime | None
    is_held: bool = False
    freezes: Sequence[Freeze] = ()

    def is_member(self, segment: str) -> bool:
        if self.profile is None:
            return False
        return segment_store.is_member(self.connection, segment, self.profile.id, self.now)

    def clicks(self, messages: Collection[UUID]) -> Iterable[Happening]:
        return self._happenings(events.c.message_id.in_(list(messages)))

    def events(self, name: str, since: datetime) -> Iterable[Happening]:
        if self.profile is None:
            return []
        return self._happenings(
            events.c.profile_id == self.profile.id,
            events.c.name == name,
            events.c.at >= since,
            events.c.message_id.is_(None),
        )

    def _happenings(self, *conditions: sa.ColumnElement[bool]) -> list[Happening]:
        query = sa.select(*_COLUMNS).where(events.c.counted, *conditions).order_by(events.c.at, events.c.id)
        return [Happening(*row) for row in self.connection.execute(query)]


def read_freezes(document: Any) -> tuple[Freeze, ...]:
    """Return the stretches in which a journey's waits did not pass, from its row."""
    return tuple(
        Freeze(datetime.fromisoformat(from_at), datetime.fromisoformat(to_at) if to_at else None)
        for from_at, to_at in document or ()
    )


def read_profile(connection: Connection, profile_id: UUID) -> ProfileView | None:
    """Return the profile as it is now; ``None`` once it has been deleted."""
    return read_profiles(connection, [profile_id]).get(profile_id)


def read_profiles(connection: Connection, profile_ids: Collection[UUID]) -> dict[UUID, ProfileView]:
    """Return the profiles that exist, by id; at most some hundreds are asked for at once."""
    ids = list(profile_ids)
    named = read_identities(connection, ids)
    # Less than a whole profile is read: every wake of every run comes by here.
    columns = (profiles.c.id, profiles.c.attributes, profiles.c.time_zone)
    return {
        row.id: ProfileView(row.id, row.attributes, named[row.id], row.time_zone)
        for row in connection.execute(sa.select(*columns).where(profiles.c.id.in_(ids)))
    }
