"""What a run costs Temporal: its history beside that of the hand-written floor, on one real server."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from temporalio.client import Client

from bench.reference import measure_floor, measure_wend
from tools.rig import Rig, load
from wend.storage.database import Database


async def test_the_reference_run_stays_near_the_floor(sqlite_database: Database, temporal_client: Client) -> None:
    """Both take the click path, and both are parked twice: for the click, and for launch day."""
    load(sqlite_database)
    rig = Rig(sqlite_database, temporal_client, f"floor-{uuid4()}")
    pause = timedelta(milliseconds=100)
    floor, wend = await asyncio.gather(
        measure_floor(rig.database, rig.client, "floor", 1, pause, patient=True),
        measure_wend(rig, f"wend-{uuid4().hex[:12]}", 1, pause),
    )
    assert floor.events == 28
    assert wend.events <= 1.25 * floor.events, f"{wend.events} events, and the floor has {floor.events}"
