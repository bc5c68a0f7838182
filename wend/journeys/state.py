"""Where a run is and what it remembers: small, frozen, serialisable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID, uuid5

EXIT = "exit"
"""The reserved id of a journey's end."""

CLICK = "click"
"""The name of the events that clicks are; nobody else may send one."""

SendOutcome = Literal["accepted", "uncertain", "refused", "no_address", "already_sent", "gave_up"]
"""How a send ended. ``uncertain`` counts as sent; ``already_sent``: the address has had it from another run."""

WAS_SENT: frozenset[SendOutcome] = frozenset({"accepted", "uncertain"})


class Mark(NamedTuple):
    """A place in the event log: events are ordered by stamp, then id."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one send of this run. ``at`` is the instant of its claim: the sending time.

    ``sent_as`` is the step that it was sent under, where that has another id in the version that the run was moved to.
    """

    step: str
    visit: int
    outcome: SendOutcome
    at: datetime
    detail: str | None = None
    sent_as: str | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """Where one run is.

    Attributes:
        step: The step that the run is at; ``None`` before the first advance.
        entered_at: When the run was first advanced.
        arrived_at: The decision's now when the run came to ``step``.
        visits: How often each step was come to; the current visit included.
        sent: What was sent, in order.
        consumed: Per step, the event that its last visit went on by: later visits count only later ones.
        done: The effect of this visit has been applied.
        unwaited: Steps come to since the run last waited; coming to one of them again is an endless loop.
    """

    step: str | None = None
    entered_at: datetime | None = None
    arrived_at: datetime | None = None
    visits: Mapping[str, int] = field(default_factory=dict)
    sent: tuple[Sent, ...] = ()
    consumed: Mapping[str, Mark] = field(default_factory=dict)
    done: bool = False
    unwaited: tuple[str, ...] = ()

    @property
    def visit(self) -> int:
        """Which visit of the current step this is, from 1."""
        return self.visits.get(self.step, 0) if self.step else 0

    def arrive(self, step: str, now: datetime) -> "RunState":
        """Return the state of a run that has just come to ``step``."""
        visits = {**self.visits, step: self.visits.get(step, 0) + 1}
        unwaited = (*self.unwaited, step)
        return RunState(step, self.entered_at or now, now, visits, self.sent, self.consumed, False, unwaited)

    def consume(self, mark: Mark) -> "RunState":
        """Return the state of a run that goes on by this event; an event is as good as a wait."""
        assert self.step is not None
        return self._but(consumed={**self.consumed, self.step: mark}, unwaited=())

    def waited(self) -> "RunState":
        """Return the state of a run that parks here."""
        return self._but(unwaited=()) if self.unwaited else self

    def with_sent(self, outcome: SendOutcome, at: datetime, detail: str | None = None) -> "RunState":
        """Return the state of a run whose current visit's send ended so."""
        assert self.step is not None
        return self._but(sent=(*self.sent, Sent(self.step, self.visit, outcome, at, detail)))

    def with_effect(self) -> "RunState":
        """Return the state of a run whose current visit's effect has been applied."""
        return self._but(done=True)

    def _but(
        self,
        *,
        sent: tuple[Sent, ...] | None = None,
        consumed: Mapping[str, Mark] | None = None,
        done: bool | None = None,
        unwaited: tuple[str, ...] | None = None,
    ) -> "RunState":
        """Return this state with some of it changed; ``dataclasses.replace`` takes three times as long."""
        return RunState(
            self.step,
            self.entered_at,
            self.arrived_at,
            self.visits,
            self.sent if sent is None else sent,
            self.consumed if consumed is None else consumed,
            self.done if done is None else done,
            self.unwaited if unwaited is None else unwaited,
        )


@lru_cache(maxsize=4096)  # a step asks for the same few ids at every look
def message_id(run_id: UUID, step: str, visit: int) -> UUID:
    """Return the id of the one message that this visit of this step may send: the provider's idempotency key."""
    return uuid5(run_id, f"{step}/{visit}")
