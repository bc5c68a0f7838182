"""What a run's workflow has done: advance the run, send its message."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar
from uuid import uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.discretion import discreet
from activities.threads import Threads
from wend import wire
from wend.channels.factory import Channels
from wend.channels.port import Outcome, OutgoingEmail
from wend.errors import Unavailable
from wend.runs.advancing import Advancer
from wend.runs.decide import Answer
from wend.runs.instructing import instruct
from wend.runs.ledger import Claim, Ledger, TryAgain

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
        provider_timeout: How long a provider may take.
    """

    def __init__(
        self,
        advancer: Advancer,
        ledger: Ledger,
        channels: Channels,
        threads: Threads,
        provider_timeout: timedelta = PROVIDER_TIMEOUT,
    ) -> None:
        self._advancer = advancer
        self._ledger = ledger
        self._channels = channels
        self._threads = threads
        self._provider_timeout = provider_timeout

    @activity.defn(name=wire.ADVANCE_RUN, no_thread_cancel_exception=True)
    def advance_run(self, wake: wire.AdvanceInput) -> wire.Instruction:
        """Decide where a run goes now. A local activity; its database work is in the worker's threads.

        A cancellation is not thrown into the thread: it could strike between taking a lock and giving it back.
        """
        with discreet():
            return instruct(self._advancer.advance(wake.run_id, wake.sequence, wake.now))

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
        attempt = uuid4()
        claim = await self._insist(began, self._ledger.claim, send.run_id, send.sequence, attempt, now)
        if isinstance(claim, Answer):
            return instruct(claim)
        if time.monotonic() - began > LATEST_CALL.total_seconds():
            await self._insist(began, self._ledger.release, claim, "claimed_too_late", now)
            raise ApplicationError("The claim took too long for the provider to be called in time.", type="TooLate")
        outcome = await self._call(claim)
        settled_at = now + timedelta(seconds=time.monotonic() - began)
        settled = await self._insist(began, self._ledger.settle, claim, outcome, settled_at)
        if isinstance(settled, TryAgain):
            raise ApplicationError(
                f"The message was not accepted ({settled.reason}); it is tried again.",
                type="NotAccepted",
                category=ApplicationErrorCategory.BENIGN,  # told in the UI and the ledger; no stack trace in the log
                next_retry_delay=settled.after,
            )
        return instruct(settled)

    async def _insist(self, began: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a transaction returns, trying again while the attempt lasts.

        An outcome that is not written down would make the send uncertain, and so would a claim whose commit got lost.

        Raises:
            Unavailable: The database did not come back in time.
        """
        pause = 0.2
        while True:
            try:
                return await self._threads.run(call, *args, **kwargs)
            except Unavailable:
                if time.monotonic() - began + pause > LAST_WRITE.total_seconds():
                    raise
                await asyncio.sleep(pause)
                pause *= 2

    async def _call(self, claim: Claim) -> Outcome:
        if isinstance(claim.message, OutgoingEmail):
            return await self._channels.email.send(claim.message, timeout=self._provider_timeout)
        return await self._channels.sms.send(claim.message, timeout=self._provider_timeout)
