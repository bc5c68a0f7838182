"""A journey that nobody can enter any more, and nobody is inside of, finishes by itself."""

from datetime import datetime

import sqlalchemy as sa

from wend import outbox
from wend.entries.timetable import Timetable
from wend.lifecycle import audit
from wend.storage.database import lock_journey
from wend.storage.tables import entries, journeys, runs

_INSIDE = sa.exists(sa.select(runs.c.id).where(runs.c.journey_key == journeys.c.key, runs.c.ended_at.is_(None)))
_UNDER_WAY = sa.exists(
    sa.select(entries.c.id).where(
        entries.c.journey_key == journeys.c.key,
        entries.c.state.in_(("open", "failing", "asked")),
        entries.c.state != sa.literal_column("'done'"),  # the condition of an index, in its own words
    )
)
# One whose start was missed stays scheduled: somebody may still ask for it to be taken in.
_EMPTY = (journeys.c.state == "live", ~_INSIDE, ~_UNDER_WAY)


def finish_exhausted(timetable: Timetable, now: datetime) -> list[str]:
    """Finish every live journey whose schedule has run out, that has nobody inside and is closed to the API.

    Returns:
        Their keys.
    """
    with timetable.database.read() as connection:
        empty = connection.scalars(sa.select(journeys.c.key).where(*_EMPTY).order_by(journeys.c.key)).all()
    finished = []
    for key in empty:
        if not _is_exhausted(timetable, key, now):
            continue
        with timetable.database.write() as connection:
            row = lock_journey(connection, key, share=False)
            still = connection.scalar(sa.select(journeys.c.version).where(journeys.c.key == key, *_EMPTY))
            if row is None or still is None or not _is_exhausted(timetable, key, now):
                continue
            ended = {"state": "finished", "ended_at": now, "updated_at": now}
            connection.execute(sa.update(journeys).where(journeys.c.key == key).values(**ended))
            outbox.put(connection, "remove_schedule", key, now)
            audit.note(connection, audit.ITSELF, "finish", now, journey=key, version=still)
            finished.append(key)
    return finished


def _is_exhausted(timetable: Timetable, key: str, now: datetime) -> bool:
    ahead = timetable.ahead(key, now)
    if ahead is None or ahead.coming or ahead.overdue or ahead.looks is not None:
        return False
    entry = ahead.version.definition.entry
    return entry is not None and not entry.api
