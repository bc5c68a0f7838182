"""Workers to be killed: processes of their own, over a database and a server that they are told of.

``python -m tests.support.entering DATABASE_URL TEMPORAL_ADDRESS TASK_QUEUE``: for each line that it reads it starts
one, a copy of itself that has nothing left to import, and writes its process id. A worker works until it is killed,
and takes over what another one left behind within a few seconds, so that tests need not wait.
"""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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

BATCH = 15
"""Claimed at once, and marked as started: few, so that a kill comes between two, or in one."""


async def work(url: str, address: str, task_queue: str) -> None:
    """Work until cancelled."""
    wend.runs.starting.CLAIM_LASTS = TAKEN_OVER_AFTER
    wend.runs.starting.Starter.claim.__defaults__ = (BATCH,)
    workflows.policies.FANOUT_HEARTBEAT = TAKEN_OVER_AFTER
    workflows.policies.FANOUT_RETRY = replace(workflows.policies.FANOUT_RETRY, backoff_coefficient=1)
    channels = Channels(MemoryEmailChannel(), MemorySmsChannel())
    with ThreadPoolExecutor(16) as executor:
        core = Core.build(Database(url), await connect(address), executor, task_queue)
        await build_worker(core, channels, KEYS, "https://wend.example").run()


def main(*arguments: str) -> None:
    """Start workers until nobody asks for any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that were killed
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(*arguments))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
