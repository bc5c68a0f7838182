"""Who would enter a journey, and when, told before it is published: the verdicts of an entry, without writing any."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.entries.returning import find_returned
from wend.entries.timetable import enters_until
from wend.entries.verdicts import verdicts_select
from wend.errors import Conflict, InvalidDocument, NotFound
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.occurrences import Occurrence, next_occurrences, occurrences
from wend.lifecycle.publishing import PUBLISHING_STATES, check_draft
from wend.storage.tables import entries, journeys

MOST_COMING = 10
"""Occurrences that are told ahead."""


class NoEntry(Conflict):
    """The journey is entered through the API alone."""

    def __init__(self, journey: str) -> None:
        super().__init__(f"Journey {journey!r} has no entry: nobody enters it but by a run that is started for them.")
        self.journey = journey


@dataclass(frozen=True, slots=True)
class Audience:
    """Who would enter now, and when members are to be taken in.

    Attributes:
        members: Of the segments: ``entering`` and all of ``excluded``. A journey that looks for joiners counts those
            whom it has not seen yet.
        excluded: By reason.
        sample: Some of those who would enter.
        coming: The next occurrences, at most ``MOST_COMING``; the start of a journey that is entered once is among
            them for as long as it is overdue.
        published_at: What the schedule counts from; ``None`` where the journey was never published: then ``coming``
            is told as if it were published now.
    """

    members: int
    entering: int
    excluded: dict[str, int]
    sample: list[UUID]
    coming: list[Occurrence]
    published_at: datetime | None


def read_audience(connection: Connection, definition: JourneyDefinition, now: datetime, sample: int) -> Audience:
    """Return who would enter now, with up to ``sample`` of them, drawn at random, and when.

    Args:
        connection: A transaction; reading is enough.
        definition: Of a journey that is there; mostly its draft.
        now: The instant.
        sample: How many at most.

    Raises:
        NotFound: There is no such journey.
        NoEntry: Nobody enters by themselves.
        InvalidDocument: The entry names segments that do not exist.
    """
    journey = connection.execute(sa.select(journeys).where(journeys.c.key == definition.key)).one_or_none()
    if journey is None:
        raise NotFound("journey", definition.key)
    if definition.entry is None:
        raise NoEntry(definition.key)
    about_segments = ("entry.segment", "entry.exclude")
    problems = [each for each in check_draft(connection, definition) if each.path.startswith(about_segments)]
    if any(each.severity == "error" for each in problems):
        raise InvalidDocument(f"Journey {definition.key!r}", problems)
    verdicts = verdicts_select(
        connection, definition, now, first_look=journey.read_at is None, everybody=True
    ).subquery("verdicts")
    by_reason = sa.select(verdicts.c.reason, sa.func.count()).group_by(verdicts.c.reason).order_by(verdicts.c.reason)
    counted: dict[str | None, int] = {row[0]: row[1] for row in connection.execute(by_reason)}
    entering = counted.pop(None, 0)
    excluded = {reason: count for reason, count in counted.items() if reason is not None}
    if returned := set(find_returned(connection, definition, verdicts)):
        entering -= len(returned)
        excluded["already_entered"] = excluded.get("already_entered", 0) + len(returned)
    return Audience(
        entering + sum(excluded.values()),
        entering,
        excluded,
        _draw(connection, verdicts, returned, sample),
        _coming(connection, journey, definition, now),
        journey.first_published_at,
    )


def _draw(connection: Connection, verdicts: sa.Subquery, returned: set[UUID], sample: int) -> list[UUID]:
    if not sample:
        return []
    entering = sa.select(verdicts.c.profile_id).where(verdicts.c.reason.is_(None))
    drawn = connection.scalars(entering.order_by(sa.func.random()).limit(sample + len(returned)))
    return list(islice((id for id in drawn if id not in returned), sample))


def _coming(
    connection: Connection, journey: sa.Row[Any], definition: JourneyDefinition, now: datetime
) -> list[Occurrence]:
    if journey.state not in PUBLISHING_STATES:
        return []
    entry, version = definition.entry, JourneyVersion(definition)
    assert entry is not None
    published_at = journey.first_published_at or now
    window = version.window
    since = max(now, window.opens_at or now)
    coming = next_occurrences(entry.schedule, version.zone, published_at, since=since, limit=MOST_COMING)
    if entry.is_once and not coming:
        start = next(occurrences(entry.schedule, version.zone, published_at))
        taken_in = sa.select(entries.c.id).where(
            entries.c.journey_key == definition.key, entries.c.occurrence == start.key
        )
        until = enters_until(version, published_at, start)
        if until is not None and now <= until and connection.execute(taken_in).first() is None:
            coming = [start]
    return [each for each in coming if window.is_open(each.at)]
