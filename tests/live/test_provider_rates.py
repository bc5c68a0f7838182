"""Channels with a rate have a task queue of their own, and no send is stranded when a rate comes or goes."""

import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.support.eventually import assert_eventually
from tests.support.relaying import at_once, enter
from tests.support.world import MAIL, TEXT, Serving, serving
from wend.channels.port import NotAccepted
from wend.devserver import DevServer, find_executable
from wend.runs.queues import Channel
from wend.storage.database import Database
from wend.storage.tables import runs
from worker import Core

LIMITED: dict[Channel, int] = {"email": 50}
AN_HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    """A world on a real server, where e-mail may have a rate."""
    async with serving(sqlite_database, temporal_client, f"rates-{uuid4()}") as trip:
        trip.world.journey(MAIL, TEXT)
        yield trip


def limited(trip: Serving) -> Core:
    core = trip.core
    return Core.build(core.database, core.client, core.executor, core.task_queue, send_rates=LIMITED)


async def queues(trip: Serving, run_id: UUID) -> list[str]:
    """Return the queues that the run's sends were put into, in their order, without what they have in common."""
    history = await trip.handle(run_id).fetch_history()
    put = [event.activity_task_scheduled_event_attributes for event in history.events]
    return [
        each.task_queue.name.removeprefix(trip.core.task_queue)
        for each in put
        if each.activity_type.name == "send_message"
    ]


def configure(server: DevServer, queue: str, rate: str) -> None:
    """Set a queue's rate as operators do."""
    words = ["task-queue", "config", "set", "--task-queue", queue, "--task-queue-type", "activity"]
    where = ["--address", server.address, "--namespace", server.namespace]
    subprocess.run([find_executable(), *words, "--queue-rps-limit", rate, *where], check=True, capture_output=True)


async def test_only_a_limited_channel_has_a_queue_of_its_own(trip: Serving) -> None:
    ada = trip.world.person("ada")
    async with trip.working(core=limited(trip)):
        run_id = await trip.start(ada)
        await trip.ended(run_id)
    assert await queues(trip, run_id) == ["-email", ""]
    described = await trip.handle(run_id).describe()
    assert described.raw_description.workflow_execution_info.priority.fairness_key == "trip"


async def test_a_first_message_that_travels_with_the_start_goes_by_the_queue_too(trip: Serving) -> None:
    trip.world.listed("everybody", [trip.world.person("ada")])
    trip.world.journey(MAIL, key="all", entry=at_once("everybody"))
    async with trip.working(core=limited(trip)):
        await (await enter(trip, "all")).result()
        (run,) = trip.world.rows(runs)
        await trip.ended(run.id)
    assert await queues(trip, run.id) == ["-email"]


async def test_a_rate_that_is_set_while_sends_wait_for_their_next_try_holds_for_them(
    sqlite_database: Database, time_skipping_env: WorkflowEnvironment
) -> None:
    async with serving(sqlite_database, time_skipping_env.client, f"rates-{uuid4()}") as trip:
        trip.world.journey(MAIL, TEXT)
        ada = trip.world.person("ada")
        trip.email.script(NotAccepted("provider_unavailable", "HTTP 503", AN_HOUR))
        async with trip.working():
            with time_skipping_env.with_time_skipping_disabled():
                run_id = await trip.start(ada)

            async def waits() -> None:
                sends = (await trip.handle(run_id).describe()).raw_description.pending_activities
                assert [each.attempt for each in sends] == [2]

            await assert_eventually(waits)
        async with trip.working(core=limited(trip)):
            await time_skipping_env.fast_forward(trip.handle(run_id))
            await trip.ended(run_id)
    assert await queues(trip, run_id) == ["", "-email", ""]
    assert len(trip.email.sent) == 1


async def test_a_paused_queue_sends_nothing_and_is_worked_on_once_the_channel_has_no_rate_any_more(
    trip: Serving, temporal_server: DevServer
) -> None:
    queue = f"{trip.core.task_queue}-email"
    ada = trip.world.person("ada")
    async with trip.working(core=limited(trip)):
        configure(temporal_server, queue, "0")
        run_id = await trip.start(ada)
        trip.world.journey(TEXT, key="texted")
        await trip.ended(await trip.start(ada, "texted"))
        assert trip.email.begun == []
    configure(temporal_server, queue, "default")
    async with trip.working():
        await trip.ended(run_id)
    assert await queues(trip, run_id) == ["-email", ""]
    assert len(trip.email.sent) == 1
