"""An old database is migrated while a supervisor starts the new release's worker again and again; then all goes on."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from temporalio.client import Client

from tests.support.eventually import assert_eventually
from tests.support.old_databases import Rows, comparable, load, stored
from tests.support.old_databases.recording import AT, OCCURRENCE
from tests.support.world import KEYS, host_clock
from wend import wire
from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.cli.serving import open_database
from wend.events.recording import EventLog
from wend.relay import run_until as run_relay_until
from wend.settings import Settings
from wend.storage import schema
from wend.storage.database import Database
from wend.storage.exclusive import DatabaseInUse
from wend.storage.schema import SchemaMismatch
from wend.storage.tables import identities, runs, sent_messages
from wend.temporal import TASK_QUEUE, run_workflow_id
from worker import Core, build_relay, build_worker

ENOUGH: Final = 5
"""Refusals, before the migration begins."""

PATIENCE = timedelta(seconds=120)

AFTERWARDS: Final = {
    "done": ("completed", None),
    "overdue": ("completed", None),
    "looking": ("completed", None),
    "clicked": ("completed", None),
    "claimed": ("running", "look"),
    "doubtful": ("running", "look"),
    "pending": ("running", "day"),
    "member": ("completed", None),
    "other": ("completed", None),
}
"""Where those end up who were left in the state that their names say; those who look are given a click."""

MAILED: Final = {"pending": 1, "member": 1, "other": 1}
TEXTED: Final = {"overdue": 1, "looking": 1, "clicked": 1}
UNCERTAIN: Final = {"claimed", "doubtful"}
"""Sends that were under way when the old release went: they are not repeated."""


@dataclass(frozen=True)
class Upgraded:
    """What came of it.

    Attributes:
        refusals: How often the worker refused, by its words.
        lost: Rows of the old release that were not there after the migration.
        runs: Where each run is in the end, by whose it is.
        mailed: Messages that went out after the migration, by recipient.
        texted: The same.
        uncertain: Whose sends nobody knows about.
    """

    refusals: Counter[str]
    lost: int
    runs: dict[str, tuple[str, str | None]]
    mailed: dict[str, int]
    texted: dict[str, int]
    uncertain: set[str]

    def check(self, revision: str) -> None:
        """Return if the worker refused in words until it could work, and nothing was lost or done twice.

        Raises:
            AssertionError: It did not, or something was.
        """
        (words,) = self.refusals
        assert words == (
            f"The database has schema '{revision}'; this Wend needs '{schema.head()}'. "
            "Bring it up to date with: wend migrate"
        )
        assert self.refusals[words] >= ENOUGH
        assert self.lost == 0
        assert self.runs == AFTERWARDS
        assert (self.mailed, self.texted) == (MAILED, TEXTED)
        assert self.uncertain == UNCERTAIN


async def upgrade_under_a_worker(url: str, client: Client, revision: str) -> Upgraded:
    """Have a release with that schema leave its database and its workflows, and upgrade it under the new worker.

    Args:
        url: An empty database.
        client: Temporal, on a server that has seen no other copy of that database: ids of workflows come from it.
        revision: Of the old schema.
    """
    rows = await asyncio.to_thread(load, url, revision)
    await _begin_workflows(client, rows)
    supervised = _Supervised(url, client)
    supervising = asyncio.create_task(supervised.run())
    try:
        await assert_eventually(supervised.has_refused, timeout=PATIENCE, interval=timedelta(milliseconds=5))
        await _migrate(url)
        database = await asyncio.wait_for(asyncio.shield(supervised.database), PATIENCE.total_seconds())
        lost = await asyncio.to_thread(_count_lost, database, rows)
        supervised.may_work.set()
        looking = next(row["id"] for row in rows["sent_messages"] if row["run_id"] == _run_of(rows, "looking"))
        await asyncio.to_thread(EventLog(database, host_clock).record_click, looking, 1, None)

        def settled() -> None:
            assert _runs(database) == AFTERWARDS
            assert _uncertain(database) == UNCERTAIN

        with suppress(AssertionError):  # what there is instead is told
            await assert_eventually(settled, timeout=PATIENCE)
        return Upgraded(
            supervised.refusals,
            lost,
            await asyncio.to_thread(_runs, database),
            await asyncio.to_thread(_reached, database, [message.message_id for message in supervised.email.begun]),
            await asyncio.to_thread(_reached, database, [message.message_id for message in supervised.sms.begun]),
            await asyncio.to_thread(_uncertain, database),
        )
    finally:
        supervised.stopping.set()
        await supervising


class _Supervised:
    """A worker and a relay of the new release, started again at once whenever they refuse to run."""

    def __init__(self, url: str, client: Client) -> None:
        self._settings = Settings(database_url=url, task_queue=TASK_QUEUE)
        self._client = client
        self.email = MemoryEmailChannel()
        self.sms = MemorySmsChannel()
        self.refusals: Counter[str] = Counter()
        self.database: asyncio.Future[Database] = asyncio.get_running_loop().create_future()
        self.may_work = asyncio.Event()
        self.stopping = asyncio.Event()

    def has_refused(self) -> None:
        assert self.refusals.total() >= ENOUGH

    async def run(self) -> None:
        while not self.stopping.is_set():
            try:
                database = await open_database(self._settings)
            except SchemaMismatch as error:
                self.refusals[str(error)] += 1
            except DatabaseInUse:
                await asyncio.sleep(0)  # by the migration, which one process at a time may do to a file
            else:
                try:
                    self.database.set_result(database)
                    await self.may_work.wait()
                    await self._work(database)
                finally:
                    await asyncio.to_thread(database.close)

    async def _work(self, database: Database) -> None:
        with ThreadPoolExecutor(8) as executor:
            core = Core.build(database, self._client, executor, self._settings.task_queue)
            channels = Channels(self.email, self.sms)
            async with build_worker(core, channels, KEYS, "https://wend.example"):
                await run_relay_until(build_relay(core), self.stopping)


async def _begin_workflows(client: Client, rows: dict[str, Rows]) -> None:
    """Start what the old release had started: workflows of the runs that are under way, and of the entry."""
    for row in rows["runs"]:
        if row["started_at"] is None or row["ended_at"] is not None:
            continue
        answer: dict[str, Any] = row["answer"]
        until = datetime.fromisoformat(answer["until"]) if "until" in answer else None
        first = wire.Instruction(row["sequence"], answer["kind"], "as it was left", until=until)
        workflow_id = run_workflow_id(row["journey_key"], row["profile_id"], row["entry_number"])
        await client.start_workflow(
            wire.JOURNEY_RUN, wire.RunInput(row["id"], first), id=workflow_id, task_queue=TASK_QUEUE
        )
    await client.start_workflow(
        wire.SEGMENT_ENTRY,
        wire.EntryInput("clubs", OCCURRENCE, AT),
        id=f"entry/clubs/{OCCURRENCE}",
        task_queue=TASK_QUEUE,
    )


async def _migrate(url: str) -> None:
    """As ``wend migrate`` does it, again where the worker holds the file to look at the schema."""
    while True:
        try:
            return await asyncio.to_thread(schema.upgrade, url)
        except DatabaseInUse:
            await asyncio.sleep(0.001)


def _count_lost(database: Database, rows: dict[str, Rows]) -> int:
    found, before = comparable(stored(database, rows)), comparable(rows)
    return sum((Counter(before[name]) - Counter(found[name])).total() for name in before)


def _names(rows: dict[str, Rows]) -> dict[Any, str]:
    return {row["profile_id"]: row["value"] for row in rows["identities"] if row["namespace"] == "external_id"}


def _run_of(rows: dict[str, Rows], name: str) -> Any:
    names = _names(rows)
    return next(row["id"] for row in rows["runs"] if names[row["profile_id"]] == name)


def _runs(database: Database) -> dict[str, tuple[str, str | None]]:
    query = sa.select(identities.c.value, runs.c.state, runs.c.step).join(
        identities, (identities.c.profile_id == runs.c.profile_id) & (identities.c.namespace == "external_id")
    )
    with database.read() as connection:
        return {name: (state, step) for name, state, step in connection.execute(query)}


def _whose(database: Database, condition: sa.ColumnElement[bool]) -> dict[UUID, str]:
    query = (
        sa.select(sent_messages.c.id, identities.c.value)
        .join(sent_messages, sent_messages.c.profile_id == identities.c.profile_id)
        .where(identities.c.namespace == "external_id", condition)
    )
    with database.read() as connection:
        return {row.id: row.value for row in connection.execute(query)}


def _reached(database: Database, messages: list[UUID]) -> dict[str, int]:
    whose = _whose(database, sent_messages.c.id.in_(messages))
    return Counter(whose[message] for message in messages)


def _uncertain(database: Database) -> set[str]:
    return set(_whose(database, sent_messages.c.state == "uncertain").values())
