"""JourneyRun with two of its commands in another order: what the replay gate must catch."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from wend import wire
    from workflows.journey_run import JourneyRun


@workflow.defn(name=wire.JOURNEY_RUN)
class ReorderedJourneyRun(JourneyRun):
    """Asks before it does what its first answer says."""

    @workflow.init
    def __init__(self, start: wire.RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: wire.RunInput) -> wire.RunEnd:
        self._take(start.first)
        await self._advance()
        return await super().run(start)
