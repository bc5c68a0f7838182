"""What alarms are made of, for Prometheus: read from the database at the moment somebody asks.

Labels are journeys' keys and states; nothing of a person is in them. Journeys that are over are left out, and those
that are not have a series for each state from the beginning, at 0: an alarm sees a number grow, and not one appear.

Each figure is served by an index, and costs what it tells of: rows that are not done, runs that are inside. Failed
runs, sent messages and clicks are not here: those only grow, and counting them would cost more every day.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from wend import outbox
from wend.entries.pacing import Limits, journey_scope, read_pace, under_ceiling
from wend.entries.watching import GRACE, Watcher
from wend.lifecycle.versions import Versions
from wend.storage.database import Database
from wend.storage.tables import entries, journey_versions, journeys, runs, sent_messages

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

STALLED_AFTER: Final = timedelta(minutes=10)
"""How long an occurrence may be due, and an entry be open and free to start its runs, with nothing coming of it."""

STATES: Final = ("failed", "failing", "missed", "skipped")
"""States of occurrences that somebody may have to look after."""

OVERDUE: Final = "overdue"
"""And one that no row has: nothing has become of it for ``STALLED_AFTER``, not even that it was missed."""

_LIVING: Final = ("scheduled", "live", "paused", "closed")
_OPEN: Final = ("pending", "running")
_BEGUN: Final = ("running", "completed", "exited", "stopped", "failed")

# Written out, not bound: SQLite uses a partial index only where the statement itself says the index's condition.
_NOT_DONE: Final = entries.c.state != sa.literal_column("'done'")
_UNCERTAIN: Final = sent_messages.c.state == sa.literal_column("'uncertain'")


def exposition(database: Database, versions: Versions, now: datetime) -> bytes:
    """Return all metrics as ``CONTENT_TYPE`` has them.

    Args:
        database: Where they are.
        versions: Of journeys.
        now: The instant of the scrape.

    Raises:
        Unavailable: The database does not answer now.
    """
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(database, versions, now))
    return generate_latest(registry)


class DatabaseCollector(Collector):
    """Reads the metrics from the database.

    Args:
        database: Where they are.
        versions: Of journeys.
        now: The instant of the scrape.
    """

    def __init__(self, database: Database, versions: Versions, now: datetime) -> None:
        self._database = database
        self._versions = versions
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; those of occurrences that are overdue are a moment older.

        Raises:
            Unavailable: The database does not answer now.
        """
        # What came due so long ago, and would be looked after at the end of its grace.
        unaccounted = Watcher(self._database, self._versions).look_around(self._now - STALLED_AFTER + GRACE)
        overdue = {each.journey: len(each.due) for each in unaccounted}
        with self._database.read() as connection:
            keys = list(
                connection.scalars(
                    sa.select(journeys.c.key).where(journeys.c.state.in_(_LIVING)).order_by(journeys.c.key)
                )
            )
            return [
                *_of_occurrences(connection, keys, overdue),
                *_of_open_entries(connection, self._versions, keys, self._now),
                *_of_outbox(connection, self._now),
                _of_runs(connection, keys),
                _of_sends(connection, keys),
            ]


def _by_journey(name: str, help: str, keys: Iterable[str], values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, help, labels=["journey"])
    for key in keys:
        family.add_metric([key], values.get(key, 0))
    return family


def _of_occurrences(connection: Connection, keys: list[str], overdue: dict[str, int]) -> Iterator[Metric]:
    by_state = (
        sa.select(entries.c.journey_key, entries.c.state, sa.func.count())
        .where(_NOT_DONE, entries.c.state.in_(STATES))
        .group_by(entries.c.journey_key, entries.c.state)
    )
    counted = {(key, state): count for key, state, count in connection.execute(by_state)}
    counted |= {(key, OVERDUE): count for key, count in overdue.items()}
    told = (
        "Occurrences that took nobody in (missed, skipped, failed), are read again and again (failing), or of which "
        "nothing has become though they are due (overdue)."
    )
    family = GaugeMetricFamily("wend_occurrences", told, labels=["journey", "state"])
    for key in keys:
        for state in (*STATES, OVERDUE):
            family.add_metric([key, state], counted.get((key, state), 0))
    yield family
    failed = (
        sa.select(entries.c.journey_key, sa.func.sum(entries.c.attempts))
        .where(_NOT_DONE, entries.c.state == "failing")
        .group_by(entries.c.journey_key)
    )
    yield _by_journey(
        "wend_entry_attempts_failed",
        "Attempts to read the segments of failing entries that have failed so far.",
        keys,
        dict(connection.execute(failed).all()),
    )


@dataclass(frozen=True, slots=True)
class _OpenEntry:
    journey: str
    version: int
    opened_at: datetime
    pending: int
    has_begun: bool


def _of_open_entries(connection: Connection, versions: Versions, keys: list[str], now: datetime) -> Iterator[Metric]:
    pending: dict[str, int] = {}
    stalled: dict[str, int] = {}
    for entry in _open_entries(connection):
        pending[entry.journey] = pending.get(entry.journey, 0) + entry.pending
        stalled[entry.journey] = stalled.get(entry.journey, 0) + _is_stalled(connection, versions, entry, now)
    minutes = STALLED_AFTER // timedelta(minutes=1)
    yield _by_journey(
        "wend_entry_pending_runs", "Runs of open entries that do not have their workflow yet.", keys, pending
    )
    yield _by_journey(
        "wend_entries_stalled",
        f"Entries that could have started their runs for more than {minutes} minutes, and started none.",
        keys,
        stalled,
    )


def _open_entries(connection: Connection) -> list[_OpenEntry]:
    theirs = runs.c.entry_id == entries.c.id
    waiting = sa.select(sa.func.count()).where(theirs, runs.c.started_at.is_(None))
    # By state first, which the index has: the many that are pending are not looked at.
    begun = sa.exists(sa.select(runs.c.id).where(theirs, runs.c.state.in_(_BEGUN), runs.c.started_at.is_not(None)))
    query = sa.select(
        entries.c.journey_key, entries.c.version, entries.c.opened_at, waiting.scalar_subquery(), begun
    ).where(_NOT_DONE, entries.c.state == "open")
    return [_OpenEntry(*row) for row in connection.execute(query)]


def _is_stalled(connection: Connection, versions: Versions, entry: _OpenEntry, now: datetime) -> bool:
    """Return whether an entry should have started somebody: what a ceiling has held back meanwhile is not stalled."""
    since = now - STALLED_AFTER
    if not entry.pending or entry.has_begun or entry.opened_at > since:
        return False
    limits = Limits.of(versions.get(connection, entry.journey, entry.version))
    pace = read_pace(connection, journey_scope(entry.journey), now)
    return limits is None or all(under_ceiling(pace, limits, at, 1) for at in (since, now))


def _of_outbox(connection: Connection, now: datetime) -> Iterator[Metric]:
    waiting, oldest = outbox.waiting(connection)
    yield GaugeMetricFamily("wend_outbox_waiting", "What Temporal has yet to hear.", waiting)
    age = max(now - oldest, timedelta(0)).total_seconds() if oldest else 0
    yield GaugeMetricFamily("wend_outbox_oldest_seconds", "For how long the oldest of it has been waiting.", age)


def _of_runs(connection: Connection, keys: list[str]) -> Metric:
    # Version by version, as the index on runs begins: runs that have ended are not looked at.
    inside = sa.select(sa.func.count()).where(
        runs.c.journey_key == journey_versions.c.journey_key,
        runs.c.version == journey_versions.c.version,
        runs.c.state.in_(_OPEN),
    )
    by_version = (
        sa.select(journey_versions.c.journey_key, inside.scalar_subquery().label("inside"))
        .join(journeys, journeys.c.key == journey_versions.c.journey_key)
        .where(journeys.c.state.in_(_LIVING))
    )
    counted: dict[str, int] = {}
    for key, count in connection.execute(by_version):
        counted[key] = counted.get(key, 0) + count
    return _by_journey("wend_runs_inside", "Runs that have not ended.", keys, counted)


def _of_sends(connection: Connection, keys: list[str]) -> Metric:
    uncertain = (
        sa.select(sent_messages.c.journey_key, sa.func.count()).where(_UNCERTAIN).group_by(sent_messages.c.journey_key)
    )
    told = "Sends of which nobody knows whether the provider took them."
    return _by_journey("wend_sends_uncertain", told, keys, dict(connection.execute(uncertain).all()))
