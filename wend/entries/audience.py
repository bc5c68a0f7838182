"""Who would enter a journey if it took its segment in now: the verdicts of an entry, given without writing any."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.entries.opening import verdicts_select
from wend.errors import Conflict, InvalidDocument
from wend.journeys.definition import JourneyDefinition
from wend.lifecycle.publishing import check_draft


class NoEntry(Conflict):
    """The journey is entered through the API alone."""

    def __init__(self, journey: str) -> None:
        super().__init__(f"Journey {journey!r} has no entry: nobody enters it but by a run that is started for them.")
        self.journey = journey


@dataclass(frozen=True, slots=True)
class Audience:
    """Who would enter now.

    Attributes:
        members: Of the segment: ``entering`` and all of ``excluded``.
        excluded: By reason.
        sample: Some of those who would enter.
    """

    members: int
    entering: int
    excluded: dict[str, int]
    sample: list[UUID]


def read_audience(connection: Connection, definition: JourneyDefinition, now: datetime, sample: int) -> Audience:
    """Return who would enter now, with up to ``sample`` of them, drawn at random.

    Raises:
        NoEntry: Nobody enters by themselves.
        InvalidDocument: The entry names segments that do not exist.
    """
    if definition.entry is None:
        raise NoEntry(definition.key)
    problems = check_draft(connection, definition)
    if missing := [each for each in problems if each.path.startswith(("entry.segment", "entry.exclude"))]:
        raise InvalidDocument(f"Journey {definition.key!r}", missing)
    verdicts = verdicts_select(connection, definition, now).subquery("verdicts")
    by_reason = sa.select(verdicts.c.reason, sa.func.count()).group_by(verdicts.c.reason).order_by(verdicts.c.reason)
    counted = {row[0]: row[1] for row in connection.execute(by_reason)}
    entering = counted.pop(None, 0)
    drawn = sa.select(verdicts.c.profile_id).where(verdicts.c.reason.is_(None)).order_by(sa.func.random()).limit(sample)
    chosen = list(connection.scalars(drawn)) if sample else []
    return Audience(entering + sum(counted.values()), entering, counted, chosen)
