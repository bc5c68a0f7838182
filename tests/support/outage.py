"""A provider that answers nothing but 503 for an hour, then recovers and is slow: real workflows, skipped time.

The hour passes on the workflows' own clocks. What the hour has dammed up is due at one moment and drains at the rate of
the channel's task queue, which the server keeps by the real clock: so the instants of acceptance are the real ones.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from time import monotonic
from typing import Any
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

SLOW = timedelta(milliseconds=250)
"""How long the provider takes for each message once it is back."""

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
        drained_in: From the first acceptance to the last.
        fastest_second: Most acceptances within one second.
        texts: Runs of the other channel, begun while the backlog drained.
        texted_in: From the first acceptance to the last of their messages.
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
    fastest_second: int
    texts: int
    texted_in: timedelta
    overtaken: int


class Provider:
    """Keeps everything that it was given; its clock is that of the workflow whose message it is."""

    def __init__(self, refused: frozenset[str], back_at: datetime) -> None:
        self.channel = MemoryEmailChannel(self._answer)
        self.tries: Counter[UUID] = Counter()
        self.refusals: Counter[UUID] = Counter()
        self.taken: list[tuple[UUID, float]] = []
        self.is_back = False
        self._refused = refused
        self._back_at = back_at

    async def _answer(self, email: OutgoingEmail) -> Outcome:
        self.tries[email.message_id] += 1
        if not self.is_back or activity.info().started_time < self._back_at:
            return NotAccepted("provider_unavailable", "HTTP 503")
        if email.to in self._refused:
            self.refusals[email.message_id] += 1
            return Refused("recipient_refused")
        self.taken.append((email.message_id, monotonic()))
        await asyncio.sleep(SLOW.total_seconds())
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
        async with trip.working(core=_limited(core, rate)):
            waiting = asyncio.gather(*(env.fast_forward(handle) for handle in handles))
            await assert_eventually(lambda: _assert(bool(provider.taken)))
            texted_at = await _text(trip, profiles[:texts])
            await waiting
    return await asyncio.to_thread(_count, database, provider, people, texts, texted_at)


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

    await assert_eventually(check, timeout=timedelta(seconds=20 + people / 2))


async def _text(trip: Serving, profiles: Sequence[UUID]) -> float:
    """Have people texted; return when the last of them was."""
    for profile in profiles:
        await asyncio.to_thread(trip.world.request, profile, "texted")
    await trip.relay.deliver_all()
    await assert_eventually(lambda: _assert(len(trip.sms.sent) >= len(profiles)))
    return monotonic()


def _assert(holds: bool) -> None:
    assert holds


def _count(database: Database, provider: Provider, people: int, texts: int, texted_at: float) -> Outage:
    with database.read() as connection:

        def number(query: sa.Select[Any]) -> int:
            return connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0

        uncertain = number(sa.select(sent_messages.c.id).where(sent_messages.c.state.in_(("uncertain", "claimed"))))
        unended = number(sa.select(runs.c.id).where(runs.c.state != "completed"))
        failures = sent_messages.c.step == "text", sent_messages.c.journey_key == "mailed"
        took_failure_path = number(sa.select(sent_messages.c.id).where(*failures))
    instants = sorted(at for _, at in provider.taken)
    copies = Counter(message for message, _ in provider.taken)
    return Outage(
        people=people,
        accepted=len(copies),
        doubled=sum(1 for taken in copies.values() if taken > 1),
        refused=len(provider.refusals),
        took_failure_path=took_failure_path,
        uncertain=uncertain,
        unended=unended,
        tries=sum(provider.tries.values()),
        drained_in=timedelta(seconds=instants[-1] - instants[0]),
        fastest_second=max(sum(1 for other in instants if at <= other < at + 1) for at in instants),
        texts=texts,
        texted_in=timedelta(seconds=texted_at - instants[0]),
        overtaken=sum(1 for at in instants if at > texted_at),
    )
