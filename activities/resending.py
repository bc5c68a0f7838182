"""What a resend's workflow has done: send the message once more."""

import time
from functools import partial

from temporalio import activity

from activities.attempts import Attempts
from activities.discretion import discreet
from wend import wire
from wend.runs.queues import SendQueues
from wend.sends.resending import Asked, Resender


class ResendActivities:
    """Activities of MessageResend.

    Args:
        resender: Claims and settles resends.
        attempts: Makes them.
        queues: Where sends wait.
    """

    def __init__(self, resender: Resender, attempts: Attempts, queues: SendQueues) -> None:
        self._resender = resender
        self._attempts = attempts
        self._queues = queues

    @activity.defn(name=wire.RESEND_MESSAGE)
    async def resend_message(self, resend: wire.ResendInput) -> wire.ResendEnd:
        """Send a message once more, and answer how it stands then.

        Raises:
            ApplicationError: The provider surely did not take it; Temporal tries again after the pause that is named.
        """
        began = time.monotonic()
        queue = self._queues.of(resend.channel)
        if queue is not None and activity.info().task_queue == self._queues.task_queue:
            return wire.ResendEnd("uncertain", queue=queue)
        claim = partial(self._resender.claim, Asked(resend.message_id, resend.asked_at, resend.tries))
        with discreet():
            ended = await self._attempts.make(claim, self._resender, began)
            return wire.ResendEnd(ended.state, ended.reason)
