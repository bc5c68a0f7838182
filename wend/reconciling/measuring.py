"""What reconciliations have found, for alarms: read from the newest that mended; what is overdue is counted now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.reconciling.findings import KINDS, Kind
from wend.reconciling.stuck import STUCK, count_overdue
from wend.storage.tables import journeys, reconciliations


@dataclass(frozen=True, slots=True)
class Standing:
    """How a journey stands by its newest reconciliation.

    Attributes:
        age: Since that ended; of one that never was reconciled, since its publication.
        remaining: What it left, by kind.
        stuck: Runs whose next move is overdue: those that wait for an instant counted now, others as it found them.
    """

    age: timedelta
    remaining: Mapping[Kind, int] = field(default_factory=dict)
    stuck: int = 0


def read_standings(connection: Connection, keys: Sequence[str], now: datetime) -> Iterator[tuple[str, Standing]]:
    """Yield how these journeys stand; one that only compared does not count."""
    finished = {
        row.journey_key: (row.finished_at, row.report)
        for row in connection.execute(_newest())
        if row.journey_key in keys
    }
    published = sa.select(journeys.c.key, journeys.c.first_published_at).where(journeys.c.key.in_(keys))
    overdue = count_overdue(connection, now)
    for key, first_published_at in connection.execute(published.order_by(journeys.c.key)):
        at, report = finished.get(key, (first_published_at, {"kinds": []}))
        remaining: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        remaining |= {each["kind"]: each["remaining"] for each in report["kinds"]}
        others = sum(remaining[kind] for kind in STUCK if kind != "run_overdue")
        age = max(now - at, timedelta(0)) if at is not None else timedelta(0)
        yield key, Standing(age, remaining, overdue.get(key, 0) + others)


def _newest() -> sa.Select[str, datetime, object]:
    of = reconciliations.alias()
    counts = sa.and_(of.c.state == "done", of.c.options["repair"].as_boolean())
    newest = (
        sa.select(sa.func.max(of.c.asked_at))
        .where(of.c.journey_key == reconciliations.c.journey_key, counts)
        .scalar_subquery()
    )
    return sa.select(reconciliations.c.journey_key, reconciliations.c.finished_at, reconciliations.c.report).where(
        reconciliations.c.asked_at == newest,
        reconciliations.c.state == "done",
        reconciliations.c.options["repair"].as_boolean(),
    )
