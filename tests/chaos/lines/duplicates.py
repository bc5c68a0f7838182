"""The same thing is asked for many times: an occurrence, a start through the API, a fan-out."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx2
import sqlalchemy as sa
from temporalio.client import Client, ScheduleOverlapPolicy

from tests.chaos.evidence import count_workflows, existing, read_entered, unfinished, workflows
from tests.chaos.ring import Line, Ring
from tests.chaos.talking import PAST
from wend.storage.tables import runs
from wend.temporal import TASK_QUEUE, schedule_id
from wend.wire import SEGMENT_ENTRY, EntryInput

A_YEAR = ({"id": "year", "type": "wait", "for": "P365D"},)
AT_ONCE = 50
FIRINGS = 10
PATIENCE = timedelta(seconds=150)


def run(ring: Ring) -> None:
    """Ask for everything many times at once, and compare."""
    members = ring.pick(20, 2000)
    segment = ring.key("members")
    people = set(ring.site.people(segment, members, **{segment: True}))
    ring.site.segment(segment, {"attribute": segment, "op": "exists"})
    _occurrence_fired_twice(ring, segment, people)
    ring.say("fired")
    _fan_outs_at_once(ring, segment, people)
    ring.say("fanned out")
    _starts_with_one_key(ring, ring.pick(2, 20))


def _occurrence_fired_twice(ring: Ring, segment: str, people: set[str]) -> None:
    key = ring.key("fired")
    ring.site.take_in(key, segment, A_YEAR)

    async def trigger(client: Client) -> None:
        handle = client.get_schedule_handle(schedule_id(key))
        for _ in range(2):
            await handle.trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)

    ring.until(lambda: read_entered(ring.site, key).entries, PATIENCE)  # by then the schedule is there
    ring.site.temporal(trigger)
    ring.site.faults.write("fire again")
    _one_each(ring, "the same occurrence fired three times", key, people)


def _fan_outs_at_once(ring: Ring, segment: str, people: set[str]) -> None:
    key = ring.key("fanned")
    ring.site.take_in(key, segment, A_YEAR)

    async def start(client: Client) -> None:
        async def one(number: int) -> None:
            named = EntryInput(key, PAST, datetime.fromisoformat(PAST).replace(tzinfo=UTC))
            await client.start_workflow(SEGMENT_ENTRY, named, id=f"again/{key}/{number}", task_queue=TASK_QUEUE)

        await asyncio.gather(*map(one, range(FIRINGS)))

    ring.site.temporal(start)
    ring.site.faults.write("fan out again", times=FIRINGS)
    _one_each(ring, "ten fan-outs of the same entry at once", key, people)


def _one_each(ring: Ring, what: str, key: str, people: set[str]) -> None:
    patience = ring.pick(PATIENCE, timedelta(minutes=10))
    done = ring.until(lambda: not unfinished(ring.site, [key]) and not _open_entries(ring, key), patience, every=0.2)
    entered = read_entered(ring.site, key)
    found = _listed(ring, key, entered.expected)
    held = done and entered.runs == Counter(people) and found == Counter(entered.expected)
    entries = f"{len(entered.entries)} entry" + ("" if done else ", still at it")
    said = f"{entries}, {entered.runs.total()} runs and {found.total()} workflows of {len(people)}"
    ring.check(f"{what}: one run each", held, said)
    ring.count(what, found.total())


def _listed(ring: Ring, key: str, expected: Collection[str]) -> Counter[str]:
    """Return how many executions each workflow id of a journey's runs has, when all that there are can be listed."""
    there = existing(ring.site, expected) if ring.quick else expected
    # Temporal's visibility follows its workflows, by a moment or by minutes.
    follows = ring.pick(timedelta(minutes=2), timedelta(minutes=10))
    ring.until(lambda: count_workflows(ring.site, [key]) >= len(there), follows, every=0.2)
    return workflows(ring.site, key)


def _open_entries(ring: Ring, key: str) -> int:
    """Return how many segment entries of a journey have not ended."""

    async def count(client: Client) -> int:
        again = f"WorkflowType = 'SegmentEntry' AND WorkflowId STARTS_WITH 'again/{key}/'"
        return (await client.count_workflows(f"{again} AND ExecutionStatus = 'Running'")).count

    return ring.site.temporal(count)


def _starts_with_one_key(ring: Ring, rounds: int) -> None:
    """Fifty callers each time; the API dies under some of them, who ask again with the same key."""
    key = ring.key("started")
    ring.site.publish(key, A_YEAR, reentry={"still_inside": "overlap"})
    people = ring.site.people(key, rounds)
    answered: Counter[str] = Counter()
    for number, person in enumerate(people):
        answered[person] = len(_ask_for_one(ring, key, person, dies=number % 2 == 1))
    started = ring.until(
        lambda: _with_workflow(ring, key) >= len(people), ring.pick(ring.patience, timedelta(minutes=1))
    )
    with ring.site.read() as connection:
        theirs = Counter(map(str, connection.scalars(sa.select(runs.c.profile_id).where(runs.c.journey_key == key))))
    ring.count("callers", AT_ONCE * len(people))
    said = f"{theirs.total()} runs of {len(people)} people; different answers: {max(answered.values())}"
    held = theirs == Counter(people) and set(answered.values()) == {1}
    ring.check("fifty parallel starts with one idempotency key: one run, one answer", held, said)
    found = _listed(ring, key, read_entered(ring.site, key).expected)
    said = f"{found.total()} workflows, {_with_workflow(ring, key)} runs marked as started, of {len(people)}"
    held = started and set(found.values()) == {1} and len(found) == len(people)
    ring.check("each start through the API has its one workflow", held, said)


def _ask_for_one(ring: Ring, key: str, person: str, *, dies: bool) -> set[str]:
    """Return what fifty callers are answered."""
    chosen = str(UUID(int=ring.random.getrandbits(128), version=4))
    with ThreadPoolExecutor(AT_ONCE) as executor:
        asked = [executor.submit(_start, ring, key, person, chosen) for _ in range(AT_ONCE)]
        if dies:
            ring.until(lambda: sum(each.done() for each in asked) > 5, PATIENCE, every=0.001)
            ring.site.kill("api")
            ring.site.start_again("api")
        return {each.result() for each in asked}


def _start(ring: Ring, key: str, person: str, chosen: str) -> str:
    """Ask until there is an answer; return the run's id."""
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return ring.site.enter(key, person, chosen)
        except (httpx2.TransportError, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _with_workflow(ring: Ring, key: str) -> int:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.started_at.is_not(None))
    with ring.site.read() as connection:
        return connection.scalar(query) or 0


LINE = Line("duplicates", "The same occurrence, start or fan-out is asked for many times at once", run, busy=True)
