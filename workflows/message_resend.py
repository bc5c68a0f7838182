"""MessageResend: one message is sent once more, because an operator asked for it.

The ledger decides whether it may be, and by what; a run that is still there is not moved by it. A workflow of its own
shows it to operators, and has it tried again after a pause where the provider surely did not take it.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from workflows import policies


@workflow.defn(name=wire.MESSAGE_RESEND)
class MessageResend:
    """Sends one message again."""

    @workflow.run
    async def run(self, resend: wire.ResendInput) -> wire.ResendEnd:
        ended = await self._send(resend, None)
        if ended.queue is not None:
            ended = await self._send(resend, ended.queue)
        workflow.set_current_details(f"**{ended.state}**" + (f": {ended.reason}" if ended.reason else ""))
        return ended

    async def _send(self, resend: wire.ResendInput, queue: str | None) -> wire.ResendEnd:
        ended: wire.ResendEnd = await workflow.execute_activity(
            wire.RESEND_MESSAGE,
            resend,
            task_queue=queue,
            result_type=wire.ResendEnd,
            start_to_close_timeout=policies.SEND_TIMEOUT,
            retry_policy=policies.RESEND_RETRY,
            summary=resend.summary,
        )
        return ended
