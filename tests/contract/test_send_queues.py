"""A send that came by the runs' queue, of a channel that has a rate: it is sent by the channel's queue."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
from temporalio.testing import ActivityEnvironment

from activities.attempts import Attempts
from activities.runs import RunActivities
from activities.threads import Threads
from tests.support.world import MAIL, T0, TEXT, World
from wend import wire
from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.runs.queues import Channel, SendQueues
from wend.storage.database import Database


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def attempt(
    world: World, run_id: UUID, rates: dict[Channel, int], *, follows: bool = True, came_by: str = "wend"
) -> tuple[wire.Instruction, int]:
    """Have an attempt made at a run's send; return its answer, and how many messages were sent."""
    email, sms = MemoryEmailChannel(), MemorySmsChannel()
    with ThreadPoolExecutor(1) as executor:
        threads = Threads(executor)
        attempts = Attempts(Channels(email, sms), threads)
        runs = RunActivities(world.advancer, world.ledger, attempts, threads, SendQueues("wend", rates))
        temporal = ActivityEnvironment()
        temporal.info = replace(temporal.info, task_queue=came_by, started_time=T0)
        sequence = world.row(run_id).sequence
        answer = await temporal.run(runs.send_message, wire.SendInput(run_id, sequence, follows=follows))
    return answer, len(email.sent) + len(sms.sent)


async def test_it_is_put_into_the_channels_queue_and_nothing_is_claimed(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    before = world.row(run_id)
    answer, sent = await attempt(world, run_id, {"email": 20})
    assert (answer.kind, answer.sequence, answer.queue) == ("send", before.sequence, "wend-email")
    assert (sent, world.path(run_id).messages, world.row(run_id)) == (0, [], before)


@pytest.mark.parametrize(
    ("rates", "follows", "came_by"),
    [
        pytest.param({}, True, "wend", id="no channel has a rate"),
        pytest.param({"sms": 20}, True, "wend", id="another channel has a rate"),
        pytest.param({"email": 20}, True, "wend-email", id="it came by the channel's queue"),
        pytest.param({}, True, "wend-email", id="the channel has no rate any more"),
        pytest.param({"email": 20}, False, "wend", id="its workflow runs older code, which would put it there again"),
    ],
)
async def test_otherwise_it_is_sent(
    sqlite_database: Database, rates: dict[Channel, int], follows: bool, came_by: str
) -> None:
    world = World(sqlite_database)
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    answer, sent = await attempt(world, run_id, rates, follows=follows, came_by=came_by)
    assert (answer.kind, answer.queue, sent) == ("finish", None, 1)


async def test_what_comes_next_names_its_queue(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    world.journey(MAIL, TEXT)
    run_id = world.enter(world.person("ada"))
    answer, sent = await attempt(world, run_id, {"sms": 5})
    assert (answer.kind, answer.queue, sent) == ("send", "wend-sms", 1)


async def test_a_run_that_has_gone_on_is_told_so(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.stop()
    answer, sent = await attempt(world, run_id, {"email": 20})
    assert (answer.kind, answer.outcome, sent) == ("finish", "stopped", 0)
