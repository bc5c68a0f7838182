"""What Prometheus is told, and the alarms that the documentation makes of it."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from api.metrics.app import MetricsDoor, create_metrics_app
from api.parts import ApiParts
from tests.api.conftest import LOOPBACK, Api, make_client, make_parts
from tests.support.world import DAY, MAIL, T0
from wend.channels.port import Unknown
from wend.documents import read_document
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.overview import LATE_AFTER
from wend.lifecycle.versions import Versions
from wend.metrics import STALLED_AFTER
from wend.storage.database import Database
from wend.storage.tables import entries, outbox, runs
from wend.telemetry import Telemetry

TOKEN = "0123456789abcdef-secret"
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"

Series = dict[tuple[str, ...], float]


def scrape(api: Api) -> Series:
    """Return the metrics: (name, the labels' values in the order of their names) → value."""
    answer = api.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def families(api: Api) -> set[str]:
    """Return the names of all metrics, whether they have a series yet or not; counters with their ending."""
    told = text_string_to_metric_families(api.client.get("/metrics").text)
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in told}


def write_entry(api: Api, occurrence: str, **values: Any) -> None:
    """Write an entry that took nobody in."""
    row = {"id": uuid4(), "journey_key": "trip", "version": 1, "kind": "segment", "members": 0}
    moments = {"due_at": T0, "opened_at": T0}
    with api.world.database.write() as connection:
        connection.execute(sa.insert(entries).values(**row, **moments, occurrence=occurrence, **values))


def publish(api: Api, people: int = 3, **entry: Any) -> None:
    """Publish a journey that so many people are to enter."""
    api.world.listed("gold", api.world.people([f"p{number}" for number in range(people)]))
    api.world.journey(DAY, entry={"segment": "gold", **entry})


def take_in(api: Api) -> None:
    """Open an entry of the journey now."""
    at = api.world.time()
    assert api.world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M:%SZ}", at), at) is not None


def test_a_journey_has_every_series_from_its_publication_on(api: Api) -> None:
    before = scrape(api)
    assert {"wend_outbox_waiting", "wend_outbox_oldest_seconds"} <= {name for name, *_ in before}
    assert not [key for key in before if "trip" in key]
    publish(api)
    told = scrape(api)
    occurrences = [key for key in told if key[0] == "wend_occurrences"]
    assert [(journey, state) for _, journey, state in occurrences] == [
        ("trip", "failed"),
        ("trip", "failing"),
        ("trip", "missed"),
        ("trip", "skipped"),
        ("trip", "overdue"),
    ]
    of_journeys = {name for name, *labels in told if labels == ["trip"]}
    assert of_journeys == {
        "wend_entry_attempts_failed",
        "wend_entry_pending_runs",
        "wend_entries_stalled",
        "wend_runs_inside",
        "wend_runs_failed",
        "wend_runs_overdue",
        "wend_runs_overdue_seconds",
        "wend_runs_stuck",
        "wend_reconciled_seconds",
        "wend_sends_uncertain",
    }
    assert all(value == 0 for key, value in told.items() if "trip" in key)


def test_occurrences_that_took_nobody_in_are_counted_by_state(api: Api) -> None:
    publish(api)
    write_entry(api, "2026-12-01T09:00", state="missed", reason="outage")
    write_entry(api, "2026-12-02T09:00", state="missed", reason="outage")
    write_entry(api, "2026-12-03T09:00", state="skipped", reason="window_closed")
    write_entry(api, "2026-12-04T09:00", state="failing", error="no such segment", attempts=4)
    write_entry(api, "2026-12-05T09:00", state="done", attempts=2)
    told = scrape(api)
    assert told["wend_occurrences", "trip", "missed"] == 2
    assert told["wend_occurrences", "trip", "skipped"] == 1
    assert told["wend_occurrences", "trip", "failing"] == 1
    assert told["wend_entry_attempts_failed", "trip"] == 4
    figures = api.ok("GET", "/v1/journeys/trip/figures")
    assert (figures["members"], figures["entered"], figures["excluded"]) == (0, 0, {})


def test_an_occurrence_that_nobody_looks_after_is_overdue_after_ten_minutes(api: Api) -> None:
    publish(api, schedule={"start": {"after_publish": "PT1H"}})
    api.world.later(timedelta(hours=1) + STALLED_AFTER - timedelta(seconds=1))
    assert scrape(api)["wend_occurrences", "trip", "overdue"] == 0
    api.world.later(timedelta(seconds=1))
    assert scrape(api)["wend_occurrences", "trip", "overdue"] == 1
    at = T0 + timedelta(hours=1)
    assert api.world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M:%SZ}", at), api.world.time()) is not None
    assert scrape(api)["wend_occurrences", "trip", "overdue"] == 0


def test_an_entry_that_starts_nobody_for_ten_minutes_is_stalled(api: Api) -> None:
    publish(api)
    take_in(api)
    api.world.later(STALLED_AFTER - timedelta(seconds=1))
    told = scrape(api)
    assert (told["wend_entry_pending_runs", "trip"], told["wend_entries_stalled", "trip"]) == (3, 0)
    assert told["wend_runs_inside", "trip"] == 3
    api.world.later(timedelta(seconds=1))
    assert scrape(api)["wend_entries_stalled", "trip"] == 1
    (entry,) = api.world.rows(entries)
    orders = api.world.starter.claim(entry.id, api.world.time(), 1)
    assert scrape(api)["wend_entries_stalled", "trip"] == 1  # claimed, and no workflow yet
    api.world.starter.mark_started([order.run_id for order in orders], api.world.time())
    told = scrape(api)
    assert (told["wend_entry_pending_runs", "trip"], told["wend_entries_stalled", "trip"]) == (2, 0)


def test_what_a_ceiling_holds_back_is_not_stalled(api: Api) -> None:
    publish(api, ceiling={"on": ["wed"]})  # T0 is a Tuesday
    take_in(api)
    api.world.later(timedelta(hours=3))
    assert scrape(api)["wend_entries_stalled", "trip"] == 0
    # Wednesday has begun in UTC at midnight, 15 hours after T0.
    api.world.later(timedelta(hours=12, minutes=9))
    assert scrape(api)["wend_entries_stalled", "trip"] == 0
    api.world.later(timedelta(minutes=1))
    assert scrape(api)["wend_entries_stalled", "trip"] == 1


def test_the_outbox_is_told_with_its_oldest_row(api: Api) -> None:
    api.world.deliver_nothing()
    told = scrape(api)
    assert (told["wend_outbox_waiting",], told["wend_outbox_oldest_seconds",]) == (0, 0)
    api.world.journey(MAIL)
    api.world.request(api.world.person("ada"))
    api.world.later(timedelta(minutes=2))
    told = scrape(api)
    assert (told["wend_outbox_waiting",], told["wend_outbox_oldest_seconds",]) == (2, 120)
    with api.world.database.write() as connection:
        connection.execute(sa.update(outbox).values(created_at=T0 + timedelta(days=1)))
    assert scrape(api)["wend_outbox_oldest_seconds",] == 0  # another host's clock is ahead


def test_runs_and_uncertain_sends_are_told_of_journeys_that_are_not_over(api: Api) -> None:
    world = api.world
    world.journey(MAIL, DAY)
    world.journey(MAIL, DAY, DAY | {"id": "another"})  # a second version: those on both are inside
    for name in ("ada", "bob"):
        world.enter(world.person(name))
    world.send(world.enter(world.person("cem")), Unknown("timed_out"))
    told = scrape(api)
    assert (told["wend_runs_inside", "trip"], told["wend_sends_uncertain", "trip"]) == (3, 1)
    world.stop()
    assert not [key for key in scrape(api) if "trip" in key]


def test_runs_that_fail_are_told(api: Api) -> None:
    world = api.world
    world.journey(DAY)
    for name in ("ada", "bob", "cem"):
        world.enter(world.person(name))
    world.journey(DAY, DAY | {"id": "another"})  # failed on either version
    last = world.enter(world.person("dan"))
    with world.database.write() as connection:
        failing = sa.or_(runs.c.id == last, runs.c.profile_id == world.row(last).profile_id)
        connection.execute(sa.update(runs).where(failing).values(state="failed", ended_at=world.time()))
    assert scrape(api)["wend_runs_failed", "trip"] == 1
    with world.database.write() as connection:
        connection.execute(sa.update(runs).values(state="failed", ended_at=world.time()))
    told = scrape(api)
    assert (told["wend_runs_failed", "trip"], told["wend_runs_inside", "trip"]) == (4, 0)


def test_runs_that_do_not_ask_when_they_should_are_overdue(api: Api) -> None:
    world = api.world
    world.journey(DAY)
    world.enter(world.person("ada"))
    world.later(timedelta(minutes=1))
    world.enter(world.person("bob"))
    held = world.enter(world.person("cem"))
    with world.database.write() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == held).values(held_at=world.time()))
    world.now = T0 + timedelta(days=1) + LATE_AFTER
    assert scrape(api)["wend_runs_overdue", "trip"] == 0
    world.later(timedelta(seconds=1))
    told = scrape(api)
    assert (told["wend_runs_overdue", "trip"], told["wend_runs_overdue_seconds", "trip"]) == (1, 6)
    world.later(timedelta(minutes=1))
    told = scrape(api)
    assert (told["wend_runs_overdue", "trip"], told["wend_runs_overdue_seconds", "trip"]) == (2, 66)


# -- who may ask ------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(api_on_sqlite: Api) -> ApiParts:
    return replace(api_on_sqlite.parts, api_token=TOKEN)


def test_it_asks_for_the_token(guarded: ApiParts) -> None:
    client = make_client(guarded)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_without_a_token_pages_of_other_sites_are_refused(api_on_sqlite: Api) -> None:
    api_on_sqlite.problem(403, "GET", "/metrics", headers={"sec-fetch-site": "cross-site"})
    api_on_sqlite.problem(403, "GET", "/metrics", headers={"host": "rebound.example"})
    assert api_on_sqlite.client.get("/metrics", headers={"host": LOOPBACK.removeprefix("http://")}).is_success


def test_without_a_database_it_is_told(lost_database: Database) -> None:
    answer = make_client(make_parts(lost_database)).get("/metrics")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("token", [None, TOKEN], ids=["without a token", "with one"])
def test_a_worker_or_a_relay_tells_the_same_and_what_it_has_seen_itself(api_on_sqlite: Api, token: str | None) -> None:
    publish(api_on_sqlite)
    parts, door = api_on_sqlite.parts, MetricsDoor(LOOPBACK, token)
    app = create_metrics_app(parts.database, parts.versions, Telemetry("relay"), door)
    client = TestClient(app, base_url=LOOPBACK)
    if token is not None:
        refused = client.get("/metrics", headers={"authorization": "Bearer another"})
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
        client.headers["authorization"] = f"Bearer {token}"
    told = client.get("/metrics")
    assert told.status_code == 200
    assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'wend_runs_inside{journey="trip"} 0.0' in told.text
    assert 'wend_process{part="relay"} 1.0' in told.text
    assert client.get("/v1/journeys").status_code == 404
    if token is None:
        assert client.get("/metrics", headers={"sec-fetch-site": "cross-site"}).status_code == 403
        assert client.get("/metrics", headers={"host": "rebound.example"}).status_code == 403


def test_a_worker_without_a_database_says_so(lost_database: Database) -> None:
    app = create_metrics_app(lost_database, Versions(), Telemetry("worker"), MetricsDoor(LOOPBACK))
    answer = TestClient(app, base_url=LOOPBACK).get("/metrics")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"


# -- what is made of it -----------------------------------------------------------------------------------------


def test_every_metric_of_the_documented_alarms_is_exported_and_every_alarm_says_what_to_do(api_on_sqlite: Api) -> None:
    publish(api_on_sqlite)
    exported = families(api_on_sqlite)
    text = OPERATIONS.read_text()
    blocks = re.findall(r"^```yaml alerts\n(.*?)^```", text, re.M | re.S)
    rules = [rule for block in blocks for group in read_document(block)["groups"] for rule in group["rules"]]
    assert len(rules) >= 5
    for rule in rules:
        named = {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"\bwend_\w+", rule["expr"])}
        assert named, rule
        assert named <= exported, rule
        assert set(rule["annotations"]) == {"summary", "action"}, rule
    table = set(re.findall(r"^\| `(wend_\w+)", text, re.M))
    assert table == exported
