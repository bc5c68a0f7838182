"""What one process has seen since it started, for Prometheus: sends, wakes, starts, deliveries, clocks.

What all processes share is read from the database (``wend.metrics``). Labels are channels, outcomes, kinds and
journeys' keys; nothing of a person is in them. All series but those by journey are there from the start, at 0. Noting
something costs a few microseconds.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from wend.outbox import Kind
from wend.runs.queues import CHANNELS, Channel

SendState = Literal["accepted", "refused", "released", "uncertain"]
Told = Literal["delivered", "failed"]
Against = Literal["database", "temporal"]
ProcessPart = Literal["api", "worker", "relay"]

PROVIDER_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
LATE_SECONDS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400)
AGE_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)

# Else a gauge beside each counter says when its process began: twice the series for nothing.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Telemetry:
    """Notes what happens in this process; every thread may.

    Args:
        parts: What runs in it.
        clock: The host's clock.
    """

    def __init__(self, *parts: ProcessPart, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        self._lag: timedelta | None = None
        self._lag_lock = Lock()
        running = Gauge("wend_process", "What runs in this process.", ["part"], registry=self.registry)
        for part in parts:
            running.labels(part).set(1)
        told = "Attempts at sends, by what came of them; released ones are tried again."
        self._sends = Counter("wend_sends", told, ["channel", "outcome"], registry=self.registry)
        told = "How long providers took to answer."
        self._provider = Histogram(
            "wend_provider_seconds", told, ["channel"], buckets=PROVIDER_SECONDS, registry=self.registry
        )
        for channel in CHANNELS:
            self._provider.labels(channel)
            for state in get_args(SendState):
                self._sends.labels(channel, state)
        self._wakes = Counter("wend_wakes", "Times that runs asked where they go.", registry=self.registry)
        told = "By how much runs asked too late that were to ask at an instant."
        self._late = Histogram("wend_wake_late_seconds", told, buckets=LATE_SECONDS, registry=self.registry)
        told = "Runs that got their workflow."
        self._started = Counter("wend_runs_started", told, ["journey"], registry=self.registry)
        told = "Rows of the outbox, by kind and by whether Temporal took them."
        self._deliveries = Counter("wend_relay_deliveries", told, ["kind", "outcome"], registry=self.registry)
        for kind in get_args(Kind):
            for outcome in get_args(Told):
                self._deliveries.labels(kind, outcome)
        told = "How old rows of the outbox were when Temporal had taken them."
        self._age = Histogram("wend_relay_delivery_age_seconds", told, buckets=AGE_SECONDS, registry=self.registry)
        told = "By how much this host's clock is ahead of another one (below zero: behind), at least."
        self._skew = Gauge("wend_clock_skew_seconds", told, ["against"], registry=self.registry)

    def sent(self, channel: Channel, outcome: SendState, took: float) -> None:
        """Note one attempt at a send; ``took`` is the provider's time in seconds."""
        self._sends.labels(channel, outcome).inc()
        self._provider.labels(channel).observe(took)

    def woke(self, now: datetime, until: datetime | None) -> None:
        """Note that a run asked where it goes; ``until`` is when it was to ask at the latest, where that counts."""
        self._wakes.inc()
        if until is not None and now >= until:
            self._late.observe((now - until).total_seconds())

    def started(self, journeys: Iterable[str]) -> None:
        """Note the journeys of runs that got their workflow."""
        for journey, count in Tally(journeys).items():
            self._started.labels(journey).inc(count)

    def delivered(self, kind: Kind, created_at: datetime | None) -> None:
        """Note that Temporal took a row of the outbox."""
        self._deliveries.labels(kind, "delivered").inc()
        if created_at is not None:
            self._age.observe(max((self.clock() - created_at).total_seconds(), 0))

    def not_delivered(self, kind: Kind) -> None:
        """Note that Temporal did not take a row of the outbox."""
        self._deliveries.labels(kind, "failed").inc()

    def heard_temporal(self, at: datetime) -> None:
        """Note what Temporal's clock showed a moment ago."""
        lag = self.clock() - at
        with self._lag_lock:
            if self._lag is None or lag < self._lag:
                self._lag = lag

    def take_temporal_lag(self) -> timedelta | None:
        """Return the least by which Temporal's stamps lay behind this host's clock, since this was last asked.

        A stamp is on its way for a while, so each tells too much, and the least is the closest to the clocks' skew.
        ``None`` where none came.
        """
        with self._lag_lock:
            lag, self._lag = self._lag, None
        return lag

    def skewed(self, against: Against, by: timedelta) -> None:
        """Note by how much this host's clock is ahead of another one."""
        self._skew.labels(against).set(by.total_seconds())
