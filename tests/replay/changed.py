"""JourneyRun with a change of its commands, a pause before every send, in every state that such a change has."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from workflows.journey_run import JourneyRun
    from workflows.patches import Patch, takes

PATCHED = Patch("pauses-before-sends", wire.JOURNEY_RUN, "the next release", "pauses before every send")
DEPRECATED = Patch(PATCHED.id, PATCHED.workflow, PATCHED.since, PATCHED.what, "deprecated")
REMOVED = Patch(PATCHED.id, PATCHED.workflow, PATCHED.since, PATCHED.what, "removed")


@workflow.defn(name=wire.JOURNEY_RUN)
class ChangedJourneyRun(JourneyRun):
    """The change without a patch: what the replay gate must catch. And what is left when the patch is removed."""

    _pauses = True

    @workflow.init
    def __init__(self, start: wire.RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: wire.RunInput) -> wire.RunEnd:
        return await super().run(start)

    async def _send(self) -> wire.Instruction:
        if self._pauses:
            await workflow.sleep(timedelta(milliseconds=1), summary="pauses before it sends")
        return await super()._send()


@workflow.defn(name=wire.JOURNEY_RUN)
class PatchedJourneyRun(ChangedJourneyRun):
    """The change behind a patch, asked once."""

    @workflow.init
    def __init__(self, start: wire.RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: wire.RunInput) -> wire.RunEnd:
        self._pauses = takes(PATCHED)
        return await super().run(start)


@workflow.defn(name=wire.JOURNEY_RUN)
class DeprecatedJourneyRun(ChangedJourneyRun):
    """The old way is gone, marked runs still replay."""

    @workflow.init
    def __init__(self, start: wire.RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: wire.RunInput) -> wire.RunEnd:
        self._pauses = takes(DEPRECATED)
        return await super().run(start)
