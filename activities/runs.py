"""What a run's workflow has done: advance the run, send its message."""

import time
from functools import partial

from temporalio import activity

from activities.attempts import Attempts
from activities.discretion import discreet
from activities.threads import Threads
from wend import wire
from wend.runs.advancing import Advancer
from wend.runs.instructing import instruct
from wend.runs.ledger import Ledger
from wend.runs.queues import SendQueues
from wend.telemetry import Telemetry


class RunActivities:
    """Activities of JourneyRun.

    Args:
        advancer: Answers wakes.
        ledger: Claims and settles sends.
        attempts: Makes them.
        threads: Where database work runs.
        queues: Where sends wait.
        telemetry: Hears Temporal's clock.
    """

    def __init__(
        self,
        advancer: Advancer,
        ledger: Ledger,
        attempts: Attempts,
        threads: Threads,
        queues: SendQueues,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._advancer = advancer
        self._ledger = ledger
        self._attempts = attempts
        self._threads = threads
        self._queues = queues
        self._telemetry = telemetry or Telemetry()

    @activity.defn(name=wire.ADVANCE_RUN)
    async def advance_run(self, wake: wire.AdvanceInput) -> wire.Instruction:
        """Decide where a run goes now. A local activity; its database work is in the worker's threads.

        A cancellation does not reach the thread: it could strike between taking a lock and giving it back.
        """
        self._telemetry.heard_temporal(wake.now)
        with discreet():
            answer = await self._threads.run(self._advancer.advance, wake.run_id, wake.sequence, wake.now)
            return instruct(answer, self._queues)

    @activity.defn(name=wire.SEND_MESSAGE)
    async def send_message(self, send: wire.SendInput) -> wire.Instruction:
        """Send a run's message once, and answer with what comes next.

        Raises:
            ApplicationError: The provider surely did not take it; Temporal tries again after the pause that is named.
        """
        began = time.monotonic()
        self._telemetry.heard_temporal(activity.info().started_time)
        with discreet():
            if elsewhere := await self._elsewhere(send):
                return elsewhere
            claim = partial(self._ledger.claim, send.run_id, send.sequence)
            return instruct(await self._attempts.make(claim, self._ledger, began), self._queues)

    async def _elsewhere(self, send: wire.SendInput) -> wire.Instruction | None:
        """Return the answer that puts a send of a limited channel into that channel's queue, if it came by another one.

        It was scheduled before the channel had a rate, or by somebody who knew of none.
        """
        if not self._queues.rates or not send.follows or activity.info().task_queue != self._queues.task_queue:
            return None
        answer = await self._threads.run(self._ledger.asked, send.run_id, send.sequence)
        instruction = instruct(answer, self._queues) if answer else None
        return instruction if instruction and instruction.queue else None
