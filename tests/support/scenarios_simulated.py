"""Scenarios on the simulator: the kernel on a virtual clock, exact to the microsecond."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid5

from tests.support.scenarios import (
    Click,
    Delete,
    Event,
    Happens,
    Join,
    MoveRuns,
    OutOf,
    Pauses,
    Publish,
    Resumes,
    Scenario,
    ScenarioCatalog,
    Start,
    Stop,
    TakeOut,
    Update,
)
from tests.support.scenarios_passages import LEDGER_STATES, Passage, Played, SeenClick
from wend.journeys.checks import check
from wend.journeys.facts import Happening, ProfileView
from wend.journeys.freezes import elapse
from wend.journeys.results import Park, Plan, Send, TimedOut
from wend.journeys.simulation import SimulatedRun, Simulation, listens_to
from wend.journeys.state import WAS_SENT, SendOutcome, message_id
from wend.journeys.steps.send import SendStep
from wend.segments.memory import matches
from wend.segments.rules import parse_rule, segments_in

_IDS = UUID("5c1e7a9e-0000-4000-8000-000000000000")


class _Stage:
    """One scenario under way."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.runs: dict[str, SimulatedRun] = {}
        self.clicks: dict[UUID, list[SeenClick]] = {}
        self.keys: set[str] = set()
        self.answers: dict[str, Iterator[str]] = {step: iter(told) for step, told in scenario.provider.items()}
        self.members = {key: set(group.members) for key, group in scenario.segments.items()}
        self.rules = {key: parse_rule(group.rule) for key, group in scenario.segments.items() if group.rule is not None}
        self.ids = {name: uuid5(_IDS, name) for name in scenario.profiles}
        self.names = {id: name for name, id in self.ids.items()}
        self.steps = {
            step.id: step for each in scenario.definitions() for step in each.steps if isinstance(step, SendStep)
        }
        self.simulation = Simulation(scenario.starts_at, memberships=self.is_member, provider=self.provide)
        for name, person in scenario.profiles.items():
            id = self.ids[name]
            self.simulation.profiles[id] = ProfileView(id, person.attributes, person.identities, person.time_zone)

    def is_member(self, segment: str, profile: ProfileView, now: datetime) -> bool:
        rule = self.rules.get(segment)
        if rule is None:
            return self.names[profile.id] in self.members[segment]
        inside = {key for key in segments_in(rule) if self.is_member(key, profile, now)}
        return matches(rule, profile, inside, now)

    def provide(self, send: Send, profile: ProfileView) -> SendOutcome:
        """Answer as the scenario says; a send that is surely not accepted is tried again at once."""
        step = self.steps[send.step]
        for _ in range(step.retries + 1):
            match next(self.answers.get(send.step, iter(())), "accepted"):
                case "accepted":
                    return "accepted"
                case "refused":
                    return "refused"
                case "uncertain" if step.delivery == "at_most_once":
                    return "uncertain"
        return "gave_up"

    def do(self, event: Event) -> None:
        match event:
            case Start():
                self.start(event)
            case Click():
                self.click(event)
            case Happens():
                if event.key is None or event.key not in self.keys:
                    self.simulation.record(self.ids[event.profile], event.event, properties=event.properties)
                    self.keys |= {event.key} if event.key else set()
            case Update():
                self.simulation.update(self.ids[event.update], event.attributes)
            case Delete():
                self.simulation.delete(self.ids[event.delete])
            case Join():
                self.members[event.segment].add(event.join)
            case Publish():
                pass  # each start takes the version of its time
            case Stop():
                self.simulation.stop(event.stop)
            case Pauses():
                self.simulation.pause(event.pause, freeze=event.waits == "freeze")
            case Resumes():
                self.simulation.resume(event.resume)
            case TakeOut():
                self.take_out(event.take_out)
            case MoveRuns():
                self.simulation.move(self.scenario.versions(event.move)[event.to - 1])

    def start(self, event: Start) -> None:
        version = self.scenario.entered(event)
        id = uuid5(_IDS, f"{self.scenario.name}/{event.name}")
        self.runs[event.name] = self.simulation.start(version, self.ids[event.start], id, event.properties)

    def take_out(self, whom: OutOf) -> None:
        if whom.run is not None:
            self.simulation.take_out(self.runs[whom.run])
        elif whom.profile is not None:
            self.simulation.take_out_profile(self.ids[whom.profile], whom.journey)

    def click(self, event: Click) -> None:
        """Store a click of a person, and note any."""
        target = event.click
        run = self.runs[target.run]
        message = message_id(run.id, target.step, target.visit)
        sent = {(each.step, each.visit) for each in run.state.sent if each.outcome in WAS_SENT}
        assert (target.step, target.visit) in sent, f"{target} was not sent"
        seen = SeenClick(target.link, False, event.by, None)
        if event.by == "person":
            plan = self.elapsed(run)
            moves = len(run.moves)
            click = self.simulation.record(run.profile_id, "click", message_id=message, link=target.link)
            late_by = _late_by(run, plan, moves, click, target.step)
            seen = SeenClick(target.link, True, None, late_by)
        self.clicks.setdefault(run.id, []).append(seen)

    def elapsed(self, run: SimulatedRun) -> Plan | None:
        """Return what the run is told to do, its end moved by the time that has not passed since it was told."""
        plan, decided_at = run.plan, run.decided_at
        if not isinstance(plan, Park) or decided_at is None:
            return plan
        freezes = self.simulation.freezes(run.version.definition.key)
        return replace(plan, until=elapse(decided_at, plan.until - decided_at, freezes))

    def played(self) -> Played:
        profiles = self.simulation.profiles
        left = {name: profiles[id].attributes if id in profiles else None for name, id in self.ids.items()}
        return Played({name: self.passage(run) for name, run in self.runs.items()}, left)

    def passage(self, run: SimulatedRun) -> Passage:
        assert run.finish is not None, "nothing is planned any more, and the run has not ended"
        sent = ((each.step, each.visit, each.outcome) for each in run.state.sent if each.outcome in LEDGER_STATES)
        return Passage(
            tuple(run.moves), run.finish.outcome, run.finish.reason, tuple(sent), tuple(self.clicks.get(run.id, ()))
        )


def play(scenario: Scenario) -> Played:
    """Return what comes of a scenario on the simulator.

    Raises:
        AssertionError: Its journeys would not be published.
    """
    for journey in scenario.definitions():
        problems = [each for each in check(journey, ScenarioCatalog(scenario)) if each.severity == "error"]
        assert not problems, problems
    stage = _Stage(scenario)
    for instant, event in scenario.timeline():
        stage.simulation.at(instant, partial(stage.do, event))
    stage.simulation.run()
    return stage.played()


def _late_by(run: SimulatedRun, plan: Plan | None, moves: int, click: Happening, step: str) -> timedelta | None:
    """Return by how much a click missed the wait that was for it, from what the run was doing when it came."""
    if isinstance(plan, Park) and listens_to(plan, click):
        return max(click.at - plan.until, timedelta(0)) or None
    for move in reversed(run.moves[:moves]):
        match move.why:
            case TimedOut(deadline, sent_by, link) if sent_by == step and link in (None, click.link):
                return max(click.at - deadline, timedelta(microseconds=1))
    return None
