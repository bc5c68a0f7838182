"""What one process tells of itself."""

from datetime import UTC, datetime, timedelta

from tests.support.metrics import told
from wend.telemetry import Telemetry

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def test_series_that_are_known_beforehand_begin_at_zero() -> None:
    before = told(Telemetry("worker"))
    assert before["wend_process", "worker"] == 1
    assert before["wend_sends_total", "email", "uncertain"] == 0
    assert before["wend_relay_deliveries_total", "wake_run", "failed"] == 0
    assert before["wend_provider_seconds_count", "sms"] == 0
    assert not [name for name, *_ in before if name.endswith("_created")]


def test_what_happens_is_counted() -> None:
    telemetry = Telemetry("worker", clock=lambda: NOON)
    telemetry.sent("email", "accepted", 0.2)
    telemetry.sent("email", "released", 20)
    telemetry.started(["trip", "trip", "other"])
    telemetry.delivered("wake_run", NOON - timedelta(seconds=3))
    telemetry.delivered("wake_run", NOON + timedelta(seconds=3))  # written by a host whose clock is ahead
    telemetry.not_delivered("start_run")
    after = told(telemetry)
    assert after["wend_sends_total", "email", "accepted"] == 1
    assert after["wend_sends_total", "email", "released"] == 1
    assert after["wend_provider_seconds_sum", "email"] == 20.2
    assert after["wend_runs_started_total", "trip"] == 2
    assert after["wend_relay_deliveries_total", "wake_run", "delivered"] == 2
    assert after["wend_relay_deliveries_total", "start_run", "failed"] == 1
    assert after["wend_relay_delivery_age_seconds_sum",] == 3


def test_a_wake_is_late_that_comes_after_its_instant() -> None:
    telemetry = Telemetry("worker")
    telemetry.woke(NOON, None)
    telemetry.woke(NOON, NOON + timedelta(hours=1))  # a bell
    telemetry.woke(NOON, NOON)
    telemetry.woke(NOON, NOON - timedelta(seconds=42))
    after = told(telemetry)
    assert after["wend_wakes_total",] == 4
    assert (after["wend_wake_late_seconds_count",], after["wend_wake_late_seconds_sum",]) == (2, 42)


def test_the_least_lag_of_temporals_stamps_is_taken_once() -> None:
    telemetry = Telemetry("worker", clock=lambda: NOON)
    assert telemetry.take_temporal_lag() is None
    for seconds in (4, 0.01, 2):
        telemetry.heard_temporal(NOON - timedelta(seconds=seconds))
    assert telemetry.take_temporal_lag() == timedelta(seconds=0.01)
    assert telemetry.take_temporal_lag() is None
