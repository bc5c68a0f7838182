"""A small world to test in: people, segments, messages and journeys in a database, and those who decide about runs.

Time stands still unless a test moves it; with ``World(database, clock=…)`` it is the given clock's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from tests.support.eventually import assert_eventually
from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.channels.port import Accepted, Outcome
from wend.documents import parse_definition
from wend.entries.opening import EntryDesk
from wend.entries.timetable import Timetable
from wend.events.recording import EventLog, IncomingEvent, RecordedClick, RecordedEvent
from wend.lifecycle.ending import EndedJourney, close, stop
from wend.lifecycle.figures import JourneyFigures, read_figures
from wend.lifecycle.pausing import Pause, PausedJourney, pause, resume
from wend.lifecycle.publishing import Published, publish, put_draft
from wend.lifecycle.versions import Versions
from wend.messages import store as message_store
from wend.messages.tokens import TokenKeys
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.relay import Relay
from wend.runs.advancing import Advancer
from wend.runs.composing import Composer
from wend.runs.decide import Answer
from wend.runs.ledger import Claim, Ledger, TryAgain
from wend.runs.reading import RunPath, read_run
from wend.runs.requesting import request_run
from wend.runs.starting import Starter
from wend.segments import lists
from wend.segments import store as segment_store
from wend.segments.rules import parse_rule
from wend.storage import tables
from wend.storage.database import Database
from wend.temporal import run_workflow_id
from worker import Core, build_relay, build_worker

T0 = datetime(2026, 12, 1, 9, tzinfo=UTC)
"""When tests begin whose time stands still."""

KEYS = TokenKeys({1: bytes(range(32))})
LINK = "details"
ONE_MICROSECOND = timedelta(microseconds=1)

MAIL = {"id": "mail", "type": "send_email", "message": "hello"}
AWAIT_CLICK = {"id": "look", "type": "wait_for_click", "sent_by": "mail", "link": LINK, "within": "P1D"}
DAY = {"id": "day", "type": "wait", "for": "P1D"}
TEXT = {"id": "text", "type": "send_sms", "message": "ping"}


class World:
    """People, content and journeys in one database.

    Args:
        database: Migrated and empty.
        clock: Instead of time that stands still.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        self.database = database
        self.now = clock() if clock else T0
        self._clock = clock
        self.versions = Versions()
        self.composer = Composer(KEYS, "https://wend.example")
        self.advancer = Advancer(database, self.versions)
        self.ledger = Ledger(database, self.versions, self.composer)
        self.starter = Starter(database, self.versions)
        self.desk = EntryDesk(database, self.versions)
        self.timetable = Timetable(database, self.versions)
        self.events = EventLog(database, self.time)
        with database.write() as connection:
            self._message(connection, "hello", _EMAIL)
            self._message(connection, "ping", {"channel": "sms", "text": "Ping"})

    def time(self) -> datetime:
        """Return what the clock says."""
        return self._clock() if self._clock else self.now

    def later(self, by: timedelta) -> datetime:
        """Let time pass, and return what the clock says then."""
        self.now += by
        return self.now

    # -- who and what there is ----------------------------------------------------------------------------------

    def person(self, name: str, *, attributes: Mapping[str, Any] | None = None, **identities: str | None) -> UUID:
        """Make or change a profile; it has an e-mail address and a phone unless they are given as ``None``."""
        number = sum(name.encode()) % 1000 * 10 + len(name) % 10
        known: dict[str, str | None] = {"email": f"{name}@example.com", "phone": f"+1202555{number:04d}", **identities}
        upsert = ProfileUpsert(external_id=name, identities=known, attributes=dict(attributes or {}))
        with self.database.write() as connection:
            (result,) = profile_store.upsert(connection, [upsert], self.time())
        return result.id

    def people(self, names: Sequence[str], **attributes: Any) -> list[UUID]:
        """Make many profiles with e-mail addresses in one transaction."""
        upserts = [
            ProfileUpsert(external_id=name, identities={"email": f"{name}@example.com"}, attributes=attributes)
            for name in names
        ]
        with self.database.write() as connection:
            return [result.id for result in profile_store.upsert(connection, upserts, self.time())]

    def listed(self, key: str, people: Sequence[UUID] = ()) -> None:
        """Make a segment by list, or add members to it."""
        with self.database.write() as connection:
            segment_store.put_list(connection, key, key, self.time())
            lists.add_members(connection, key, lists.Listed(profile_ids=tuple(people)), self.time())

    def unlist(self, key: str, people: Sequence[UUID]) -> None:
        """Take members out of a list."""
        with self.database.write() as connection:
            lists.remove_members(connection, key, lists.Listed(profile_ids=tuple(people)))

    def rule(self, key: str, rule: Mapping[str, Any]) -> None:
        """Make a segment by rule."""
        with self.database.write() as connection:
            segment_store.put_rule(connection, key, key, parse_rule(dict(rule)), self.time())

    def message(self, key: str, content: Mapping[str, Any]) -> None:
        """Make a message and make it ready."""
        with self.database.write() as connection:
            self._message(connection, key, content)

    def _message(self, connection: sa.Connection, key: str, content: Mapping[str, Any]) -> None:
        message_store.put(connection, key, key, message_store.parse_content(dict(content)), self.time())
        message_store.make_ready(connection, key, None, self.time())

    def journey(self, *steps: Mapping[str, Any], key: str = "trip", **more: Any) -> Published:
        """Publish a journey of these steps as its next version."""
        document = {"key": key, "name": key.capitalize(), "steps": [dict(step) for step in steps], **more}
        with self.database.write() as connection:
            put_draft(connection, parse_definition(document), self.time())
            return publish(connection, key, self.time())

    # -- runs ---------------------------------------------------------------------------------------------------

    def request(self, person: UUID, key: str = "trip", properties: Mapping[str, Any] | None = None) -> UUID:
        """Ask for a run, as the API does; return its id."""
        with self.database.write() as connection:
            return request_run(connection, self.versions, key, person, properties or {}, self.time()).id

    def enter(self, person: UUID, key: str = "trip", properties: Mapping[str, Any] | None = None) -> UUID:
        """Ask for a run, have it claimed and started as the relay does, and let it take its first decision."""
        run_id = self.request(person, key, properties)
        assert self.starter.claim_one(run_id, self.time()) is not None
        self.starter.mark_started([run_id], self.time())
        self.advance(run_id, 0)
        return run_id

    def advance(self, run_id: UUID, held: int | None = None, now: datetime | None = None) -> Answer:
        """Ask where the run goes, as a workflow that holds the row's answer unless ``held`` says another."""
        return self.advancer.advance(run_id, self.row(run_id).sequence if held is None else held, now or self.time())

    def claim(self, run_id: UUID, attempt: UUID | None = None, held: int | None = None) -> Claim | Answer:
        """Claim the run's send, as a new attempt unless ``attempt`` names one."""
        sequence = self.row(run_id).sequence if held is None else held
        return self.ledger.claim(run_id, sequence, attempt or uuid4(), self.time())

    def claimed(self, run_id: UUID, attempt: UUID | None = None) -> Claim:
        """Claim the run's send, which must be possible."""
        claim = self.claim(run_id, attempt)
        assert isinstance(claim, Claim), claim
        return claim

    def settle(self, claim: Claim, outcome: Outcome | None = None) -> Answer | TryAgain:
        """Have the provider answer; it accepts unless ``outcome`` is given."""
        return self.ledger.settle(claim, outcome or Accepted("reference"), self.time())

    def send(self, run_id: UUID, outcome: Outcome | None = None) -> Answer | TryAgain:
        """Claim and settle."""
        return self.settle(self.claimed(run_id), outcome)

    def click(self, run_id: UUID, number: int = 1, note: str | None = None, nth: int = -1) -> RecordedClick:
        """Click on a link of a message that the run has sent; of the last one unless ``nth`` says another."""
        return self.events.record_click(self.path(run_id).messages[nth].id, number, note)

    def happen(
        self, person: UUID, name: str, key: str | None = None, properties: Mapping[str, Any] | None = None
    ) -> RecordedEvent:
        """Have something happen to a person."""
        return self.events.record([IncomingEvent(key or str(uuid4()), person, name, None, properties or {})])[0]

    def stop(self, key: str = "trip") -> EndedJourney:
        """Stop a journey."""
        with self.database.write() as connection:
            return stop(connection, key, self.time())

    def close(self, key: str = "trip") -> EndedJourney:
        """Close a journey."""
        with self.database.write() as connection:
            return close(connection, key, self.time())

    def pause(self, key: str = "trip", **chosen: Any) -> PausedJourney:
        """Pause a journey."""
        with self.database.write() as connection:
            return pause(connection, key, Pause(**chosen), self.time())

    def resume(self, key: str = "trip", rate: int | None = None) -> PausedJourney:
        """Let a paused journey go on."""
        with self.database.write() as connection:
            return resume(connection, key, self.time(), rate=rate)

    # -- what is written down -----------------------------------------------------------------------------------

    def row(self, run_id: UUID) -> sa.Row[Any]:
        """Return the run's row."""
        with self.database.read() as connection:
            return connection.execute(sa.select(tables.runs).where(tables.runs.c.id == run_id)).one()

    def path(self, run_id: UUID) -> RunPath:
        """Return the run with its whole path."""
        with self.database.read() as connection:
            return read_run(connection, run_id)

    def steps(self, run_id: UUID) -> list[tuple[str, str]]:
        """Return where the run went and why: (step, kind of reason)."""
        return [(move.to_step, move.why_kind) for move in self.path(run_id).moves]

    def figures(self, key: str = "trip", version: int | None = None) -> JourneyFigures:
        """Return a journey's figures, which must add up."""
        with self.database.read() as connection:
            figures = read_figures(connection, key, [], version)
        assert figures.members == figures.entered + sum(figures.excluded.values())
        came, gone = figures.entered + figures.moved_in, sum(figures.outcomes.values()) + figures.moved_out
        assert came == figures.inside + gone
        for step in figures.steps:
            assert step.entered == step.here + sum(step.left.values()), step
        return figures

    def rows(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
        """Return rows of a table."""
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table).where(*conditions)))

    def waiting(self, kind: str) -> list[str]:
        """Return the subjects of the outbox's rows of a kind that nobody has delivered yet."""
        query = sa.select(tables.outbox.c.subject).where(
            tables.outbox.c.kind == kind, tables.outbox.c.done_at.is_(None)
        )
        with self.database.read() as connection:
            return list(connection.scalars(query.order_by(tables.outbox.c.id)))

    def deliver_nothing(self) -> None:
        """Have the outbox's rows taken as delivered, so that what comes next stands out."""
        with self.database.write() as connection:
            connection.execute(sa.update(tables.outbox).values(done_at=self.time()))


_EMAIL = {
    "channel": "email",
    "subject": "Hello",
    "from": "Wend <news@example.com>",
    "html": f'<a data-link="{LINK}" href="https://example.com/a">a</a> <a data-link="other" href="https://e.com/">b</a>',
}


def host_clock() -> datetime:
    """Return the host's time, for worlds on a real server."""
    return datetime.now(UTC)


def zone_at_noon() -> str:
    """Return a time zone where it is about noon: no new day begins during a test."""
    ahead = 12 - host_clock().hour
    return f"Etc/GMT{-ahead:+d}"  # their signs are POSIX's: behind is positive


@dataclass
class Serving:
    """A world with a worker and a relay on a real server.

    Attributes:
        world: Its database.
        client: Temporal.
        core: What worker and relay share.
        relay: Delivers when it is told to.
        email: What was mailed.
        sms: What was texted.
    """

    world: World
    client: Client
    core: Core
    relay: Relay
    email: MemoryEmailChannel = field(default_factory=MemoryEmailChannel)
    sms: MemorySmsChannel = field(default_factory=MemorySmsChannel)

    @asynccontextmanager
    async def working(
        self, *, runner: WorkflowRunner | None = None, core: Core | None = None, **options: Any
    ) -> AsyncIterator[None]:
        """Run a worker in the strict sandbox for the length of the block."""
        channels = Channels(self.email, self.sms)
        runner = runner or SandboxedWorkflowRunner()
        worker = build_worker(core or self.core, channels, KEYS, "https://wend.example", runner, **options)
        async with worker:
            yield

    async def start(self, person: UUID, key: str = "trip", **properties: Any) -> UUID:
        """Have a run requested and its workflow started; return the run's id."""
        run_id = self.world.request(person, key, properties)
        await self.relay.deliver_all()
        return run_id

    def handle(self, run_id: UUID) -> WorkflowHandle[Any, Any]:
        """Return the run's workflow."""
        row = self.world.row(run_id)
        return self.client.get_workflow_handle(run_workflow_id(row.journey_key, row.profile_id, row.entry_number))

    async def until(self, holds: Callable[[], object], timeout: timedelta = timedelta(seconds=60)) -> None:
        """Wait until something holds; it is asked in a thread."""

        def check() -> None:
            assert holds()

        await assert_eventually(check, timeout=timeout)

    async def ended(self, run_id: UUID) -> RunPath:
        """Wait until a run's workflow has ended, whatever its outcome; return the run's path."""
        with suppress(WorkflowFailureError):  # a failed run is an end too
            await asyncio.wait_for(self.handle(run_id).result(), 120)
        return self.world.path(run_id)


@asynccontextmanager
async def serving(database: Database, client: Client, task_queue: str) -> AsyncIterator[Serving]:
    """Put a world on a real server; its worker is started by ``working``."""
    with ThreadPoolExecutor(16) as executor:
        core = Core.build(database, client, executor, task_queue)
        yield Serving(World(database, host_clock), client, core, build_relay(core))
