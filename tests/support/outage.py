"""A provider that answers nothing but 503 for an hour, then recovers and is slow: real workflows, skipped time.

The hour passes on the workflows' own clocks. What the hour has dammed up is due at one moment and drains at the rate of
the channel's task queue, which the server keeps by the real clock: so the instants of acceptance are the real ones.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import sqlalchemy as sa
from temporalio import activity
from temporalio.testing import WorkflowEnvironment

from tests.support.eventually import assert_eventually
from tests.support.world import MAIL, TEXT, Serving, World, host_clock
from wend.channels.memory import MemoryEmailChannel
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.runs.queues import SendQueues
from wend.storage.database import Database
from wend.storage.tables import runs, sent_messages
from worker import Core, build_relay

OUTAGE = timedelta(hours=1)

BEFORE = timedelta(minutes=30)
"""Where the clocks are taken to while it is away: between the fourth try and the fifth."""

TRIES_IN_OUTAGE = 4
"""At once, after 5 s, after another minute, after another 12 minutes; the next one comes an hour later."""

SLOWEST = timedelta(seconds=12)
"""How long the provider takes at most for a message once it is back: until the other channel's are out."""

AMPLE = 1000
"""Messages per second that the channel may give before there is anything to be careful about."""


@dataclass(frozen=True)
class Outage:
    """What came of it.

    Attributes:
        people: How many were to be mailed.
        accepted: Messages that the provider has taken.
        doubled: Those of them that it was given a second time after it had taken them.
        refused: Messages that it refused for good.
        took_failure_path: Runs that went on by ``on_failure``.
        uncertain: Sends of which the ledger does not know.
        unended: Runs that have not completed.
        tries: Calls of the provider.
        drained_in: From when the channel got its rate to the last call for a message that was accepted.
        ahead: By how many messages, at most, those calls were ahead of the rate, counted from then: a machine that
            stands still makes them late and never early.
        texts: Runs of the other channel, begun while the backlog drained.
        texted_in: From then to the last of their messages.
        overtaken: Messages of the backlog that were still waiting then.
    """

    people: int
    accepted: int
    doubled: int
    refused: int
    took_failure_path: int
    uncertain: int
    unended: int
    tries: int
    drained_in: timedelta
    ahead: float
    texts: int
    texted_in: timedelta
    overtaken: int


class Taken(NamedTuple):
    """A message that the provider has taken: when it was called, and when it accepted."""

    message_id: UUID
    called_at: float
    accepted_at: float


class Provider:
    """Keeps everything that it was given; its clock is that of the workflow whose message it is."""

    def __init__(self, refused: frozenset[str], back_at: datetime) -> None:
        self.channel = MemoryEmailChannel(self._answer)
        self.tries: Counter[UUID] = Counter()
        self.refusals: Counter[UUID] = Counter()
        self.taken: list[Taken] = []
        self._begun = False
        self.is_back = False
        self.texted = asyncio.Event()
        self._refused = refused
        self._back_at = back_at

    async def _answer(self, email: OutgoingEmail) -> Outcome:
        self.tries[email.message_id] += 1
        if not self.is_back or activity.info().started_time < self._back_at:
            return NotAccepted("provider_unavailable", "HTTP 503")
        if email.to in self._refused:
            self.refusals[email.message_id] += 1
            return Refused("recipient_refused")
        is_first, self._begun = not self._begun, True
        called_at = monotonic()
        if not is_first:  # the others are under way, or wait, until the texts are through
            with suppress(TimeoutError):
                await asyncio.wait_for(self.texted.wait(), SLOWEST.total_seconds())
        self.taken.append(Taken(email.message_id, called_at, monotonic()))
        return Accepted(f"memory/{email.message_id}")


async def provider_outage(
    database: Database, env: WorkflowEnvironment, people: int, rate: int, seed: int = 0, texts: int = 5
) -> Outage:
    """Have people mailed by a provider that is away, and return what has become of everybody an hour later.

    Args:
        database: Migrated and empty.
        env: A real server that skips time.
        people: How many are mailed; one in a hundred of them, at least one, is refused for good.
        rate: Messages per second, set when the provider is still away.
        seed: Chooses who is refused.
        texts: People who are texted while the backlog drains.
    """
    began_at = host_clock()
    addresses = [f"p{number}@example.com" for number in range(people)]
    provider = Provider(frozenset(Random(seed).sample(addresses, max(1, people // 100))), began_at + OUTAGE)
    world = World(database, host_clock)
    world.journey(MAIL | {"on_failure": "text", "next": "exit"}, TEXT, key="mailed")
    world.journey(TEXT, key="texted")
    profiles = _profiles(database, addresses)
    queue = f"outage-{uuid4()}"
    with ThreadPoolExecutor(16) as executor:
        core = Core.build(database, env.client, executor, queue)
        trip = Serving(world, env.client, core, build_relay(core), provider.channel)
        with env.with_time_skipping_disabled():
            mailed = [world.request(profile, "mailed") for profile in profiles]
            await trip.relay.deliver_all()
        handles = [trip.handle(run_id) for run_id in mailed]
        async with trip.working(core=_limited(core, AMPLE)):
            await _tried(provider, people, 1)
            await asyncio.gather(*(env.fast_forward(handle, BEFORE) for handle in handles))
            await _tried(provider, people, TRIES_IN_OUTAGE)
        provider.is_back = True
        limited_at = monotonic()
        async with trip.working(core=_limited(core, rate)):
            waiting = asyncio.gather(*(env.fast_forward(handle) for handle in handles))
            await assert_eventually(lambda: _assert(bool(provider.taken)))
            texted_at = await _text(trip, profiles[:texts])
            provider.texted.set()
            await waiting
    return await asyncio.to_thread(_count, database, provider, people, rate, texts, limited_at, texted_at)


def _limited(core: Core, rate: int) -> Core:
    return Core(**{**vars(core), "queues": SendQueues(core.task_queue, {"email": rate})})


def _profiles(database: Database, addresses: Sequence[str]) -> list[UUID]:
    upserts = [
        ProfileUpsert(external_id=address, identities={"email": address, "phone": f"+1202555{number:04d}"})
        for number, address in enumerate(addresses)
    ]
    with database.write() as connection:
        return [result.id for result in profile_store.upsert(connection, upserts, host_clock())]


async def _tried(provider: Provider, people: int, times: int) -> None:
    """Wait until every message was tried so many times; a clock that was taken forward may skip one further."""

    def check() -> None:
        assert len(provider.tries) == people
        assert min(provider.tries.values()) >= times, Counter(provider.tries.values())

    await assert_eventually(check, timeout=timedelta(seconds=120 + people / 2))


async def _text(trip: Serving, profiles: Sequence[UUID]) -> float:
    """Have people texted; return when the last of them was."""
    for profile in profiles:
        await asyncio.to_thread(trip.world.request, profile, "texted")
    await trip.relay.deliver_all()
    await assert_eventually(lambda: _assert(len(trip.sms.sent) >= len(profiles)))
    return monotonic()


def _assert(holds: bool) -> None:
    assert holds


def _count(
    database: Database, provider: Provider, people: int, rate: int, texts: int, limited_at: float, texted_at: float
) -> Outage:
    with database.read() as connection:

        def number(query: sa.Select[Any]) -> int:
            return connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0

        uncertain = number(sa.select(sent_messages.c.id).where(sent_messages.c.state.in_(("uncertain", "claimed"))))
        unended = number(sa.select(runs.c.id).where(runs.c.state != "completed"))
        failures = sent_messages.c.step == "text", sent_messages.c.journey_key == "mailed"
        took_failure_path = number(sa.select(sent_messages.c.id).where(*failures))
    calls = sorted(each.called_at - limited_at for each in provider.taken)
    copies = Counter(each.message_id for each in provider.taken)
    return Outage(
        people=people,
        accepted=len(copies),
        doubled=sum(1 for taken in copies.values() if taken > 1),
        refused=len(provider.refusals),
        took_failure_path=took_failure_path,
        uncertain=uncertain,
        unended=unended,
        tries=sum(provider.tries.values()),
        drained_in=timedelta(seconds=calls[-1]),
        ahead=max(number - rate * at for number, at in enumerate(calls, 1)),
        texts=texts,
        texted_in=timedelta(seconds=texted_at - limited_at),
        overtaken=sum(1 for each in provider.taken if each.accepted_at > texted_at),
    )
