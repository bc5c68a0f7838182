"""The heart: where does this run go now, and what is to be done next?

``advance`` is pure: the same version, state and facts give the same answer. It walks as many steps as it can and
stops at the first that sends, waits, changes something or ends. Each step is asked on arrival and again at every
wake, so no step needs to know why it was woken. Whoever drives it (the durable workflow, or the simulation) does
what it says and asks again.
"""

from dataclasses import replace
from typing import assert_never

from wend.journeys.definition import JourneyVersion
from wend.journeys.facts import Facts
from wend.journeys.freezes import is_frozen
from wend.journeys.leaving import leave_now, oldest_at
from wend.journeys.results import Advance, Ended, Entered, Finish, Goto, Move, Park, Send, SetAttributes, Why
from wend.journeys.state import EXIT, RunState
from wend.journeys.steps import Here, look
from wend.journeys.walltime import FOREVER

MOST_MOVES = 1000
"""Moves in one advance; more than any journey without an endless loop can need."""


class _Walk:
    """One advance under way."""

    def __init__(self, version: JourneyVersion, state: RunState, facts: Facts) -> None:
        self.version = version
        self.state = state
        self.now = max(facts.now, state.arrived_at or facts.now)
        self.moves: list[Move] = []

    def move(self, to: str, why: Why) -> None:
        self.moves.append(Move(self.state.step, to, self.now, why))
        if to != EXIT:
            self.state = self.state.arrive(to, self.now)

    def end(self, finish: Finish) -> Advance:
        self.move(EXIT, Ended(finish.reason or finish.outcome))
        return Advance(self.state, tuple(self.moves), finish)

    def go(self, answer: Goto) -> Advance | None:
        """Make the move; return an advance only if the run ends by it."""
        step = self.state.step
        assert step is not None
        to = answer.to or self.version.following[step]
        if answer.consumed is not None:
            # The clock that stamped it may be ahead of ours; nobody arrives before what brought them, else the next
            # step would take the same event for a new one.
            self.now = max(self.now, answer.consumed.at)
            self.state = self.state.consume(answer.consumed)
        if to == EXIT:
            self.move(EXIT, answer.why)
            return Advance(self.state, tuple(self.moves), Finish("completed"))
        if to in self.state.unwaited:
            return self.end(Finish("failed", "endless_loop", f"came back to step {to!r} without having waited"))
        if len(self.moves) >= MOST_MOVES:
            return self.end(Finish("failed", "endless_loop", f"more than {MOST_MOVES} moves in one advance"))
        self.move(to, answer.why)
        return None


def advance(version: JourneyVersion, state: RunState, facts: Facts) -> Advance:
    """Return where the run is after all that can be done now, how it came there, and the one thing to do next.

    The instant of the decision, which no later one is before and every later event is stamped after, is ``facts.now``
    or, where that is later, the new state's ``arrived_at``.
    """
    walk = _Walk(version, state, facts)
    if facts.profile is None:
        return walk.end(Finish("exited", "profile_deleted"))
    if walk.state.step is None:
        walk.move(version.first, Entered())
    elif (leaving := leave_now(version.definition, walk.state, facts)) is not None:
        return walk.end(leaving)
    while True:
        step = walk.state.step
        assert step is not None
        answer = look(version.steps[step], Here(facts.run_id, walk.state, version.zone), facts)
        match answer:
            case Goto():
                if (ended := walk.go(answer)) is not None:
                    return ended
            case Park():
                return Advance(walk.state.waited(), tuple(walk.moves), _bound(answer, version, walk.state, facts))
            case Send() if facts.is_held:
                # Nothing has been done here: the state stays, and whoever resumes the journey has the step asked anew.
                held = Park(FOREVER, "is held (the journey is paused)", held=True)
                return Advance(walk.state, tuple(walk.moves), _bound(held, version, walk.state, facts))
            case Send() | SetAttributes():
                return Advance(walk.state, tuple(walk.moves), answer)
            case Finish():
                return walk.end(answer)
            case _:
                assert_never(answer)


def _bound(park: Park, version: JourneyVersion, state: RunState, facts: Facts) -> Park:
    """Return the park as the journey's own rules bound it: it ends by its exits, its greatest age, or a resumption."""
    definition = version.definition
    held = park.held or (park.until >= FOREVER and is_frozen(facts.freezes))
    if not held and not definition.exit_on and definition.max_age is None:
        return park
    what = f"{park.what} (frozen while the journey is paused)" if held and not park.held else park.what
    exits = tuple(dict.fromkeys(rule.event for rule in definition.exit_on))
    return replace(park, what=what, until=min(park.until, oldest_at(definition, state)), exits=exits, held=held)
