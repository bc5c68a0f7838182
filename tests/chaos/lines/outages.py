"""The database is away while runs wake: histories hardly grow, no answer without a commit, all go on."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from api.app import create_app
from api.parts import ApiParts
from tests.chaos.lines.inprocess import delivered, ended, quiet
from tests.chaos.ring import Line, Ring
from tests.chaos.wrapping import put_in_place
from tests.support.flaky import Failure, FlakyDatabase
from tests.support.world import KEYS, TEXT, Serving, World, host_clock, serving
from wend.devserver import PROMPT_TIMERS, SEARCH_ATTRIBUTES, find_executable
from wend.errors import Unavailable
from wend.runs.advancing import Advancer
from wend.runs.decide import Answer
from wend.storage.database import CommitUnknown, Database
from wend.storage.tables import events, runs

OUTAGE = timedelta(minutes=10)

SKIPS = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
)
"""What a clock that is taken forward writes."""


# -- ten minutes, on the runs' own clocks -------------------------------------------------------------------------


@dataclass
class Outage:
    """A database that is away for each run from its first wake on, by the run's own clock.

    Attributes:
        spared: Runs that meet none.
        unheard: Runs whose first decision afterwards is committed, and nobody hears of it.
        back_at: When the database is back, by run.
        refused: How often it was away.
        unheard_of: How often a commit was not heard of.
        answers: What was answered, by run, as (sequence, plan).
    """

    spared: set[UUID] = field(default_factory=set)
    unheard: set[UUID] = field(default_factory=set)
    back_at: dict[UUID, datetime] = field(default_factory=dict)
    refused: Counter[UUID] = field(default_factory=Counter)
    unheard_of: int = 0
    answers: dict[UUID, list[tuple[int, Any]]] = field(default_factory=dict)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have every wake of this process meet it."""
        advance = Advancer.advance

        def flaky(advancer: Advancer, run_id: UUID, held: int, now: datetime) -> Answer:
            wakes = held > 0 and run_id not in self.spared
            if wakes and now < self.back_at.setdefault(run_id, now + OUTAGE):
                self.refused[run_id] += 1
                raise Unavailable("The database", "it is not there")
            answer = advance(advancer, run_id, held, now)
            if wakes and run_id in self.unheard:
                self.unheard.discard(run_id)
                self.unheard_of += 1
                raise CommitUnknown("the connection was lost")
            self.answers.setdefault(run_id, []).append((answer.sequence, answer.plan))
            return answer

        put_in_place(Advancer, "advance", flaky)
        try:
            yield
        finally:
            put_in_place(Advancer, "advance", advance)


@dataclass(frozen=True)
class Woken:
    """What came of one run that woke into an outage.

    Attributes:
        grown: By how many events its history is longer than one of a run that met none.
        rounds: How many timers it waited by, beyond its own.
        path: Where it went and why.
        late: How long after the end of the outage it went on.
        answered_otherwise: Answers under one number that differ from each other.
        texts: How many messages were begun for it.
    """

    grown: int
    rounds: int
    path: tuple[tuple[str, str], ...]
    late: timedelta
    answered_otherwise: int
    texts: int


async def ten_minutes(url: str, count: int, unheard: int) -> tuple[list[Woken], Outage]:
    """Have so many runs wake into an outage of ten minutes of their own clocks; of some the first commit is unheard."""
    outage = Outage()
    with ExitStack() as stack:
        stack.enter_context(outage.installed())
        database = Database(url)
        stack.callback(database.close)
        async with (
            await _time_skipping() as environment,
            serving(database, environment.client, f"outage-{uuid4()}") as served,
        ):
            served.world.journey({"id": "nap", "type": "wait", "for": "PT1H"}, TEXT)
            people = [served.world.person(f"p{number}") for number in range(count + 1)]
            ids = [served.world.request(person) for person in people]
            outage.spared.add(ids[0])
            outage.unheard |= set(ids[1 : 1 + unheard])
            async with served.working(runner=UnsandboxedWorkflowRunner()):
                await delivered(served)
                await ended(served, ids, timedelta(minutes=3, seconds=2 * count))
                for run_id in ids:
                    await served.handle(run_id).result()
            return await _woken(served, ids, outage), outage


async def _time_skipping() -> WorkflowEnvironment:
    config = {**PROMPT_TIMERS, "frontend.WorkflowTimeSkippingEnabled": "true"}
    return await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(find_executable()),
        dev_server_extra_args=[f"--dynamic-config-value={key}={json}" for key, json in config.items()],
        search_attributes=[
            SearchAttributeKey.for_keyword(name) if kind == "Keyword" else SearchAttributeKey.for_int(name)
            for name, kind in SEARCH_ATTRIBUTES.items()
        ],
    )


async def _woken(served: Serving, ids: Sequence[UUID], outage: Outage) -> list[Woken]:
    plain, timers = await _length(served.handle(ids[0]))
    texts = Counter(message.message_id for message in served.sms.begun)
    found = []
    for run_id in ids[1:]:
        length, waited = await _length(served.handle(run_id))
        path = served.world.path(run_id)
        (woke,) = [move.at for move in path.moves if move.from_step == "nap"]
        answers = outage.answers[run_id]
        found.append(
            Woken(
                length - plain,
                waited - timers,
                tuple((move.to_step, move.why_kind) for move in path.moves),
                woke - outage.back_at[run_id],
                len({(number, str(plan)) for number, plan in answers}) - len({number for number, _ in answers}),
                texts[path.messages[0].id],
            )
        )
    return found


async def _length(handle: WorkflowHandle[Any, Any]) -> tuple[int, int]:
    """Return how many events a history has, and how many timers among them."""
    kinds = [event.event_type async for event in handle.fetch_history_events() if event.event_type not in SKIPS]
    return len(kinds), kinds.count(EventType.EVENT_TYPE_TIMER_STARTED)


# -- the API, request by request ------------------------------------------------------------------------------------

PROBLEM = "application/problem+json"

MOST_TRIES = 6
"""Of one request: the last one meets a database that is there."""

PERSON = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "accept": "application/problem+json, */*"}


@dataclass(frozen=True)
class Asked:
    """One caller who asks for a run, tells an event and clicks, each until it is answered.

    Attributes:
        failures: How the database fails for each try of a request, by what is asked; at last it does not.
    """

    name: str
    failures: dict[str, tuple[Failure | None, ...]]


@dataclass
class Answered:
    """What callers were answered.

    Attributes:
        degraded: Status and media type of every answer that was none, with how often.
        run_ids: Every id that was answered to a caller's request for a run, by caller.
        event_ids: The same of events.
        clicks: How often a caller's click was answered 302, and how often it was not.
        left_out: Tries that met a database that was away.
        unheard: Tries whose commit was not heard of.
    """

    degraded: Counter[tuple[int, str]] = field(default_factory=Counter)
    run_ids: dict[str, set[UUID]] = field(default_factory=dict)
    event_ids: dict[str, set[UUID]] = field(default_factory=dict)
    clicks: dict[str, tuple[int, int]] = field(default_factory=dict)
    left_out: int = 0
    unheard: int = 0


def plan_callers(random: Random, count: int) -> list[Asked]:
    """Draw how the database fails for so many callers."""
    kinds: Sequence[Failure | None] = ("away", "unheard", None)

    def tries() -> tuple[Failure | None, ...]:
        return (*(random.choice(kinds) for _ in range(MOST_TRIES - 1)), None)

    return [Asked(f"c{number}", {what: tries() for what in ("run", "event", "click")}) for number in range(count)]


def ask(world: World, callers: Sequence[Asked]) -> Answered:
    """Have everybody ask, and ask again with the same ids until they are answered."""
    answered = Answered()
    flaky = FlakyDatabase(world.database)
    parts = ApiParts(flaky, KEYS, host_clock, "https://wend.example")
    client = TestClient(create_app(parts), "http://127.0.0.1:8000", raise_server_exceptions=False)
    nap = {"id": "nap", "type": "wait", "for": "P1D"}
    world.journey(nap, key="entered")
    world.journey({"id": "mail", "type": "send_email", "message": "hello"}, nap, key="clicked")

    def until_answered(caller: Asked, what: str, good: int, method: str, path: str, **more: Any) -> Any:
        headers = PERSON | more.pop("headers", {})
        for failure in caller.failures[what]:
            flaky.failures = [failure]
            answered.left_out += failure == "away"
            answered.unheard += failure == "unheard"
            response = client.request(method, path, headers=headers, follow_redirects=False, **more)
            if response.status_code == good:
                return response
            answered.degraded[response.status_code, response.headers.get("content-type", "")] += 1
        raise AssertionError(f"{what} of {caller.name} was never answered: {response.status_code} {response.text}")

    for caller in callers:
        person = world.person(caller.name)
        run_id = world.enter(person, "clicked")
        world.send(run_id)
        (message,) = world.path(run_id).messages
        tries = answered.degraded.total()
        until_answered(caller, "click", 302, "GET", f"/c/{KEYS.sign(message.id, 1)}")
        answered.clicks[caller.name] = (1, answered.degraded.total() - tries)
        keyed = {"json": {"profile_id": str(person)}, "headers": {"Idempotency-Key": f"run/{caller.name}"}}
        told = {"json": {"id": f"event/{caller.name}", "profile_id": str(person), "name": "bought"}}
        for _ in range(2):  # whoever was answered asks once more, and is answered the same
            response = until_answered(caller, "run", 202, "POST", "/v1/journeys/entered/runs", **keyed)
            answered.run_ids.setdefault(caller.name, set()).add(UUID(response.json()["id"]))
            response = until_answered(caller, "event", 200, "POST", "/v1/events", **told)
            answered.event_ids.setdefault(caller.name, set()).add(UUID(response.json()["items"][0]["event_id"]))
    return answered


@dataclass(frozen=True)
class Committed:
    """What is in the database of what callers were answered.

    Attributes:
        doubled: Callers of whom there is more than one run or event, or none.
        not_committed: Answered ids that are not there.
        clicks_lost: Callers whose click was answered and is not there.
        clicks_made_up: Callers of whom there are more clicks than they made tries.
    """

    doubled: list[str]
    not_committed: list[UUID]
    clicks_lost: list[str]
    clicks_made_up: list[str]


def compare(world: World, answered: Answered) -> Committed:
    """Compare what was answered with what is there."""
    entered = Counter(row.profile_id for row in world.rows(runs, runs.c.journey_key == "entered"))
    told = Counter(row.profile_id for row in world.rows(events, events.c.name == "bought"))
    clicked = Counter(row.profile_id for row in world.rows(events, events.c.name == "click"))
    there = {row.id for row in world.rows(runs)} | {row.id for row in world.rows(events)}
    given = [id for ids in (*answered.run_ids.values(), *answered.event_ids.values()) for id in ids]
    who = {name: world.person(name) for name in answered.run_ids}
    return Committed(
        [name for name, person in who.items() if entered[person] != 1 or told[person] != 1],
        [id for id in given if id not in there],
        [name for name, (good, _) in answered.clicks.items() if clicked[who[name]] < good],
        [name for name, (good, tries) in answered.clicks.items() if clicked[who[name]] > good + tries],
    )


# -- the line -----------------------------------------------------------------------------------------------------

ROUNDS = 12
"""Timers by which a run may wait through ten minutes."""

EVENTS = 9
"""Of one such timer, at most: set, fired, a task of three events, the marker of what was asked in vain, and three more
that keep the task alive where a busy worker takes its time."""

LATEST = timedelta(minutes=2, seconds=30)
"""How soon after the database is back a run goes on: it asks every two minutes at last."""


def run(ring: Ring) -> None:
    woken, unheard, callers = ring.pick((4, 2, 6), (120, 100, 300))
    asking = plan_callers(ring.random, callers)
    ring.planned(f"{woken} runs wake into ten minutes without a database; of {unheard} the first commit is unheard")
    for each in asking[:3]:
        ring.planned(f"{each.name}: {each.failures}")
    with quiet():
        found, outage = asyncio.run(ten_minutes(ring.site.another_database(), woken, unheard))
        _log(ring, "database away while a run wakes", len(outage.back_at))
        _log(ring, "commit unheard while a run wakes", outage.unheard_of)
        _judge_woken(ring, found, woken)
        database = Database(ring.site.another_database())
        try:
            world = World(database, host_clock)
            answered = ask(world, asking)
            committed = compare(world, answered)
        finally:
            database.close()
    _log(ring, "database away under a request", answered.left_out)
    _log(ring, "commit unheard under a request", answered.unheard)
    _judge_answered(ring, answered, committed)


def _log(ring: Ring, fault: str, times: int) -> None:
    for _ in range(times):
        ring.site.faults.write(fault)


def _judge_woken(ring: Ring, found: Sequence[Woken], woken: int) -> None:
    ring.count("runs that woke", len(found))
    rounds, grown = max(each.rounds for each in found), max(each.grown for each in found)
    ring.check(
        "histories grow by a handful of events",
        rounds <= ROUNDS and all(each.grown <= EVENTS * each.rounds for each in found),
        f"at most {rounds} timers and {grown} events in ten minutes",
    )
    way = (("nap", "entered"), ("text", "waited"), ("exit", "message_settled"))
    lost = [each for each in found if each.path != way or each.texts != 1]
    latest = max(each.late for each in found)
    ring.check(
        "all go on, and do what they do once",
        len(found) == woken and not lost and latest <= LATEST,
        f"{len(found)} of {woken}, {len(lost)} amiss, the last one {latest.total_seconds():.0f} s after the return",
    )
    otherwise = [each for each in found if each.answered_otherwise]
    ring.check("no answer is given twice and differs", not otherwise, f"{len(otherwise)} of {len(found)}")


def _judge_answered(ring: Ring, answered: Answered, committed: Committed) -> None:
    ring.count("callers", len(answered.clicks))
    unfair = {answer: times for answer, times in answered.degraded.items() if answer != (503, PROBLEM)}
    seen = f"{answered.degraded.total()} degraded, {unfair or 'none else'}"
    ring.check("a degraded answer is a 503 with problem+json", not unfair, seen)
    lost = [*committed.not_committed, *committed.clicks_lost]
    ring.check("nothing is answered that was not committed", not lost, f"{len(lost)} missing {lost[:3]}")
    doubled = [*committed.doubled, *committed.clicks_made_up]
    doubled += [name for ids in (answered.run_ids, answered.event_ids) for name, some in ids.items() if len(some) != 1]
    ring.check("what is asked again is done once", not doubled, f"{len(doubled)} amiss {doubled[:3]}")


LINE = Line("outages", "the database away for ten minutes while runs wake, and under requests", run)
