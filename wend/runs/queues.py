"""Where sends wait for a worker: the rate of a provider is the rate of a task queue, and Temporal keeps it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Channel = Literal["email", "sms"]

SENDS_AT_ONCE: Final = 32
"""That a worker has under way in one queue, unless it is told another number."""

CHANNELS: Final[tuple[Channel, ...]] = ("email", "sms")


def entries_queue(task_queue: str) -> str:
    """Return the queue of the activities that take segments in and reconcile, beside the runs' one."""
    return f"{task_queue}-entries"


@dataclass(frozen=True, slots=True)
class SendQueues:
    """The task queues that sends wait in.

    Those of a channel without a rate wait in the runs' own queue, where a worker that has just decided on one may begin
    with it at once. Those of a limited channel wait in a queue of the channel's.

    Attributes:
        task_queue: The runs'.
        rates: Messages per second, of the limited channels.
    """

    task_queue: str
    rates: Mapping[Channel, int] = field(default_factory=dict)

    def of(self, channel: Channel) -> str | None:
        """Return the queue of a limited channel; ``None``: the runs' own."""
        return self._name(channel) if channel in self.rates else None

    def every(self) -> Iterator[tuple[str, int | None]]:
        """Yield every channel's queue and its rate, also of channels that are not limited.

        Something may wait there from when they were: a queue that stands in a history must have a worker.
        """
        for channel in CHANNELS:
            yield self._name(channel), self.rates.get(channel)

    @property
    def entries(self) -> str:
        """The queue of entries' and reconciliations' activities, which may last for days: no send waits behind them."""
        return entries_queue(self.task_queue)

    def _name(self, channel: Channel) -> str:
        return f"{self.task_queue}-{channel}"
