"""What a run costs Temporal: its history beside that of the hand-written floor, on one real server."""

import asyncio
from datetime import timedelta

from bench.reference import measure_floor, measure_wend
from tools.rig import installed


async def test_the_reference_run_stays_near_the_floor() -> None:
    """Both take the click path, and both are parked twice: for the click, and for launch day."""
    async with installed() as rig:
        pause = timedelta(milliseconds=100)
        floor, wend = await asyncio.gather(
            measure_floor(rig.database, rig.client, "floor", 1, pause, patient=True),
            measure_wend(rig, "wend", 1, pause),
        )
    assert floor.events == 28
    assert wend.events <= 1.25 * floor.events, f"{wend.events} events, and the floor has {floor.events}"
