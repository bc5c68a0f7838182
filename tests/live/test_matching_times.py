"""What Temporal says that a journey's schedule will do, around changes of the clocks, is what the kernel says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client

from tests.support.world import DAY, T0, World
from wend.journeys.occurrences import occurrences
from wend.journeys.schedule import Schedule
from wend.scheduling import ensure_schedule, remove_schedule
from wend.storage.database import Database
from wend.temporal import schedule_id

ONE_DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def journey(temporal_client: Client) -> AsyncIterator[str]:
    """The key of a journey whose schedule goes away after the test: all share one server."""
    key = f"trip-{uuid4().hex[:12]}"
    yield key
    await remove_schedule(temporal_client, key)


async def matching_times(client: Client, journey: str, since: datetime, until: datetime) -> list[datetime]:
    """Return when Temporal says that a journey's schedule will fire."""
    begin, end = Timestamp(), Timestamp()
    begin.FromDatetime(since)
    end.FromDatetime(until)
    said = await client.workflow_service.list_schedule_matching_times(
        ListScheduleMatchingTimesRequest(
            namespace=client.namespace, schedule_id=schedule_id(journey), start_time=begin, end_time=end
        )
    )
    return [each.ToDatetime(UTC) for each in said.start_time]


@pytest.mark.parametrize(
    ("zone_name", "first", "change"),
    [
        pytest.param("America/New_York", "2027-03-12T02:30", "skipped", id="New York, 02:30 is skipped"),
        pytest.param("America/New_York", "2027-11-05T01:30", "repeated", id="New York, 01:30 comes twice"),
        pytest.param("Europe/Berlin", "2027-10-29T02:30", "repeated", id="Berlin, 02:30 comes twice"),
        pytest.param("Europe/London", "2027-03-26T01:00", "skipped", id="London, 01:00 is skipped"),
        pytest.param("Australia/Lord_Howe", "2027-10-01T02:00", "skipped", id="Lord Howe, half an hour is skipped"),
        pytest.param("Australia/Lord_Howe", "2027-04-02T01:30", "repeated", id="Lord Howe, half an hour comes twice"),
        pytest.param("Pacific/Chatham", "2027-09-24T03:00", "skipped", id="Chatham, from a quarter to a quarter"),
        pytest.param("America/Santiago", "2027-04-01T23:30", "repeated", id="Santiago, a day's last hour comes twice"),
        pytest.param("Asia/Beirut", "2027-03-26T00:00", "skipped", id="Beirut, a day begins at one o'clock"),
        pytest.param("Africa/Cairo", "2027-10-26T23:00", "repeated", id="Cairo, a day's last hour comes twice"),
        pytest.param("America/Nuuk", "2027-03-25T23:30", "skipped", id="Nuuk, a day ends at eleven"),
        pytest.param("Antarctica/Troll", "2027-10-29T01:30", "repeated", id="Troll, two hours come twice"),
    ],
)
async def test_temporal_fires_at_the_instants_of_the_kernel_around_a_change(
    sqlite_database: Database, temporal_client: Client, journey: str, zone_name: str, first: str, change: str
) -> None:
    world, now = World(sqlite_database), datetime.fromisoformat(first).replace(tzinfo=UTC) - 2 * ONE_DAY
    schedule = {"start": {"at": first}, "every": "day", "times": 5}
    world.listed("everybody")
    world.journey(
        DAY,
        key=journey,
        time_zone=zone_name,
        entry={"segment": "everybody", "frequency": "repeating", "schedule": schedule},
    )
    expected = [*occurrences(Schedule.model_validate(schedule), ZoneInfo(zone_name), T0)]
    assert [each.clock_change for each in expected] == [None, None, change, None, None]

    await ensure_schedule(temporal_client, journey, world.timetable.ahead(journey, now))

    fires_at = await matching_times(temporal_client, journey, now, now + 30 * ONE_DAY)
    assert fires_at == [each.at for each in expected]
