"""Temporal's state is deleted: the database alone remembers who entered, and nobody enters or is mailed twice."""

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio.client import ScheduleOverlapPolicy

from tests.support.world import MAIL, Serving, serving
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.storage.database import Database
from wend.storage.tables import entries, exclusions, runs
from wend.temporal import connect, schedule_id

ENTRY = {
    "segment": "club",
    "frequency": "once_and_joiners",
    "refresh": "P1D",
    "schedule": {"start": {"after_publish": "PT0S"}},
}


async def entered(trip: Serving, count: int) -> None:
    """Have what was published arrive at Temporal, and its entries done."""
    await trip.relay.deliver_all()

    def done() -> bool:
        return [row.state for row in trip.world.rows(entries)] == ["done"] * count

    await trip.until(done)


async def test_once_ever_outlives_temporal(sqlite_database: Database, tmp_path: Path) -> None:
    state, queue = tmp_path / "temporal", f"lost-{uuid4()}"

    def server() -> DevServer:
        return DevServer(port=0, ui_port=None, database=state / "temporal.db", dynamic_config=PROMPT_TIMERS)

    with server() as first:
        async with serving(sqlite_database, await connect(first.address), queue) as trip, trip.working():
            people = trip.world.people(["ada", "ben", "cleo"])
            trip.world.listed("club", people)
            trip.world.journey(MAIL, entry=ENTRY)
            await entered(trip, 1)
            await trip.until(lambda: all(row.state == "completed" for row in trip.world.rows(runs)))
            assert len(trip.email.sent) == 3
    shutil.rmtree(state)

    with server() as second:
        client = await connect(second.address)
        assert [each async for each in client.list_workflows()] == []
        async with serving(sqlite_database, client, queue) as trip, trip.working():
            trip.world.unlist("club", people)
            now = trip.world.time()
            assert trip.world.desk.look_for_joiners("trip", now, now) is None
            trip.world.listed("club", [*people, *trip.world.people(["dora"])])
            trip.world.journey(MAIL, entry=ENTRY | {"refresh": "PT12H"})
            await trip.relay.deliver_all()
            await client.get_schedule_handle(schedule_id("trip")).trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)
            await entered(trip, 2)
            await trip.until(lambda: all(row.state == "completed" for row in trip.world.rows(runs)))

            (again,) = trip.world.rows(entries, entries.c.kind == "joiners")
            left_out = trip.world.rows(exclusions, exclusions.c.entry_id == again.id)
            assert {row.profile_id: row.reason for row in left_out} == dict.fromkeys(people, "already_entered")
            assert again.members == 4
            assert len(trip.world.rows(runs)) == 4
            assert [message.to for message in trip.email.sent] == ["dora@example.com"]
            assert again.opened_at - now < timedelta(minutes=5)
