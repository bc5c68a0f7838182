"""What a reconciliation asks of Temporal, and has it do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from wend.entries.opening import OpenedEntry
from wend.runs.starting import StartOrder

Passage = tuple[UUID, int]
"""Names a run within its journey: whose, and the how manieth."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Temporal has no such workflow."""


@dataclass(frozen=True, slots=True)
class Open:
    """The workflow is open.

    Attributes:
        is_busy: An activity is under way, or waits to be tried again.
        task_since: Since when its next task has been waiting for a worker, or fails again and again.
        task_attempt: How often that has been tried.
    """

    is_busy: bool = False
    task_since: datetime | None = None
    task_attempt: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """The workflow has ended.

    Attributes:
        status: How.
        failure: The type of the error that it failed with.
    """

    status: Literal["completed", "failed", "canceled", "terminated", "timed_out", "continued_as_new"]
    failure: str | None = None


Found = Missing | Open | Closed


@dataclass(frozen=True, slots=True)
class EntryUnderWay:
    """An open workflow of a segment entry; ``entry_id`` is ``None`` while it has started nobody yet."""

    workflow_id: str
    entry_id: UUID | None


class Workflows(Protocol):
    """Temporal's workflows of journeys.

    Each call raises ``temporalio.service.RPCError`` where Temporal does not answer or refuses.
    """

    async def open_runs(self, journey: str, after: UUID | None, upto: UUID | None) -> set[Passage]:
        """Return the runs with an open workflow, of profiles behind ``after`` and not behind ``upto``.

        The answer may be some seconds old, so what it lacks is a suspicion, and ``look`` tells.
        """
        ...

    async def look(self, journey: str, passage: Passage) -> Found:
        """Return how a run's workflow stands at this moment."""
        ...

    async def open_entries(self, journey: str) -> list[EntryUnderWay]:
        """Return the open workflows of a journey's segment entries; it may be some seconds old too."""
        ...

    async def start_run(self, order: StartOrder) -> None:
        """Start a run's workflow; one of its id that there is or was is as good."""
        ...

    async def go_on(self, entry: OpenedEntry, due_at: datetime) -> None:
        """Start a workflow that starts what is left of an entry; one that does so already is as good."""
        ...
