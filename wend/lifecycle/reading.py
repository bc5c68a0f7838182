"""Journeys and their versions, as they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.journeys.conditions import segments_of
from wend.journeys.definition import JourneyDefinition
from wend.journeys.steps import If
from wend.lifecycle.pausing import Pause
from wend.storage.tables import journey_versions, journeys


@dataclass(frozen=True, slots=True)
class JourneySummary:
    """A journey. ``version`` is the newest published one, 0 if there is none yet.

    Attributes:
        description: As it was changed, or the newest version's, or the draft's where nothing is published yet.
        rate: Profiles starting per second, where that was changed since the newest version; ``None``: the version's.
        closes_at: When its window ends.
        pause: What was chosen for the pause that it is in.
        resume_at: When it goes on by itself.
    """

    key: str
    name: str
    state: str
    version: int
    draft_revision: int
    first_published_at: datetime | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    description: str
    rate: int | None
    closes_at: datetime | None
    pause: Pause | None
    resume_at: datetime | None


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A published version, and the version of each message that it sends."""

    version: int
    content_hash: str
    messages: Mapping[str, int]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class StoredVersion(VersionSummary):
    """A published version with its definition, as JSON."""

    definition: Mapping[str, Any]


_DESCRIPTION = sa.func.coalesce(
    journeys.c.description,
    sa.case((journeys.c.version == 0, journeys.c.draft["description"].as_string())),
    journey_versions.c.definition["description"].as_string(),
    "",
)
_SUMMARY = sa.select(
    journeys.c.key,
    journeys.c.name,
    journeys.c.state,
    journeys.c.version,
    journeys.c.draft_revision,
    journeys.c.first_published_at,
    journeys.c.created_at,
    journeys.c.updated_at,
    journeys.c.ended_at,
    _DESCRIPTION.label("description"),
    journeys.c.rate,
    journeys.c.closes_at,
    journeys.c.pause,
    journeys.c.resume_at,
).outerjoin(
    journey_versions,
    sa.and_(journey_versions.c.journey_key == journeys.c.key, journey_versions.c.version == journeys.c.version),
)
_VERSION = (
    journey_versions.c.version,
    journey_versions.c.content_hash,
    journey_versions.c.messages,
    journey_versions.c.published_at,
)


def read_journey(connection: Connection, key: str) -> JourneySummary:
    """Return a journey.

    Raises:
        NotFound: There is none of this key.
    """
    row = connection.execute(_SUMMARY.where(journeys.c.key == key)).one_or_none()
    if row is None:
        raise NotFound("journey", key, "Journeys are listed by: wend journeys list")
    return _summary(row)


def page_journeys(
    connection: Connection, *, state: str | None = None, after: str | None = None, limit: int = 100
) -> list[JourneySummary]:
    """Return journeys in the order of their keys, those behind ``after``."""
    query = _SUMMARY.order_by(journeys.c.key).limit(limit)
    if state is not None:
        query = query.where(journeys.c.state == state)
    if after is not None:
        query = query.where(journeys.c.key > after)
    return [_summary(row) for row in connection.execute(query)]


def page_versions(
    connection: Connection, key: str, *, before: int | None = None, limit: int = 100
) -> list[VersionSummary]:
    """Return a journey's versions, newest first, those older than ``before``.

    Raises:
        NotFound: There is no such journey.
    """
    read_journey(connection, key)
    query = sa.select(*_VERSION).where(journey_versions.c.journey_key == key)
    if before is not None:
        query = query.where(journey_versions.c.version < before)
    rows = connection.execute(query.order_by(journey_versions.c.version.desc()).limit(limit))
    return [VersionSummary(*row) for row in rows]


def read_version(connection: Connection, key: str, number: int) -> StoredVersion:
    """Return a published version with its definition.

    Raises:
        NotFound: There is no such journey, or it has no such version.
    """
    read_journey(connection, key)
    query = sa.select(*_VERSION, journey_versions.c.definition)
    row = connection.execute(
        query.where(journey_versions.c.journey_key == key, journey_versions.c.version == number)
    ).one_or_none()
    if row is None:
        raise NotFound("version", f"{key} {number}", "Published versions are listed by: wend versions KEY")
    return StoredVersion(*row)


def step_order(connection: Connection, key: str, version: int | None = None) -> list[str]:
    """Return the ids of the steps in the order of the definition: of a version, or of the newest one.

    A journey that was never published has none.

    Raises:
        NotFound: There is no such journey, or it has no such version.
    """
    number = read_journey(connection, key).version if version is None else version
    if version is None and number == 0:
        return []
    return [step["id"] for step in read_version(connection, key, number).definition["steps"]]


def journeys_using_segment(connection: Connection, segment: str) -> list[str]:
    """Return the journeys that are not over and whose draft or published versions name the segment, by key."""
    living = journeys.c.state.not_in(("finished", "stopped"))
    documents = sa.union_all(
        sa.select(journeys.c.key, journeys.c.draft).where(living, journeys.c.draft.is_not(None)),
        sa.select(journeys.c.key, journey_versions.c.definition)
        .join(journeys, journeys.c.key == journey_versions.c.journey_key)
        .where(living),
    )
    rows = connection.execute(documents)
    return sorted({key for key, document in rows if segment in segments_named(document)})


def _summary(row: Any) -> JourneySummary:
    return JourneySummary(**(row._asdict() | {"pause": Pause(**row.pause) if row.pause else None}))


def segments_named(document: Mapping[str, Any]) -> set[str]:
    """Return the segments that a stored definition names: at its entry, and in its conditions."""
    definition = JourneyDefinition.model_validate(document)
    named = {*definition.entry.segments, *definition.entry.exclude} if definition.entry else set()
    for step in definition.steps:
        if isinstance(step, If):
            named |= {key for case in step.cases for key in segments_of(case.when)}
    return named
