"""What a resend's workflow has done: send the message once more."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.discretion import discreet
from activities.runs import LAST_WRITE, LATEST_CALL, PROVIDER_TIMEOUT
from activities.threads import Threads
from wend import wire
from wend.channels.factory import Channels
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused, Unknown
from wend.runs.ledger import TryAgain
from wend.runs.queues import Channel, SendQueues
from wend.sends.resending import Asked, Resender, Resent
from wend.telemetry import SendState, Telemetry

_BECAME: Final[Mapping[type[Outcome], SendState]] = {
    Accepted: "accepted",
    Refused: "refused",
    NotAccepted: "refused",
    Unknown: "uncertain",
}


class ResendActivities:
    """Activities of MessageResend.

    Args:
        resender: Claims and settles resends.
        channels: Providers.
        threads: Where database work runs.
        queues: Where sends wait.
        provider_timeout: How long a provider may take.
        telemetry: Is told what became of tries.
    """

    def __init__(
        self,
        resender: Resender,
        channels: Channels,
        threads: Threads,
        queues: SendQueues,
        provider_timeout: timedelta = PROVIDER_TIMEOUT,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._resender = resender
        self._channels = channels
        self._threads = threads
        self._queues = queues
        self._provider_timeout = provider_timeout
        self._telemetry = telemetry or Telemetry()

    @activity.defn(name=wire.RESEND_MESSAGE)
    async def resend_message(self, resend: wire.ResendInput) -> wire.ResendEnd:
        """Send a message once more, and answer how it stands then.

        Raises:
            ApplicationError: The provider surely did not take it; Temporal tries again after the pause that is named.
        """
        queue = self._queues.of(resend.channel)
        if queue is not None and activity.info().task_queue == self._queues.task_queue:
            return wire.ResendEnd("uncertain", queue=queue)
        with discreet():
            ended = await self._send(Asked(resend.message_id, resend.asked_at, resend.tries))
            return wire.ResendEnd(ended.state, ended.reason)

    async def _send(self, asked: Asked) -> Resent:
        began = time.monotonic()
        now = activity.info().started_time
        until = began + LAST_WRITE.total_seconds()
        claim = await self._threads.insist(until, self._resender.claim, asked, uuid4(), now)
        if isinstance(claim, Resent):
            return claim
        if time.monotonic() - began > LATEST_CALL.total_seconds():
            await self._threads.insist(until, self._resender.release, claim, "claimed_too_late", now)
            raise ApplicationError("The claim took too long for the provider to be called in time.", type="TooLate")
        called = time.monotonic()
        outcome = await self._channels.send(claim.message, self._provider_timeout)
        answered = time.monotonic()
        settled_at = now + timedelta(seconds=answered - began)
        ended = await self._threads.insist(until, self._resender.settle, claim, outcome, settled_at)
        channel: Channel = "email" if isinstance(claim.message, OutgoingEmail) else "sms"
        became = "released" if isinstance(ended, TryAgain) else _BECAME[type(outcome)]
        self._telemetry.sent(channel, became, answered - called)
        if isinstance(ended, TryAgain):
            raise ApplicationError(
                f"The message was not accepted ({ended.reason}); it is tried again.",
                type="NotAccepted",
                category=ApplicationErrorCategory.BENIGN,  # told in the UI and the ledger; no stack trace in the log
                next_retry_delay=ended.after,
            )
        return ended
