"""A journey on a virtual clock: the second driver around ``advance``.

The other one is the durable workflow. Both do what the kernel says and ask again; the same events at the same
instants give the same moves. Here time is a number in a heap, so ninety days take milliseconds.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from wend.journeys.advance import advance
from wend.journeys.definition import JourneyVersion
from wend.journeys.delivery import Allowed, Withheld, delivery_policy
from wend.journeys.facts import Happening, ProfileView
from wend.journeys.freezes import Freeze, is_frozen
from wend.journeys.results import (
    Clicks,
    Ended,
    Events,
    Finish,
    Move,
    MovedIn,
    MovedOut,
    Park,
    Plan,
    Send,
    SetAttributes,
)
from wend.journeys.state import EXIT, RunState, SendOutcome
from wend.journeys.steps.send import SendEmail, SendSms
from wend.journeys.walltime import FOREVER

Memberships = Callable[[str, ProfileView, datetime], bool]
"""(segment, profile, now) → is the profile in the segment."""

Provider = Callable[[Send, ProfileView], SendOutcome]
"""What becomes of a send that the delivery policy allows."""


def nobody(segment: str, profile: ProfileView, now: datetime) -> bool:
    """Membership where there are no segments."""
    return False


def accepts(send: Send, profile: ProfileView) -> SendOutcome:
    """The provider that takes everything."""
    return "accepted"


@dataclass(slots=True)
class SimulatedRun:
    """One made-up person's passage. ``finish`` is ``None`` while it is under way."""

    id: UUID
    version: JourneyVersion
    profile_id: UUID
    properties: Mapping[str, Any]
    joined_at: datetime | None = None
    state: RunState = field(default_factory=RunState)
    plan: Plan | None = None
    decided_at: datetime | None = None
    moves: list[Move] = field(default_factory=list)
    finish: Finish | None = None
    turn: int = 0


@dataclass(slots=True)
class SimulatedFacts:
    """Facts out of a simulation's own tables."""

    now: datetime
    run_id: UUID
    profile: ProfileView | None
    properties: Mapping[str, Any]
    happenings: list[Happening]
    memberships: Memberships
    joined_at: datetime | None = None
    is_held: bool = False
    freezes: Sequence[Freeze] = ()

    def is_member(self, segment: str) -> bool:
        return self.profile is not None and self.memberships(segment, self.profile, self.now)

    def clicks(self, messages: Collection[UUID]) -> Iterable[Happening]:
        return [each for each in self.happenings if each.message_id in messages]

    def events(self, name: str, since: datetime) -> Iterable[Happening]:
        return [each for each in self.happenings if each.name == name and each.message_id is None and each.at >= since]


class Simulation:
    """A virtual clock, profiles, and their runs.

    What is planned for one instant happens in the order: events from outside, in the order they were given, then
    timers. So a click at the very deadline counts, as it does live when it is stored before the deadline's decision.
    """

    def __init__(
        self,
        start_at: datetime,
        *,
        memberships: Memberships = nobody,
        provider: Provider = accepts,
    ) -> None:
        self.now = start_at
        self.profiles: dict[UUID, ProfileView] = {}
        self.runs: list[SimulatedRun] = []
        self._memberships = memberships
        self._provider = provider
        self._happenings: dict[UUID, list[Happening]] = {}
        self._runs_of: dict[UUID, list[SimulatedRun]] = {}
        self._paused: set[str] = set()
        self._freezes: dict[str, list[Freeze]] = {}
        self._holders: dict[tuple[str, str, str], UUID] = {}
        self._heap: list[tuple[datetime, int, int, Callable[[], object]]] = []
        self._order = count()

    def at(self, instant: datetime, what: Callable[[], object]) -> None:
        """Plan something from outside for an instant; what is past happens at once when the clock runs."""
        heapq.heappush(self._heap, (max(instant, self.now), 0, next(self._order), what))

    def start(
        self,
        version: JourneyVersion,
        profile_id: UUID,
        run_id: UUID,
        properties: Mapping[str, Any] | None = None,
        *,
        joined_at: datetime | None = None,
    ) -> SimulatedRun:
        """Start a run now and walk it to its first wait."""
        run = SimulatedRun(run_id, version, profile_id, properties or {}, joined_at)
        self.runs.append(run)
        self._runs_of.setdefault(profile_id, []).append(run)
        self._drive(run)
        return run

    def record(
        self,
        profile_id: UUID,
        name: str,
        *,
        properties: Mapping[str, Any] | None = None,
        message_id: UUID | None = None,
        link: str | None = None,
    ) -> Happening:
        """Store an event now, stamped as the live system stamps it, and wake whoever listens."""
        runs = self._runs_of.get(profile_id, [])
        decided = [run.decided_at for run in runs if run.decided_at is not None]
        at = max([self.now, *(each + timedelta(microseconds=1) for each in decided)])
        log = self._happenings.setdefault(profile_id, [])
        happening = Happening(uuid5(profile_id, f"event/{len(log)}"), name, at, properties or {}, message_id, link)
        log.append(happening)
        log.sort(key=lambda each: each.mark)
        for run in runs:
            if listens_to(run.plan, happening):
                self._drive(run)
        return happening

    def run(self, until: datetime | None = None) -> None:
        """Let the clock run until nothing is planned any more, or until an instant (itself included)."""
        while self._heap and (until is None or self._heap[0][0] <= until):
            instant, _, _, what = heapq.heappop(self._heap)
            self.now = max(self.now, instant)
            what()
        if until is not None:
            self.now = max(self.now, until)

    def _drive(self, run: SimulatedRun) -> None:
        """Advance the run and do what is said, until it waits or ends."""
        while run.finish is None:
            plan = self._advance(run)
            if isinstance(plan, Park):
                self._set_timer(run, plan)
                return
            if isinstance(plan, Finish):
                run.finish = plan
                return
            self._send(run, plan)

    def _advance(self, run: SimulatedRun) -> Plan:
        while True:
            now = max(self.now, run.decided_at) if run.decided_at else self.now
            facts = SimulatedFacts(
                now,
                run.id,
                self.profiles.get(run.profile_id),
                run.properties,
                self._happenings.get(run.profile_id, []),
                self._memberships,
                run.joined_at,
                run.version.definition.key in self._paused,
                self.freezes(run.version.definition.key),
            )
            answer = advance(run.version, run.state, facts)
            run.state, run.decided_at = answer.state, max(now, answer.state.arrived_at or now)
            run.moves.extend(answer.moves)
            run.turn += 1
            if not isinstance(answer.then, SetAttributes):
                run.plan = answer.then
                return answer.then
            self.update(run.profile_id, answer.then.attributes)
            run.state = run.state.with_effect()

    def update(self, profile_id: UUID, attributes: Mapping[str, Any]) -> None:
        """Set attributes of a profile; ``None`` removes one. A profile that is gone stays gone."""
        profile = self.profiles.get(profile_id)
        if profile is not None:
            merged = {**profile.attributes, **attributes}
            kept = {name: value for name, value in merged.items() if value is not None}
            self.profiles[profile_id] = replace(profile, attributes=kept)

    def delete(self, profile_id: UUID) -> None:
        """Delete a profile, and with it every run that it is on."""
        del self.profiles[profile_id]
        for run in self._runs_of.get(profile_id, []):
            self._drive(run)

    def pause(self, journey: str, *, freeze: bool = False) -> None:
        """Pause a journey: its runs send nothing, and if it is to freeze, their waits do not pass."""
        self._paused.add(journey)
        if freeze:
            self._freezes.setdefault(journey, []).append(Freeze(self.now))

    def resume(self, journey: str) -> None:
        """Let a paused journey go on, with every run that it held."""
        self._paused.remove(journey)
        freezes = self._freezes.get(journey, [])
        if is_frozen(freezes):
            freezes[-1] = replace(freezes[-1], to_at=self.now)
        for run in self._inside(journey):
            if isinstance(run.plan, Park) and run.plan.held:
                self._drive(run)

    def freezes(self, journey: str) -> Sequence[Freeze]:
        """Return the stretches in which the waits of a journey have not passed."""
        return self._freezes.get(journey, ())

    def stop(self, journey: str) -> None:
        """Stop a journey: every run of it ends where it is."""
        for run in self._inside(journey):
            self._end(run, Finish("stopped", "stopped"))

    def take_out(self, run: SimulatedRun) -> None:
        """Take somebody out: the run ends where it is, whatever it waits for."""
        self._end(run, Finish("exited", "taken_out"))

    def take_out_profile(self, profile_id: UUID, journey: str | None = None) -> None:
        """Take a profile out of a journey, or out of all of them."""
        for run in self._runs_of.get(profile_id, []):
            if run.finish is None and journey in (None, run.version.definition.key):
                self.take_out(run)

    def move(self, to: JourneyVersion) -> None:
        """Move the runs that wait to another version of their journey, which must have the steps where they stand."""
        for run in self._inside(to.definition.key):
            if run.version.number != to.number and isinstance(run.plan, Park):
                step, number = run.state.step, run.version.number
                assert step is not None
                run.moves.append(Move(step, EXIT, self.now, MovedOut(to.number)))
                run.moves.append(Move(None, step, self.now, MovedIn(number)))
                run.version = to
                self._drive(run)

    def _inside(self, journey: str) -> list[SimulatedRun]:
        return [run for run in self.runs if run.finish is None and run.version.definition.key == journey]

    def _end(self, run: SimulatedRun, finish: Finish) -> None:
        run.moves.append(Move(run.state.step, EXIT, self.now, Ended(finish.reason or finish.outcome)))
        run.finish = run.plan = finish
        run.turn += 1

    def _send(self, run: SimulatedRun, plan: Send) -> None:
        step = run.version.steps[plan.step]
        assert isinstance(step, SendEmail | SendSms)
        profile = self.profiles[run.profile_id]
        match delivery_policy(step, "live", profile):
            case Allowed(address):
                outcome = self._send_once(run, step, plan, profile, address)
            case Withheld() as withheld:
                outcome = withheld.outcome
            case ruled:
                raise AssertionError(f"a live journey does not send: {ruled}")
        run.state = run.state.with_sent(outcome, run.decided_at or self.now)

    def _send_once(
        self, run: SimulatedRun, step: SendEmail | SendSms, plan: Send, profile: ProfileView, address: str
    ) -> SendOutcome:
        """Ask the provider, unless the address has had the message from another run; each start is its own entry."""
        if step.once_per_address is None:
            return self._provider(plan, profile)
        scope = run.version.definition.key if step.once_per_address == "journey" else str(run.id)
        holder = self._holders.setdefault((scope, plan.message, address), plan.message_id)
        if holder != plan.message_id:
            return "already_sent"
        outcome = self._provider(plan, profile)
        if outcome in ("refused", "gave_up"):
            del self._holders[scope, plan.message, address]
        return outcome

    def _set_timer(self, run: SimulatedRun, park: Park) -> None:
        if park.until >= FOREVER:
            return
        turn = run.turn

        def ring() -> None:
            if run.turn == turn:
                self._drive(run)

        heapq.heappush(self._heap, (max(park.until, self.now), 1, next(self._order), ring))


def listens_to(plan: Plan | None, happening: Happening) -> bool:
    """True if a run with this plan is to be woken by this event."""
    if not isinstance(plan, Park):
        return False
    if happening.message_id is None and happening.name in plan.exits:
        return True
    match plan.listens:
        case Clicks(messages, link):
            return happening.message_id in messages and (link is None or link == happening.link)
        case Events(name):
            return happening.message_id is None and happening.name == name
        case None:
            return False
