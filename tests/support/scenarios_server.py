"""Scenarios on a Temporal server that skips time: real workflows, strict sandbox, SQLite, channels in memory.

Every run has a virtual clock of its own. It starts at the instant of the scenario's start (the server delays the first
task until then, and the delay is skipped), and is taken forward to each instant at which something happens. What comes
from outside is stamped by the API's clock, which stands at that very instant.

A clock that has been taken forward goes on, as fast as the host's, while the run works: what is due from timers stays
some seconds away from what happens from outside, or the two would race.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

import httpx2
import sqlalchemy as sa
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.testing import WorkflowEnvironment
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from api.app import create_app
from api.parts import ApiParts
from tests.support.eventually import assert_eventually
from tests.support.scenarios import (
    Click,
    Delete,
    Happens,
    Join,
    MoveRuns,
    OnLink,
    OutOf,
    Pauses,
    Publish,
    Resumes,
    Scenario,
    Start,
    Stop,
    TakeOut,
    Update,
)
from tests.support.scenarios_clock import StartsAtTheClock, VirtualClock
from tests.support.scenarios_passages import Passage, Played, SeenClick
from tests.support.scenarios_provider import ScriptedProvider
from wend.channels.port import OutgoingEmail
from wend.events.recording import EventLog, IncomingEvent
from wend.journeys.results import Move
from wend.journeys.serial import load_why
from wend.journeys.state import message_id
from wend.journeys.steps.send import SendStep
from wend.lifecycle.ending import stop
from wend.lifecycle.moving import Moving, move
from wend.lifecycle.pausing import Pause, pause, resume
from wend.lifecycle.publishing import publish, put_draft
from wend.lifecycle.taking_out import take_out_profile, take_out_run
from wend.lifecycle.versions import Versions
from wend.messages import store as message_store
from wend.messages.links import declared_links
from wend.messages.tokens import TokenKeys
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.relay import Relay
from wend.runs.erasing import erase_profile
from wend.runs.reading import read_run
from wend.runs.requesting import request_run
from wend.segments import lists
from wend.segments import store as segment_store
from wend.segments.rules import parse_rule
from wend.storage.database import Database
from wend.storage.tables import journeys, runs
from wend.temporal import run_workflow_id
from worker import Core, build_worker

PUBLIC_URL = "https://links.example.com"
LATENESS = timedelta(seconds=20)
"""How much later the server may do what is due: its clocks go on while it works. Nothing decides by it."""

PERSON = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
_HEADERS = {
    "person": PERSON,
    "head": PERSON,
    "bot": {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    "prefetch": {**PERSON, "sec-purpose": "prefetch"},
}
_TOKEN = re.compile(re.escape(f"{PUBLIC_URL}/c/") + r"([\w-]+)")


_Written = Happens | Update | Delete | Join | Publish | Stop | Pauses | Resumes | TakeOut | MoveRuns


@dataclass(frozen=True)
class StagedRun:
    """A run of the scenario that is played."""

    id: UUID
    handle: WorkflowHandle[Any, Any]


class Stage:
    """Plays scenarios, one after the other."""

    def __init__(
        self,
        environment: WorkflowEnvironment,
        database: Database,
        relay: Relay,
        provider: ScriptedProvider,
        keys: TokenKeys,
        clock: VirtualClock,
        http: httpx2.AsyncClient,
    ) -> None:
        self._environment = environment
        self._database = database
        self._relay = relay
        self._provider = provider
        self._keys = keys
        self._clock = clock
        self._http = http
        self._events = EventLog(database, clock)
        self._plays = 0

    async def play(self, scenario: Scenario) -> Played:
        """Return what comes of a scenario.

        Raises:
            AssertionError: A run does not come to rest.
        """
        self._plays += 1
        self._provider.script(scenario)
        self._clock.at = scenario.starts_at
        cast = _Cast(scenario, f"play-{self._plays}", await asyncio.to_thread(self._prepare, scenario))
        staged: dict[str, StagedRun] = {}
        for instant, event in scenario.timeline():
            await asyncio.gather(*(self._bring(run, instant) for run in staged.values()))
            self._clock.at = instant
            match event:
                case Start():
                    staged[event.name] = await self._start(cast, event)
                case Click():
                    await self._open(self._address(cast, staged[event.click.run].id, event.click), event)
                case _:
                    await asyncio.to_thread(self._write, cast, event, staged)
            await self._relay.deliver_all()
            await asyncio.gather(*(self._bring(run, instant) for run in staged.values()))
        await asyncio.gather(*(self._finish(run) for run in staged.values()))
        return await asyncio.to_thread(self._played, cast, staged)

    # -- before it begins -----------------------------------------------------------------------------------------

    def _prepare(self, scenario: Scenario) -> dict[str, UUID]:
        """Store what the scenario begins with; return the profiles' ids."""
        now = self._clock()
        with self._database.write() as connection:
            people = [
                ProfileUpsert(
                    external_id=f"play-{self._plays}/{name}",
                    identities=dict(person.identities),
                    attributes=dict(person.attributes),
                    time_zone=person.time_zone,
                )
                for name, person in scenario.profiles.items()
            ]
            results = profile_store.upsert(connection, people, now)
            ids = {name: result.id for name, result in zip(scenario.profiles, results, strict=True)}
            for key, group in scenario.segments.items():
                if group.rule is None:
                    segment_store.put_list(connection, key, key, now)
                    listed = lists.Listed([ids[name] for name in group.members])
                    lists.replace_members(connection, key, listed, now)
                else:
                    segment_store.put_rule(connection, key, key, parse_rule(group.rule), now)
            for key, content in scenario.messages.items():
                message_store.put(connection, key, key, content, now)
                message_store.make_ready(connection, key, None, now)
            for journey in scenario.journeys:
                put_draft(connection, journey, now)
                publish(connection, journey.key, now)
                # Every play begins at the same instant: time that stood still in an earlier one does so no longer.
                connection.execute(sa.update(journeys).where(journeys.c.key == journey.key).values(freezes=None))
        return ids

    # -- what happens ---------------------------------------------------------------------------------------------

    async def _start(self, cast: "_Cast", event: Start) -> StagedRun:
        journey = cast.scenario.journey(event)

        def write() -> tuple[UUID, str]:
            with self._database.write() as connection:
                profile_id = cast.ids[event.start]
                run = request_run(connection, Versions(), journey.key, profile_id, event.properties, self._clock())
                return run.id, run_workflow_id(journey.key, profile_id, run.entry_number)

        run_id, workflow_id = await asyncio.to_thread(write)
        others = (version.definition for version in cast.scenario.versions(journey.key))
        self._provider.expect(run_id, [*others, journey])
        return StagedRun(run_id, self._environment.client.get_workflow_handle(workflow_id))

    def _address(self, cast: "_Cast", run_id: UUID, target: OnLink) -> str:
        """Return the address of a link as it stands in the delivered message."""
        message = self._provider.delivered[message_id(run_id, target.step, target.visit)][0]
        step = next(each for journey in cast.scenario.definitions() for each in journey.steps if each.id == target.step)
        assert isinstance(step, SendStep)
        number = declared_links(cast.scenario.messages[step.message]).index(target.link) + 1
        text = message.html if isinstance(message, OutgoingEmail) else message.text
        return next(
            found[0] for found in _TOKEN.finditer(text) if self._keys.verify(found[1]).number == number
        ).removeprefix(PUBLIC_URL)

    async def _open(self, address: str, event: Click) -> None:
        method = "HEAD" if event.by == "head" else "GET"
        answer = await self._http.request(method, address, headers=_HEADERS[event.by])
        assert answer.status_code == 302, answer.text
        assert answer.headers["location"].startswith("https://example.com/")

    def _write(self, cast: "_Cast", event: _Written, staged: Mapping[str, StagedRun]) -> None:
        now = self._clock()
        if isinstance(event, Happens):
            key = f"{cast.name}/{event.key or event.at}"
            incoming = IncomingEvent(key, cast.ids[event.profile], event.event, properties=event.properties)
            self._events.record([incoming])
            return
        with self._database.write() as connection:
            match event:
                case Update():
                    change = ProfileUpsert(id=cast.ids[event.update], attributes=dict(event.attributes))
                    profile_store.upsert(connection, [change], now)
                case Delete():
                    erase_profile(connection, cast.ids[event.delete], now)
                case Join():
                    listed = lists.Listed([cast.ids[event.join]])
                    lists.add_members(connection, event.segment, listed, now)
                case Publish():
                    put_draft(connection, event.publish, now)
                    publish(connection, event.publish.key, now)
                case Stop():
                    stop(connection, event.stop, now)
                case Pauses():
                    pause(connection, event.pause, Pause(waits=event.waits), now)
                case Resumes():
                    resume(connection, event.resume, now)
                case TakeOut(take_out=OutOf(run=str(run))):
                    take_out_run(connection, staged[run].id, now)
                case TakeOut(take_out=OutOf(profile=str(profile), journey=journey)):
                    take_out_profile(connection, cast.ids[profile], now, journey=journey)
                case TakeOut():
                    raise AssertionError("a scenario takes out a run or a profile")
                case MoveRuns():
                    move(connection, event.move, Moving(event.to), now)
                case _:
                    assert_never(event)

    # -- time -----------------------------------------------------------------------------------------------------

    async def _bring(self, run: StagedRun, instant: datetime) -> None:
        """Take a run's clock to an instant, and wait until it has nothing to do any more."""
        description = await run.handle.describe()
        if description.status != WorkflowExecutionStatus.RUNNING:
            return
        ahead = instant - _clock_of(description)
        if ahead > timedelta(0):
            await self._environment.fast_forward(run.handle, ahead)

        async def is_at_rest() -> bool:
            # The row before the workflow: a task that is neither pending any more nor in the row yet does not exist.
            row = await asyncio.to_thread(self._row, run.id)
            description = await run.handle.describe()
            if description.status != WorkflowExecutionStatus.RUNNING:
                return True
            raw = description.raw_description
            assert not raw.HasField("pending_workflow_task"), "a workflow task is to be done"
            assert all(
                each.attempt > 1 and each.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
                for each in raw.pending_activities
            ), "an activity is to be done"
            assert row.answer is not None, "the run has not begun"
            assert row.parked_until is None or row.parked_until > instant, "the run's wait is over"
            return True

        await assert_eventually(is_at_rest, interval=timedelta(milliseconds=25))

    async def _finish(self, run: StagedRun) -> None:
        """Let time run to the run's end, over as many workflows as continue it."""

        async def has_ended() -> bool:
            row = await asyncio.to_thread(self._row, run.id)
            assert row.ended_at is not None, "the run has not ended"
            end = WorkflowExecutionStatus.FAILED if row.state == "failed" else WorkflowExecutionStatus.COMPLETED
            assert (await run.handle.describe()).status == end, f"the run has ended {row.state}, its workflow not so"
            return True

        if (await run.handle.describe()).status == WorkflowExecutionStatus.RUNNING:
            await asyncio.wait_for(self._environment.fast_forward(run.handle), timeout=60)
        await assert_eventually(has_ended, interval=timedelta(milliseconds=25))

    def _row(self, run_id: UUID) -> sa.Row[str, Any, datetime | None, datetime | None]:
        with self._database.read() as connection:
            query = sa.select(runs.c.state, runs.c.answer, runs.c.parked_until, runs.c.ended_at)
            return connection.execute(query.where(runs.c.id == run_id)).one()

    # -- what came of it ------------------------------------------------------------------------------------------

    def _played(self, cast: "_Cast", staged: dict[str, StagedRun]) -> Played:
        with self._database.read() as connection:
            profiles = {name: profile_store.get(connection, id) for name, id in cast.ids.items()}
            return Played(
                {name: self._passage(connection, run.id) for name, run in staged.items()},
                {name: profile.attributes if profile else None for name, profile in profiles.items()},
            )

    def _passage(self, connection: sa.Connection, run_id: UUID) -> Passage:
        path = read_run(connection, run_id)
        for message in path.messages:
            taken = len(self._provider.delivered.get(message.id, ()))
            twice = self._provider.may_repeat(message.id)
            assert taken <= 1 or twice, f"{message.step} was delivered {taken} times"
            assert taken >= 1 or message.state not in ("accepted", "uncertain"), f"{message.step} was not delivered"
        return Passage(
            tuple(
                Move(move.from_step, move.to_step, move.at, load_why(move.why_kind, move.why)) for move in path.moves
            ),
            path.run.state,
            path.run.reason,
            tuple(
                (message.step, message.visit, "gave_up" if message.reason == "gave_up" else message.state)
                for message in path.messages
            ),
            tuple(SeenClick(click.link, click.counted, click.note, click.late_by) for click in path.clicks),
        )


def _clock_of(workflow: WorkflowExecutionDescription) -> datetime:
    """Return the instant at which a workflow's own clock stands; before anything was skipped it is the host's."""
    extended = workflow.raw_description.workflow_extended_info
    if not extended.HasField("time_skipping_info"):
        return datetime.now(UTC)
    return extended.time_skipping_info.current_time.ToDatetime(tzinfo=UTC)


@dataclass(frozen=True)
class _Cast:
    """A scenario, what its keys begin with, and its profiles' ids."""

    scenario: Scenario
    name: str
    ids: dict[str, UUID]


@asynccontextmanager
async def stage(environment: WorkflowEnvironment, database: Database) -> AsyncIterator[Stage]:
    """Put everything together around a server that skips time and a migrated database; nothing listens anywhere."""
    clock = VirtualClock()
    keys = TokenKeys({1: b"scenarios-scenarios"})
    provider = ScriptedProvider()
    config = environment.client.config()
    config["interceptors"] = [*config["interceptors"], StartsAtTheClock(clock)]
    client = Client(**config)
    with ThreadPoolExecutor(16) as executor:
        core = Core.build(database, client, executor, "scenarios")
        worker = build_worker(core, provider.channels, keys, PUBLIC_URL, runner=SandboxedWorkflowRunner())
        relay = Relay(database, client, core.starter, core.timetable, executor, clock, core.task_queue)
        app = create_app(ApiParts(database=database, keys=keys, clock=clock, public_url=PUBLIC_URL))
        transport = httpx2.ASGITransport(app)
        async with worker, httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            yield Stage(environment, database, relay, provider, keys, clock, http)
