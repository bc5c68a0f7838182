"""What alarms are made of, for Prometheus: read from the database at the moment somebody asks.

Labels are journeys' keys and states; nothing of a person is in them. Journeys that are over are left out, and those
that are not have a series for each state from the beginning, at 0: an alarm sees a number grow, and not one appear.

Each figure is served by an index, and costs what it tells of: rows that are not done, runs that are inside, that failed
or that are due. Sent messages and clicks are not here: those only grow, and counting them would cost more every day.
"""

from collections.abc import Iterable, Iterator, Mapping
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
from wend.lifecycle.overview import LATE_AFTER
from wend.lifecycle.versions import Versions
from wend.reconciling.measuring import read_standings
from wend.storage.database import Database
from wend.storage.tables import entries, journey_versions, journeys, runs, sent_messages
from wend.telemetry import Telemetry

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


def exposition(database: Database, versions: Versions, telemetry: Telemetry, now: datetime | None = None) -> bytes:
    """Return all metrics as ``CONTENT_TYPE`` has them.

    Args:
        database: Where those are that all processes share.
        versions: Of journeys.
        telemetry: Has those of this process.
        now: The instant of the scrape; the host's clock's unless it is given.

    Raises:
        Unavailable: The database does not answer now.
    """
    registry = CollectorRegistry()
    registry.register(DatabaseCollector(database, versions, now or telemetry.clock()))
    return generate_latest(registry) + generate_latest(telemetry.registry)


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
                *_of_runs(connection, keys),
                *_of_overdue_runs(connection, keys, self._now),
                _of_sends(connection, keys),
                *_of_reconciliations(connection, keys, self._now),
            ]


def _by_journey(name: str, help: str, keys: Iterable[str], values: Mapping[str, float]) -> Metric:
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


def _of_runs(connection: Connection, keys: list[str]) -> Iterator[Metric]:
    yield _by_journey("wend_runs_inside", "Runs that have not ended.", keys, _count_runs(connection, _OPEN))
    yield _by_journey("wend_runs_failed", "Runs that failed, ever.", keys, _count_runs(connection, ("failed",)))


def _count_runs(connection: Connection, states: tuple[str, ...]) -> dict[str, int]:
    # Version by version, as the index on runs begins: runs in other states are not looked at.
    theirs = sa.select(sa.func.count()).where(
        runs.c.journey_key == journey_versions.c.journey_key,
        runs.c.version == journey_versions.c.version,
        runs.c.state.in_(states),
    )
    by_version = (
        sa.select(journey_versions.c.journey_key, theirs.scalar_subquery())
        .join(journeys, journeys.c.key == journey_versions.c.journey_key)
        .where(journeys.c.state.in_(_LIVING))
    )
    counted: dict[str, int] = {}
    for key, count in connection.execute(by_version):
        counted[key] = counted.get(key, 0) + count
    return counted


def _of_overdue_runs(connection: Connection, keys: list[str], now: datetime) -> Iterator[Metric]:
    overdue = (
        sa.select(runs.c.journey_key, sa.func.count(), sa.func.min(runs.c.parked_until))
        .where(
            runs.c.journey_key.in_(keys),
            # the condition of the index, in its own words
            runs.c.parked_until.is_not(None),
            runs.c.held_at.is_(None),
            runs.c.ended_at.is_(None),
            runs.c.parked_until < now - LATE_AFTER,
        )
        .group_by(runs.c.journey_key)
    )
    counted: dict[str, int] = {}
    longest: dict[str, float] = {}
    for key, count, since in connection.execute(overdue):
        counted[key], longest[key] = count, (now - since).total_seconds()
    seconds = LATE_AFTER // timedelta(seconds=1)
    told = f"Runs that were to ask where they go more than {seconds} seconds ago, and have not asked."
    yield _by_journey("wend_runs_overdue", told, keys, counted)
    yield _by_journey("wend_runs_overdue_seconds", "For how long the first of them has been due.", keys, longest)


def _of_sends(connection: Connection, keys: list[str]) -> Metric:
    uncertain = (
        sa.select(sent_messages.c.journey_key, sa.func.count()).where(_UNCERTAIN).group_by(sent_messages.c.journey_key)
    )
    told = "Sends of which nobody knows whether the provider took them."
    return _by_journey("wend_sends_uncertain", told, keys, dict(connection.execute(uncertain).all()))


def _of_reconciliations(connection: Connection, keys: list[str], now: datetime) -> Iterator[Metric]:
    told = "What the newest reconciliation found and could not mend, by kind."
    left = GaugeMetricFamily("wend_discrepancies", told, labels=["journey", "kind"])
    told = "How long ago the newest reconciliation ended; where there was none, since the journey's publication."
    age = GaugeMetricFamily("wend_reconciled_seconds", told, labels=["journey"])
    told = "Runs whose next move is overdue by more than a minute, a try to send by more than two hours."
    stuck = GaugeMetricFamily("wend_runs_stuck", told, labels=["journey"])
    for key, standing in read_standings(connection, keys, now):
        for kind, count in standing.remaining.items():
            left.add_metric([key, kind], count)
        age.add_metric([key], standing.age.total_seconds())
        stuck.add_metric([key], standing.stuck)
    yield from (left, age, stuck)
