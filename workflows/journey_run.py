"""JourneyRun: one person's passage through a journey, for as long as it takes.

A small loop that should hardly ever change: do what the last answer says (send, park or finish), ask again. Answers
are made by the kernel in activities and recorded in the history, so a changed step, condition or time-zone database
never breaks a replay. Signals only ring a bell: the event log says what happened, so a bell that is lost, doubled,
early or late changes nothing but the moment of waking.
"""

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from workflows import policies

MOST_LINES = 200
"""Lines of the path that are shown; the run's row has all of it."""


@workflow.defn(name=wire.JOURNEY_RUN)
class JourneyRun:
    """Drives one run."""

    @workflow.init
    def __init__(self, start: wire.RunInput) -> None:
        # Made here and never reset: signals may be delivered before the first line of ``run``.
        self._rung = 0
        self._run_id = start.run_id
        self._held = start.first
        self._path: tuple[str, ...] = ()

    @workflow.run
    async def run(self, start: wire.RunInput) -> wire.RunEnd:
        self._take(start.first)
        heard = 0
        if start.ask:
            heard = self._rung
            self._take(await self._advance())
        while True:
            held = self._held
            if held.kind == "finish":
                return self._finish(held)
            if held.kind == "send":
                heard = self._rung  # noted before the send is scheduled: its answer may not know of later bells
                self._take(await self._send())
                continue
            await self._park(heard)
            if workflow.info().is_continue_as_new_suggested():
                first = replace(held, path=self._path[-MOST_LINES:])
                workflow.continue_as_new(wire.RunInput(self._run_id, first, start.interpreter, ask=True))
            heard = self._rung
            self._take(await self._advance())

    @workflow.signal(name=wire.RECORD_EVENT)
    def record_event(self, notice: wire.EventNotice) -> None:
        """Take note that something happened."""
        self._rung += 1

    @workflow.signal(name=wire.WAKE)
    def wake(self, notice: wire.WakeNotice) -> None:
        """Take note that the run's row has changed."""
        self._rung += 1

    @workflow.query(name=wire.PROGRESS)
    def progress(self) -> wire.Progress:
        """Return where the run is."""
        return wire.Progress(self._held.sequence, self._held.summary, self._path)

    def _take(self, instruction: wire.Instruction) -> None:
        """Hold a new instruction, and show the way that led to it."""
        self._held = instruction
        self._path = (*self._path, *instruction.path)[-MOST_LINES:]
        self._show(instruction.summary)

    def _show(self, doing: str) -> None:
        lines = "".join(f"- {line}\n" for line in self._path)
        workflow.set_current_details(f"**{doing}**\n\n{lines}")

    async def _send(self) -> wire.Instruction:
        answer: wire.Instruction = await workflow.execute_activity(
            wire.SEND_MESSAGE,
            wire.SendInput(self._run_id, self._held.sequence, follows=True),
            task_queue=self._held.queue,
            result_type=wire.Instruction,
            start_to_close_timeout=policies.SEND_TIMEOUT,
            retry_policy=policies.SEND_RETRY,
            summary=self._held.summary,
        )
        return answer

    async def _park(self, heard: int) -> None:
        """Park until a bell rings that the last answer may not know of, or until the answer's instant.

        Says nothing about which of the two it was: a click and the timer may share a workflow task, and the SDK's
        order between them is going to change. The kernel decides, from the instants stamped where events came in.
        """
        until = self._held.until
        assert until is not None
        left = _timer(until - workflow.now())
        if self._rung == heard and left > timedelta(0):
            try:
                await workflow.wait_condition(
                    lambda: self._rung != heard, timeout=left, timeout_summary=self._held.summary
                )
            except TimeoutError:
                return

    async def _advance(self) -> wire.Instruction:
        """Ask where the run goes now, for as long as it takes to get an answer."""
        pause = policies.FIRST_PAUSE
        while True:
            try:
                answer: wire.Instruction = await workflow.execute_local_activity(
                    wire.ADVANCE_RUN,
                    wire.AdvanceInput(self._run_id, self._held.sequence, workflow.now()),
                    result_type=wire.Instruction,
                    schedule_to_close_timeout=policies.ADVANCE_TIMEOUT,
                    retry_policy=policies.ADVANCE_RETRY,
                    summary="asks where the run goes now",
                )
                return answer
            except FailureError as error:
                # A local activity's failure comes as it is; only an ordinary one's is wrapped.
                cause = error.cause if isinstance(error, ActivityError) else error
                if is_cancelled_exception(error) or getattr(cause, "type", None) in policies.FINAL_ERRORS:
                    raise
                self._show(f"cannot go on ({cause}); asks again")
                await workflow.sleep(pause, summary="the database did not answer; asks again")
                pause = min(pause * 2, policies.LONGEST_PAUSE)

    def _finish(self, held: wire.Instruction) -> wire.RunEnd:
        assert held.outcome is not None
        if held.outcome == "failed":
            said = f"{held.reason}: {held.detail}" if held.detail else str(held.reason)
            raise ApplicationError(said, type="RunFailed", non_retryable=True)
        return wire.RunEnd(held.outcome, held.reason)


def _timer(left: timedelta) -> timedelta:
    """Return the timer's length: rounded up to what the server keeps, so that the run never wakes just before."""
    whole = timedelta(milliseconds=-(-left // timedelta(milliseconds=1)))
    return min(whole, policies.LONGEST_TIMER)
