"""A worker to be killed: a process of its own, over a database and a server that it is told of.

``python -m tests.support.entering DATABASE_URL TEMPORAL_ADDRESS TASK_QUEUE``: it works until it is stopped, and takes
over what another one left behind within a few seconds, so that tests need not wait.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import wend.runs.starting
import workflows.policies
from tests.support.world import KEYS
from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.storage.database import Database
from wend.temporal import connect
from worker import Core, build_worker

TAKEN_OVER_AFTER = timedelta(seconds=2)


async def work(url: str, address: str, task_queue: str) -> None:
    """Work until cancelled."""
    wend.runs.starting.CLAIM_LASTS = TAKEN_OVER_AFTER
    workflows.policies.FANOUT_HEARTBEAT = TAKEN_OVER_AFTER
    channels = Channels(MemoryEmailChannel(), MemorySmsChannel())
    with ThreadPoolExecutor(16) as executor:
        core = Core.build(Database(url), await connect(address), executor, task_queue)
        await build_worker(core, channels, KEYS, "https://wend.example").run()


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
