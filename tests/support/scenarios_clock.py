"""The clock of scenarios on a server, and workflows that begin at its instant."""

from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.common.v1 import TimeSkippingConfig
from temporalio.client import Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle


class VirtualClock:
    """The clock of API and relay; it stands where it is put."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


class StartsAtTheClock(Interceptor):
    """Has every workflow's first task wait, on its own virtual clock, for the instant at which the clock stands."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _DelaysStarts(next, self._clock)


class _DelaysStarts(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, clock: VirtualClock) -> None:
        super().__init__(next)
        self._clock = clock

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        input.start_delay = self._clock() - datetime.now(UTC)
        assert input.start_delay > timedelta(0), "a scenario plays in the future of the host's clock"
        # One skip, over the delay. A fast-forward would do as well, but for one thing: where its target passes while
        # the workflow is busy, the server skips once more, to the next timer.
        input.time_skipping_config = TimeSkippingConfig(enabled=True, max_session_skip_count=1)
        return await super().start_workflow(input)
