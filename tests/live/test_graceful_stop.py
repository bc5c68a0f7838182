"""SIGTERM under load: what was begun is finished, nothing is left claimed, and the next start goes on.

On PostgreSQL with the three processes of a production installation, on SQLite with the parts of ``wend up``.
"""

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import pytest_asyncio
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import assert_eventually
from tests.support.ports import lasting_port
from tests.support.programs import Program, program
from tests.support.relaying import at_once
from tests.support.world import MAIL, World, host_clock
from wend.cli import local
from wend.cli.ports import LOCAL, listen
from wend.devserver import DevServer
from wend.settings import Settings
from wend.sink import Fault, Sink
from wend.storage import tables
from wend.storage.database import Database

PEOPLE = 40
AT_ONCE = 4
QUICK = 10
"""Mails that the provider takes soon. The others take so long that not all can be out before the stop."""

TOKEN_KEYS = f"1:{bytes(range(32)).hex()}"
PATIENCE = timedelta(seconds=120)


@pytest_asyncio.fixture
async def sink() -> AsyncIterator[Sink]:
    """A provider that takes its time over every mail: some are always under way."""
    async with Sink() as catcher:
        for times, delay in ((QUICK, 0.1), (None, 2)):
            fault = Fault(kind="delay", channel="email", times=times, delay=timedelta(seconds=delay))
            catcher.faults.add(fault)
        yield catcher


def prepare(database: Database) -> UUID:
    """Publish a journey that everybody is to enter at once; return one of them."""
    world = World(database, host_clock)
    people = world.people([f"p{number}" for number in range(PEOPLE)])
    world.listed("everybody", people)
    world.journey(MAIL, entry=at_once("everybody"))
    return people[0]


def rows(database: Database, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table).where(*conditions)))


def environment(url: str, server: DevServer, sink: Sink, port: int) -> dict[str, str]:
    """Return the settings of an installation of the test's own."""
    return {
        "WEND_DATABASE_URL": url,
        "WEND_PORT": str(port),
        "WEND_TASK_QUEUE": f"stop-{uuid4()}",
        "WEND_SENDS_AT_ONCE": str(AT_ONCE),
        "WEND_TOKEN_KEYS": TOKEN_KEYS,
        "WEND_CHANNELS__SMTP__PORT": str(sink.smtp_port),
        "WEND_METRICS_PORT": "0",
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": server.namespace,
    }


def nothing_is_left_claimed(database: Database) -> None:
    """Assert what must hold after a stop in good order."""
    sends = Counter(row.state for row in rows(database, tables.sent_messages))
    assert set(sends) == {"accepted"}, sends
    runs, outbox = tables.runs, tables.outbox
    assert rows(database, runs, runs.c.claimed_at.is_not(None), runs.c.started_at.is_(None)) == []
    untold = rows(database, outbox, outbox.c.done_at.is_(None), outbox.c.attempts > 0, outbox.c.error.is_(None))
    assert [row for row in untold if row.due_at > host_clock()] == [], "leased"


async def everybody_was_mailed_once(database: Database, sink: Sink) -> None:
    """Assert it, once everybody's run has come to its end."""

    def check() -> None:
        assert len(rows(database, tables.runs, tables.runs.c.state == "completed")) == PEOPLE

    await assert_eventually(check, timeout=PATIENCE)
    counts = await sink.store.counts()
    assert (counts.messages, counts.email.duplicates) == (PEOPLE, 0)


async def ask(api: str, person: UUID, answered: set[str]) -> None:
    """Send events to the API until it stops; note those that it has answered for."""

    async def one_after_the_other(client: httpx2.AsyncClient) -> None:
        with suppress(httpx2.TransportError):  # it has stopped: it answers for nothing any more
            while True:
                event = {"id": str(uuid4()), "profile_id": str(person), "name": "visited"}
                answer = await client.post(f"{api}/v1/events", json=event)
                assert answer.is_success, answer.text
                answered.add(event["id"])

    async with httpx2.AsyncClient(timeout=60) as client:
        await asyncio.gather(*(one_after_the_other(client) for _ in range(2)))


async def mailed(sink: Sink, count: int) -> None:
    """Assert that so many mails have come in."""
    assert (await sink.store.counts()).messages >= count


async def is_sending(sink: Sink) -> None:
    """Return when a part of the people has been mailed, and the next are being mailed."""
    await assert_eventually(partial(mailed, sink, QUICK + 1), timeout=PATIENCE)
    assert (await sink.store.counts()).messages < PEOPLE


async def begin_asking(api: str, person: UUID, answered: set[str]) -> "asyncio.Task[None]":
    """Begin to send events to the API, and return what does it when some have been answered."""
    asking = asyncio.create_task(ask(api, person, answered))

    def answers() -> None:
        assert len(answered) > 5 or asking.done()

    await assert_eventually(answers, timeout=PATIENCE)
    return asking


async def test_three_processes_stop_in_good_order_and_go_on(
    migrated_postgres_url: str,
    postgres_database: Database,
    temporal_server: DevServer,
    sink: Sink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = lasting_port()
    for name, value in environment(migrated_postgres_url, temporal_server, sink, port).items():
        monkeypatch.setenv(name, value)
    database = postgres_database
    person = await asyncio.to_thread(prepare, database)
    answered: set[str] = set()
    with ExitStack() as stack:
        parts = [stack.enter_context(program(tmp_path, part)) for part in ("api", "worker", "relay")]
        await assert_eventually(lambda: _answers(port), timeout=PATIENCE)
        await is_sending(sink)
        await assert_eventually(partial(tells_of_its_work, parts[1], "worker"), timeout=PATIENCE)
        await assert_eventually(partial(tells_of_its_work, parts[2], "relay"), timeout=PATIENCE)
        asking = await begin_asking(f"http://{LOCAL}:{port}", person, answered)
        for part in parts:
            part.signal(signal.SIGTERM)
        for part in parts:
            assert await asyncio.to_thread(part.wait) == 0, part.err
        await asking

    assert (await sink.store.counts()).messages < PEOPLE
    sink.faults.clear()
    nothing_is_left_claimed(database)
    assert answered
    assert answered <= {row.key for row in rows(database, tables.events)}
    async with all_in_one(temporal_server):  # whatever process goes on
        await everybody_was_mailed_once(database, sink)
    nothing_is_left_claimed(database)


def _answers(port: int) -> None:
    try:
        assert httpx2.get(f"http://{LOCAL}:{port}/readyz").is_success
    except httpx2.TransportError as error:
        raise AssertionError(str(error)) from error


def tells_of_its_work(part: Program, name: str) -> None:
    """Assert that a process's metrics say what it has done."""
    told = scrape(part)
    assert told["wend_process", name] == 1
    assert abs(told["wend_clock_skew_seconds", "database"]) < 1
    if name == "worker":
        assert told["wend_sends_total", "email", "accepted"] > 0
        assert told["wend_provider_seconds_sum", "email"] > 0
        assert told["wend_runs_started_total", "trip"] > 0
    else:
        assert told["wend_relay_deliveries_total", "ensure_schedule", "delivered"] > 0


def scrape(part: Program) -> Mapping[tuple[str, ...], float]:
    """Return the metrics of a process that has said where they are; zero is what it does not tell of."""
    said = [line for line in part.err.splitlines(keepends=True) if "part=metrics" in line and line.endswith("\n")]
    assert len(said) == 1, part.err
    answer = httpx2.get(f"http://{LOCAL}:{said[0].split('port=')[1].split()[0]}/metrics", timeout=60)
    assert answer.is_success, answer.text
    told = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    return defaultdict(float, told)


@asynccontextmanager
async def all_in_one(server: DevServer) -> AsyncIterator[str]:
    """Run API, worker and relay in this process; yields the API's address, and stops them in good order."""
    listener, stopping = listen(LOCAL, 0), asyncio.Event()
    serving = asyncio.create_task(
        local.serve(Settings(), server.address, listener, stopping, ready=lambda _: None), name="all in one"
    )
    try:
        yield f"http://{LOCAL}:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        await serving


async def test_one_process_stops_in_good_order_and_goes_on(
    sqlite_url: str, temporal_server: DevServer, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(sqlite_url, temporal_server, sink, 0).items():
        monkeypatch.setenv(name, value)
    with closing(Database(sqlite_url)) as database:
        person = prepare(database)
    answered: set[str] = set()
    async with all_in_one(temporal_server) as api:
        await is_sending(sink)
        asking = await begin_asking(api, person, answered)
    await asking
    assert (await sink.store.counts()).messages < PEOPLE
    sink.faults.clear()
    with closing(Database(sqlite_url)) as database:
        nothing_is_left_claimed(database)
        assert answered
        assert answered <= {row.key for row in rows(database, tables.events)}

    async with all_in_one(temporal_server):
        await assert_eventually(partial(mailed, sink, PEOPLE), timeout=PATIENCE)
    with closing(Database(sqlite_url)) as database:
        await everybody_was_mailed_once(database, sink)
        nothing_is_left_claimed(database)
