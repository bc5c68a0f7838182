"""A whole installation in one process, for recordings and benchmarks, with channels that keep what they send."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from temporalio.client import Client, WorkflowHandle

from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.documents import parse_definition
from wend.events.recording import EventLog
from wend.lifecycle.publishing import publish, put_draft
from wend.messages import store as message_store
from wend.messages.tokens import TokenKeys
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.runs.reading import read_run
from wend.runs.requesting import request_run
from wend.segments import store as segment_store
from wend.segments.rules import parse_rule
from wend.storage import schema
from wend.storage.database import Database
from wend.temporal import connect, run_workflow_id
from wend.workers import WorkerGroup
from worker import Core, build_relay, build_worker

LINK = "product-details"


class Rig:
    """A whole installation in one process, with channels that keep what they send."""

    def __init__(self, database: Database, client: Client, task_queue: str = "wend") -> None:
        self.database = database
        self.client = client
        self.email = MemoryEmailChannel()
        self.core = Core.build(database, client, ThreadPoolExecutor(16), task_queue)
        self.relay = build_relay(self.core)
        self.events = EventLog(database, lambda: datetime.now(UTC))

    def worker(self) -> WorkerGroup:
        channels = Channels(self.email, MemorySmsChannel())
        return build_worker(self.core, channels, TokenKeys({1: bytes(range(32))}), "https://wend.example")

    def publish(self, key: str, steps: list[dict[str, Any]], entry: dict[str, Any] | None = None) -> None:
        document = {"key": key, "name": key, "steps": steps} | ({"entry": entry} if entry else {})
        with self.database.write() as connection:
            put_draft(connection, parse_definition(document), datetime.now(UTC))
            publish(connection, key, datetime.now(UTC))

    async def start(self, key: str, external_id: str = "ada") -> tuple[UUID, WorkflowHandle[Any, Any]]:
        with self.database.write() as connection:
            (profile,) = profile_store.find(connection, "external_id", external_id)
            run = request_run(connection, self.core.versions, key, profile.id, {}, datetime.now(UTC))
        await self.relay.deliver_all()
        return run.id, self.client.get_workflow_handle(run_workflow_id(key, profile.id, run.entry_number))

    async def until(self, run_id: UUID, holds: Callable[[Any], bool]) -> None:
        while True:
            with self.database.read() as connection:
                if holds(read_run(connection, run_id).run):
                    return
            await asyncio.sleep(0.05)

    async def click(self, run_id: UUID) -> None:
        with self.database.read() as connection:
            sent = read_run(connection, run_id).messages[-1]
        self.events.record_click(sent.id, 1, None)
        await self.relay.deliver_all()


@asynccontextmanager
async def installed() -> AsyncIterator[Rig]:
    """Start a server and a database with three people, and stop them at the end."""
    with (
        tempfile.TemporaryDirectory() as directory,
        DevServer(port=0, ui_port=None, dynamic_config=PROMPT_TIMERS) as server,
    ):
        url = f"sqlite:///{directory}/wend.db"
        schema.upgrade(url)
        database = Database(url)
        load(database)
        try:
            yield Rig(database, await connect(server.address))
        finally:
            database.close()


def load(database: Database) -> None:
    """Put three people, a segment and two messages into a database."""
    now = datetime.now(UTC)
    email = {
        "channel": "email",
        "subject": "Soon",
        "from": "Wend <news@example.com>",
        "html": f'<a data-link="{LINK}" href="https://example.com/p">more</a>',
    }
    with database.write() as connection:
        people = [
            ProfileUpsert(external_id=name, identities={"email": f"{name}@example.com", "phone": f"+1202555010{place}"})
            for place, name in enumerate(("ada", "ben", "cleo"))
        ]
        profile_store.upsert(connection, people, now)
        rule = parse_rule({"identity": "email"})
        segment_store.put_rule(connection, "everybody", "Everybody", rule, now)
        for key, content in {"announcement": email, "thanks": {"channel": "sms", "text": "Thank you"}}.items():
            message_store.put(connection, key, key, message_store.parse_content(content), now)
            message_store.make_ready(connection, key, None, now)
