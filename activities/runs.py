"""What a run's workflow has done: advance the run, send its message."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar, assert_never
from uuid import uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.discretion import discreet
from activities.threads import Threads
from wend import wire
from wend.channels.factory import Channels
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused, Unknown
from wend.runs.advancing import Advancer
from wend.runs.decide import Answer
from wend.runs.instructing import instruct
from wend.runs.ledger import Ledger, TryAgain
from wend.runs.queues import Channel, SendQueues
from wend.telemetry import SendState, Telemetry

PROVIDER_TIMEOUT = timedelta(seconds=15)
"""How long a provider may take."""

LATEST_CALL = timedelta(seconds=10)
"""How old a claim may be for its provider still to be called: the call must end within the attempt's own timeout."""


LAST_WRITE = timedelta(seconds=27)
"""Until when an attempt insists on writing its outcome; the workflow gives it 30 s."""

P = ParamSpec("P")
T = TypeVar("T")


class RunActivities:
    """Activities of JourneyRun.

    Args:
        advancer: Answers wakes.
        ledger: Claims and settles sends.
        channels: Providers.
        threads: Where database work runs.
        queues: Where sends wait.
        provider_timeout: How long a provider may take.
        telemetry: Is told what became of sends.
    """

    def __init__(
        self,
        advancer: Advancer,
        ledger: Ledger,
        channels: Channels,
        threads: Threads,
        queues: SendQueues,
        provider_timeout: timedelta = PROVIDER_TIMEOUT,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._advancer = advancer
        self._ledger = ledger
        self._channels = channels
        self._threads = threads
        self._queues = queues
        self._provider_timeout = provider_timeout
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
        with discreet():
            return await self._send(send)

    async def _send(self, send: wire.SendInput) -> wire.Instruction:
        began = time.monotonic()
        now = activity.info().started_time
        self._telemetry.heard_temporal(now)
        if elsewhere := await self._elsewhere(send):
            return elsewhere
        attempt = uuid4()
        claim = await self._insist(began, self._ledger.claim, send.run_id, send.sequence, attempt, now)
        if isinstance(claim, Answer):
            return instruct(claim, self._queues)
        if time.monotonic() - began > LATEST_CALL.total_seconds():
            await self._insist(began, self._ledger.release, claim, "claimed_too_late", now)
            raise ApplicationError("The claim took too long for the provider to be called in time.", type="TooLate")
        called = time.monotonic()
        outcome = await self._channels.send(claim.message, self._provider_timeout)
        answered = time.monotonic()
        settled_at = now + timedelta(seconds=answered - began)
        settled = await self._insist(began, self._ledger.settle, claim, outcome, settled_at)
        channel: Channel = "email" if isinstance(claim.message, OutgoingEmail) else "sms"
        self._telemetry.sent(channel, _became(outcome, settled), answered - called)
        if isinstance(settled, TryAgain):
            raise ApplicationError(
                f"The message was not accepted ({settled.reason}); it is tried again.",
                type="NotAccepted",
                category=ApplicationErrorCategory.BENIGN,  # told in the UI and the ledger; no stack trace in the log
                next_retry_delay=settled.after,
            )
        return instruct(settled, self._queues)

    async def _elsewhere(self, send: wire.SendInput) -> wire.Instruction | None:
        """Return the answer that puts a send of a limited channel into that channel's queue, if it came by another one.

        It was scheduled before the channel had a rate, or by somebody who knew of none.
        """
        if not self._queues.rates or not send.follows or activity.info().task_queue != self._queues.task_queue:
            return None
        answer = await self._threads.run(self._ledger.asked, send.run_id, send.sequence)
        instruction = instruct(answer, self._queues) if answer else None
        return instruction if instruction and instruction.queue else None

    async def _insist(self, began: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a transaction returns, trying again while the attempt lasts.

        An outcome that is not written down would make the send uncertain, and so would a claim whose commit got lost.

        Raises:
            Unavailable: The database did not come back in time.
        """
        return await self._threads.insist(began + LAST_WRITE.total_seconds(), call, *args, **kwargs)


def _became(outcome: Outcome, settled: Answer | TryAgain) -> SendState:
    """Return the state that the ledger has given a send that was answered so."""
    if isinstance(settled, TryAgain):
        return "released"
    match outcome:
        case Accepted():
            return "accepted"
        case Refused() | NotAccepted():
            return "refused"
        case Unknown():
            return "uncertain"
        case _:
            assert_never(outcome)
