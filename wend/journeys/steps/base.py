"""What all steps share: their model's base, and where a run stands when a step looks at it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from wend.journeys.model import Key, Model
from wend.journeys.state import WAS_SENT, Mark, RunState, Sent, message_id


class Step(Model):
    """A step: its id, and what follows. ``next`` defaults to the step that stands below, the last one's to ``exit``."""

    id: Key

    def targets(self) -> Mapping[str, str | None]:
        """Return where a run may go from here: field → step id, or ``None`` for the step that stands below."""
        raise NotImplementedError

    def properties(self) -> Iterable[tuple[str, str]]:
        """Return what this step uses of what the run was started with: (field, path of the property)."""
        return ()

    @property
    def can_end(self) -> bool:
        """True if the run may end here by the step's own word."""
        return False

    @property
    def waits(self) -> bool:
        """True if coming by here makes a run wait, so that a loop through it is no endless spin."""
        return False


class StepWithNext(Step):
    """A step that goes on to one other."""

    next: Key | None = None

    def targets(self) -> Mapping[str, str | None]:
        return {"next": self.next}


@dataclass(frozen=True, slots=True)
class Here:
    """Where the run stands. ``zone`` is the journey's."""

    run_id: UUID
    state: RunState
    zone: ZoneInfo

    @property
    def arrived_at(self) -> datetime:
        assert self.state.arrived_at is not None
        return self.state.arrived_at

    @property
    def entered_at(self) -> datetime:
        assert self.state.entered_at is not None
        return self.state.entered_at

    @property
    def message_id(self) -> UUID:
        """The id of the message that this visit may send."""
        assert self.state.step is not None
        return message_id(self.run_id, self.state.step, self.state.visit)

    @property
    def settled(self) -> Sent | None:
        """How this visit's send ended; ``None`` while it has not."""
        last = self.state.sent[-1] if self.state.sent else None
        return last if last and (last.step, last.visit) == (self.state.step, self.state.visit) else None

    @property
    def consumed(self) -> Mark | None:
        """The event that an earlier visit of this step went on by."""
        return self.state.consumed.get(self.state.step or "")

    def messages(self, step: str, *, latest: bool = False) -> tuple[UUID, ...]:
        """Return the messages that this run sent at ``step``, uncertain ones included; or only the last."""
        sent = [
            message_id(self.run_id, each.sent_as or each.step, each.visit)
            for each in self.state.sent
            if each.step == step and each.outcome in WAS_SENT
        ]
        return tuple(sent[-1:] if latest else sent)
