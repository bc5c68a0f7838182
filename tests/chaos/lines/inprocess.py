"""Pieces of a line that needs no processes of Wend's own: a real Temporal server that may be killed, a worker, a relay
that delivers when it is told to, and clicks whose clocks say what they are told.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from temporalio.api.enums.v1 import EventType

from tests.chaos.hosting import Ports
from tests.support.eventually import assert_eventually
from tests.support.world import Serving, serving
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.events.recording import EventLog, RecordedClick
from wend.storage import tables
from wend.storage.database import Database
from wend.temporal import connect
from worker import Core

PATIENCE = timedelta(minutes=5)
LOOK_EVERY = timedelta(milliseconds=100)
"""Whoever waits in the very process that works leaves it the processor."""


class Server:
    """A Temporal server that keeps its state in a file, so that it may be killed and started again where it was.

    Args:
        directory: For its state.
    """

    def __init__(self, directory: Path) -> None:
        self._database = directory / "temporal.db"
        self._ports = Ports(1)
        self._server = self._make()

    @property
    def address(self) -> str:
        """``host:port``; the same before and after."""
        return self._server.address

    def __enter__(self) -> "Server":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server.is_running():
            self.kill()  # nobody needs it to end in good order
        self._ports.close()

    def kill(self) -> None:
        """Kill it as it stands."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()  # takes note of its end

    def start(self) -> None:
        """Start it where it was."""
        self._server = self._make()
        self._server.start()

    def _make(self) -> DevServer:
        (port,) = self._ports.numbers
        return DevServer(port=port, ui_port=None, database=self._database, dynamic_config=PROMPT_TIMERS)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the SDK and Wend have to say about outages out of the ring's own words."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)


@asynccontextmanager
async def piece(url: str, address: str) -> AsyncIterator[Serving]:
    """Put a world in a migrated database of its own on the Temporal server there, on a task queue of its own."""
    database = Database(url, connections=24)
    try:
        async with serving(database, await connect(address), f"chaos-{uuid4()}") as served:
            yield served
    finally:
        database.close()


async def delivered(served: Serving) -> None:
    """Have everything told that was not told yet, however often Temporal has to be asked."""

    def nothing_left() -> None:
        query = sa.select(sa.func.count()).where(tables.outbox.c.done_at.is_(None))
        with served.world.database.read() as connection:
            assert connection.scalar(query) == 0

    async def all_told() -> None:
        await served.relay.deliver_all()
        await asyncio.to_thread(nothing_left)

    await assert_eventually(all_told, timeout=PATIENCE, interval=LOOK_EVERY)


class TooSlow(Exception):
    """The machine, or a lost task, let a run end before the last one waited."""


async def parked(served: Serving, run_ids: Sequence[UUID], step: str) -> None:
    """Wait until all these runs wait at a step.

    Raises:
        TooSlow: They never will, all at once.
    """
    theirs = sa.select(sa.func.count()).where(tables.runs.c.id.in_(run_ids))
    there = theirs.where(tables.runs.c.step == step, tables.runs.c.parked_until.is_not(None))

    def all_there() -> None:
        with served.world.database.read() as connection:
            if connection.scalar(theirs.where(tables.runs.c.ended_at.is_not(None))):
                raise TooSlow
            assert connection.scalar(there) == len(run_ids)

    await assert_eventually(all_there, timeout=PATIENCE, interval=LOOK_EVERY)


async def timer_set(served: Serving, run_id: UUID) -> None:
    """Wait until a run's workflow waits by a timer on the server: its worker may go now."""
    await has_event(served, run_id, EventType.EVENT_TYPE_TIMER_STARTED)


async def has_event(served: Serving, run_id: UUID, kind: "EventType.ValueType") -> None:
    """Wait until a run's history has an event of this kind."""

    async def there() -> None:
        assert any(event.event_type == kind for event in (await served.handle(run_id).fetch_history()).events)

    await assert_eventually(there, timeout=PATIENCE, interval=LOOK_EVERY)


def click_at(served: Serving, message_id: UUID, at: datetime) -> RecordedClick:
    """Click on the first link of a message, where the clock says this."""
    return EventLog(served.world.database, lambda: at).record_click(message_id, 1, None)


def core_on(served: Serving, database: Database) -> Core:
    """Return what a worker works with, on another view of the database."""
    return Core.build(database, served.client, served.core.executor, served.core.task_queue)


@dataclass(frozen=True)
class Sent:
    """A run that waits for a click on what it was sent."""

    run_id: UUID
    message_id: UUID
    deadline: datetime


async def waiting_runs(served: Serving, people: Sequence[UUID], key: str = "trip", step: str = "look") -> list[Sent]:
    """Start a run for each person, and return when all wait for their clicks.

    Raises:
        TooSlow: They never do, all at once.
    """
    ids = [await asyncio.to_thread(served.world.request, person, key) for person in people]
    await delivered(served)
    await parked(served, ids, step)
    messages = tables.sent_messages
    query = (
        sa.select(messages.c.run_id, messages.c.id, tables.runs.c.parked_until)
        .join(tables.runs, tables.runs.c.id == messages.c.run_id)
        .where(messages.c.run_id.in_(ids))
    )
    with served.world.database.read() as connection:
        found = {row.run_id: Sent(*row) for row in connection.execute(query)}
    if any(sent.deadline is None for sent in found.values()):  # its wait is over by now
        raise TooSlow
    return [found[run_id] for run_id in ids]


async def ended(served: Serving, run_ids: Sequence[UUID], within: timedelta = PATIENCE) -> None:
    """Wait until all these runs have ended."""
    query = sa.select(sa.func.count()).where(tables.runs.c.id.in_(run_ids), tables.runs.c.ended_at.is_(None))

    def none_left() -> None:
        with served.world.database.read() as connection:
            left = connection.scalar(query)
        assert left == 0, f"{left} of {len(run_ids)} runs have not ended"

    await assert_eventually(none_left, timeout=within, interval=LOOK_EVERY)


def rows_of(served: Serving, table: sa.Table, run_ids: Sequence[UUID]) -> list[sa.Row[Any]]:
    """Return the rows of a table that belong to these runs."""
    return served.world.rows(table, table.c.run_id.in_(run_ids))
