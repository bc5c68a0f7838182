"""Messages that are sent again, on a real server: through their own workflow, which may die anywhere."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from temporalio.client import Client, WorkflowHandle

from tests.support.world import DAY, MAIL, Serving, host_clock, serving
from wend import wire
from wend.channels.port import NotAccepted, Unknown
from wend.journeys.state import message_id
from wend.runs.queues import SendQueues
from wend.sends.operating import ask_resend
from wend.sends.reading import SentMessage, read_sent
from wend.storage.database import Database
from wend.temporal import JOURNEY, PROFILE


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    async with serving(sqlite_database, temporal_client, f"resend-{uuid4()}") as served:
        yield served


async def resend(trip: Serving, id: UUID) -> WorkflowHandle[Any, wire.ResendEnd]:
    """Ask for a message to be sent again; return the workflow that does it."""
    with trip.world.database.write() as connection:
        asked_at = ask_resend(connection, id, host_clock())
    await trip.relay.deliver_all()
    return trip.client.get_workflow_handle(f"resend/{id}/{asked_at.isoformat()}", result_type=wire.ResendEnd)


def sent(trip: Serving, id: UUID) -> SentMessage:
    with trip.world.database.read() as connection:
        return read_sent(connection, id).sent


async def test_a_resend_goes_through_the_ledger_whatever_happens_to_its_attempts(trip: Serving) -> None:
    """Its first worker dies with the provider's answer; the next asking meets a provider that is busy at first."""
    trip.world.journey(MAIL, DAY)
    ada = trip.world.person("ada")
    # The channel has a rate, which the relay need not know of: the resend is put into the channel's queue.
    limited = replace(trip.core, queues=SendQueues(trip.core.task_queue, {"email": 100}))
    async with trip.working(core=limited):
        trip.email.script(Unknown("timed_out"))
        run_id = await trip.start(ada)
        id = message_id(run_id, "mail", 1)
        await trip.until(lambda: trip.world.row(run_id).step == "day")
        before = trip.world.row(run_id)

        trip.email.script(ConnectionResetError("the worker dies here"))
        first = await resend(trip, id)
        assert await first.result() == wire.ResendEnd("uncertain", "attempt_lost")
        assert (sent(trip, id).tries, len(trip.email.sent)) == (2, 0)

        trip.email.script(NotAccepted("rate_limited", retry_after=timedelta(milliseconds=50)))
        second = await resend(trip, id)
        await trip.relay.deliver_all()
        assert await second.result() == wire.ResendEnd("accepted", "resent")

        assert [each.message_id for each in trip.email.sent] == [id]
        assert (sent(trip, id).state, sent(trip, id).tries, sent(trip, id).resend_asked_at) == ("accepted", 4, None)
        assert trip.world.row(run_id) == before

    described = await second.describe()
    assert await described.static_summary() == "email hello, once more"
    assert described.typed_search_attributes[JOURNEY] == "trip"
    assert described.typed_search_attributes[PROFILE] == str(ada)
    history = await second.fetch_history()
    queues = [
        event.activity_task_scheduled_event_attributes.task_queue.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert queues == [trip.core.task_queue, f"{trip.core.task_queue}-email"]
    assert "example.com" not in history.to_json()


async def test_a_parcel_that_is_told_twice_sends_once(trip: Serving) -> None:
    trip.world.journey(MAIL, DAY)
    async with trip.working():
        trip.email.script(Unknown("timed_out"))
        run_id = await trip.start(trip.world.person("ada"))
        id = message_id(run_id, "mail", 1)
        await trip.until(lambda: trip.world.row(run_id).step == "day")
        handle = await resend(trip, id)
        await handle.result()
        again = wire.ResendInput(id, host_clock(), 1, "email", "told again")
        repeated = trip.client.execute_workflow(
            wire.MESSAGE_RESEND,
            again,
            id=f"{handle.id}/again",
            task_queue=trip.core.task_queue,
            result_type=wire.ResendEnd,
        )
        assert await asyncio.wait_for(repeated, 120) == wire.ResendEnd("accepted", "not_asked_any_more")
        assert len(trip.email.sent) == 1
