"""Parts of one process: the order in which they stop, and that none ends unseen."""

import asyncio

import pytest

from wend.cli.supervising import Part, PartEnded, run_until


class Parts:
    """Makes parts that note when they are asked to stop and when they have stopped."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def make(self, name: str, turn: int, *, ends: asyncio.Event | None = None) -> Part:
        asked = ends or asyncio.Event()

        async def run() -> None:
            await asked.wait()
            await asyncio.sleep(0)  # it finishes what it has begun
            self.heard.append(f"{name} has stopped")

        async def stop() -> None:
            self.heard.append(f"{name} is asked")
            asked.set()

        return Part(name, run, stop, turn)


async def test_parts_stop_turn_by_turn_each_when_those_before_it_have_stopped() -> None:
    parts, stopping = Parts(), asyncio.Event()
    running = asyncio.create_task(
        run_until(stopping, [parts.make("relay", 1), parts.make("worker", 1), parts.make("api", 0)])
    )
    await asyncio.sleep(0)
    stopping.set()
    await running
    assert parts.heard[:2] == ["api is asked", "api has stopped"]
    assert sorted(parts.heard[2:4]) == ["relay is asked", "worker is asked"]
    assert sorted(parts.heard[4:]) == ["relay has stopped", "worker has stopped"]


async def test_where_one_ends_by_itself_the_others_are_stopped_in_their_order() -> None:
    parts, ends = Parts(), asyncio.Event()
    running = asyncio.create_task(
        run_until(
            asyncio.Event(), [parts.make("api", 0), parts.make("worker", 1, ends=ends), parts.make("temporal", 2)]
        )
    )
    await asyncio.sleep(0)
    ends.set()
    with pytest.raises(PartEnded, match="worker ended by itself"):
        await running
    assert parts.heard == [
        "worker has stopped",
        "api is asked",
        "api has stopped",
        "temporal is asked",
        "temporal has stopped",
    ]
