"""A journey is paused or stopped while its runs send as fast as they can, on a real server that may die of it.

Half of the runs are in a journey that is paused, the other half in one that is stopped; some of each wait for an event
that comes afterwards, so that however fast the others are not all are through by then. ``WEND_TEST_RUNS=1000`` does it
with more of them.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from temporalio.worker import UnsandboxedWorkflowRunner

import activities.attempts
import workflows.policies
from tests.support.eventually import assert_eventually
from tests.support.ports import lasting_port
from tests.support.relaying import at_once, enter, relaying
from tests.support.world import Serving, host_clock, serving
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.lifecycle.ending import stop
from wend.lifecycle.figures import JourneyFigures
from wend.lifecycle.pausing import Pause, pause, resume
from wend.storage.database import Database
from wend.storage.tables import runs, sent_messages
from wend.temporal import connect

RUNS = int(os.environ.get("WEND_TEST_RUNS", "48"))
PAUSED, STOPPED = "paused", "stopped"
WAITERS = RUNS // 12
"""Of those in each journey."""

WAITS = {"when": {"attribute": "waits", "op": "exists"}, "next": "rest"}
STEPS: list[dict[str, Any]] = [
    {"id": "which", "type": "if", "cases": [WAITS], "else": "first"},
    {"id": "rest", "type": "wait_for_event", "event": "go", "within": "P1D"},
    *({"id": id, "type": "send_email", "message": "hello"} for id in ("first", "second")),
]
MAILS = 2
PATIENCE = timedelta(seconds=120 + RUNS / 5)

Claims = set[tuple[UUID, UUID]]
"""(message, attempt): a claim that is taken anew is another one."""


class Killable:
    """A server that keeps its state, and comes back at the same address after it was killed."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.server = self._server(lasting_port())
        self.server.start()

    def _server(self, port: int) -> DevServer:
        return DevServer(port=port, ui_port=None, database=self._database, dynamic_config=PROMPT_TIMERS)

    def kill(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)

    def restart(self) -> None:
        port = int(self.server.address.rpartition(":")[2])
        self.server.stop()
        self.server = self._server(port)
        self.server.start()


@pytest.fixture
def temporal(tmp_path: Path) -> Iterator[Killable]:
    """A server of the test's own, to be killed."""
    killable = Killable(tmp_path / "temporal.db")
    yield killable
    killable.server.stop()


@asynccontextmanager
async def at_full_rate(database: Database, temporal: Killable) -> AsyncIterator[Serving]:
    """Have everybody enter both journeys, wait until each run has its workflow, and leave relay and worker at it."""
    client = await connect(temporal.server.address)
    async with serving(database, client, f"load-{uuid4()}") as trip:
        people = trip.world.people([f"p{number}" for number in range(RUNS // 2 - WAITERS)])
        trip.world.listed("everybody", people + trip.world.people(waiters(), waits=True))
        for key in (PAUSED, STOPPED):
            trip.world.journey(*STEPS, key=key, entry=at_once("everybody"))
        async with relaying(trip), trip.working(runner=UnsandboxedWorkflowRunner()):
            for key in (PAUSED, STOPPED):
                await enter(trip, key)
            started = runs.c.started_at.is_not(None)
            await trip.until(lambda: len(trip.world.rows(runs, started)) == RUNS, PATIENCE)
            yield trip


def waiters() -> list[str]:
    return [f"w{number}" for number in range(WAITERS)]


async def have_them_go(trip: Serving) -> None:
    """Have happen what some wait for."""
    for name in waiters():
        await asyncio.to_thread(trip.world.happen, trip.world.person(name), "go")


def read_claims(connection: Connection, key: str) -> Claims:
    ours = sent_messages.c.journey_key == key
    return {tuple(row) for row in connection.execute(sa.select(sent_messages.c.id, sent_messages.c.claim).where(ours))}


async def figures_are(trip: Serving, key: str, holds: Callable[[JourneyFigures], bool]) -> JourneyFigures:
    """Wait for figures; they must add up whenever they are looked at."""

    def check() -> JourneyFigures:
        figures = trip.world.figures(key)
        assert holds(figures), figures
        return figures

    return await assert_eventually(check, timeout=PATIENCE, interval=timedelta(milliseconds=100))


async def workflows_have_ended(trip: Serving, key: str) -> None:
    """Wait until every run's workflow has ended, and none has failed."""

    async def check() -> None:
        ended = f"WendJourney = '{key}' AND WorkflowType = 'JourneyRun' AND ExecutionStatus = 'Completed'"
        assert (await trip.client.count_workflows(ended)).count == RUNS // 2

    await assert_eventually(check, timeout=PATIENCE, interval=timedelta(milliseconds=100))


@pytest.mark.parametrize("kill", [False, True], ids=["Temporal stays", "Temporal is killed"])
async def test_nothing_is_claimed_after_the_answer_and_on_resumption_nobody_is_lost(
    postgres_database: Database, temporal: Killable, monkeypatch: pytest.MonkeyPatch, kill: bool
) -> None:
    """Claims are read in the transaction that pauses or stops, and in the one that resumes: nothing is between."""
    # How long the server takes for lost what it handed out just before it died; the provider is called well before.
    monkeypatch.setattr(workflows.policies, "SEND_TIMEOUT", timedelta(seconds=10))
    monkeypatch.setattr(activities.attempts, "LATEST_CALL", timedelta(seconds=6))
    change = postgres_database.write

    def pausing_and_stopping() -> tuple[Claims, Claims]:
        if kill:
            temporal.kill()
        with change() as connection:
            pause(connection, PAUSED, Pause(), host_clock())
            while_paused = read_claims(connection, PAUSED)
        with change() as connection:
            stop(connection, STOPPED, host_clock())
            return while_paused, read_claims(connection, STOPPED)

    def resuming() -> Claims:
        with change() as connection:
            resume(connection, PAUSED, host_clock(), rate=1000)
            return read_claims(connection, PAUSED)

    async with at_full_rate(postgres_database, temporal) as trip:
        await trip.until(lambda: len(trip.world.rows(sent_messages)) >= RUNS // 2, PATIENCE)
        while_paused, while_stopped = await asyncio.to_thread(pausing_and_stopping)
        assert trip.world.figures(STOPPED).inside == 0
        if kill:
            await asyncio.to_thread(temporal.restart)

        await have_them_go(trip)
        held = await figures_are(trip, PAUSED, lambda figures: figures.held == figures.inside)
        assert held.inside >= WAITERS
        assert await asyncio.to_thread(resuming) == while_paused
        through = await figures_are(trip, PAUSED, lambda figures: figures.inside == 0)
        for key in (PAUSED, STOPPED):
            await workflows_have_ended(trip, key)

    assert through.outcomes == {"completed": RUNS // 2}
    assert through.messages == {"accepted": RUNS // 2 * MAILS}
    stopped = trip.world.figures(STOPPED)
    assert stopped.outcomes["stopped"] >= WAITERS
    assert stopped.outcomes["stopped"] + stopped.outcomes.get("completed", 0) == RUNS // 2
    assert stopped.messages.keys() == {"accepted"}
    with postgres_database.read() as connection:
        assert read_claims(connection, STOPPED) == while_stopped
        claims = while_stopped | read_claims(connection, PAUSED)
    assert Counter(message.message_id for message in trip.email.begun) == {id: 1 for id, _ in claims}
