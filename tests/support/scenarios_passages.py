"""What a run did, whichever engine ran it, held against what was expected and against the other engine."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from tests.support.scenarios import Expected, ExpectedClick, ExpectedMove, Scenario, Start
from wend.journeys.freezes import elapse
from wend.journeys.model import parse_wall
from wend.journeys.results import Clicked, Happened, Move, MovedIn, MovedOut, TimedOut, Waited
from wend.journeys.serial import dump_why
from wend.journeys.steps import Wait, WaitForClick, WaitForEvent

LEDGER_STATES = frozenset({"accepted", "uncertain", "refused", "gave_up"})
"""Ends of a send that the ledger has a row for; the others were never claimed."""


@dataclass(frozen=True)
class SeenClick:
    """A click on a message of the run."""

    link: str | None
    counted: bool
    note: str | None
    late_by: timedelta | None


@dataclass(frozen=True)
class Passage:
    """A run from its entry to its end. ``messages`` are (step, visit, state)."""

    moves: tuple[Move, ...]
    outcome: str
    reason: str | None
    messages: tuple[tuple[str, int, str], ...]
    clicks: tuple[SeenClick, ...]


@dataclass(frozen=True)
class Played:
    """A scenario's runs by name, and the attributes that each profile is left with; ``None`` once it is deleted."""

    runs: Mapping[str, Passage]
    attributes: Mapping[str, Mapping[str, Any] | None]


def differences(scenario: Scenario, played: Played, tolerance: timedelta) -> list[str]:
    """Return every way in which a scenario did not come out as it says that it must.

    Args:
        scenario: With its expectations.
        played: What came of it.
        tolerance: How much later than written an engine may do what is due; what decides is exact all the same.
    """
    found: list[str] = []
    starts = {event.name: event for event in scenario.events if isinstance(event, Start)}
    for name, passage in played.runs.items():
        faults = [*_contradictions(scenario, starts[name], passage, tolerance)]
        if name in scenario.expect:
            faults += _unexpected(scenario, scenario.expect[name], passage, tolerance)
        found += [f"{name}: {fault}" for fault in faults]
        if faults:
            found += [f"  {_say(scenario, move)}" for move in passage.moves]
    for profile, wanted in scenario.attributes.items():
        left = played.attributes[profile] or {}
        found += [
            f"{profile}.{attribute} is {left.get(attribute)!r}, not {value!r}"
            for attribute, value in wanted.items()
            if left.get(attribute) != value
        ]
    return found


def disagreements(scenario: Scenario, one: Played, other: Played, tolerance: timedelta) -> list[str]:
    """Return every way in which two engines differ on a scenario, but for ids."""
    found = [] if one.attributes == other.attributes else [f"attributes: {one.attributes} and {other.attributes}"]
    for name, passage in one.runs.items():
        differing = [*_differing(passage, other.runs[name], tolerance)]
        found += [f"{name}: {each}" for each in differing]
        if differing:
            found += [f"  one:   {_say(scenario, move)}" for move in passage.moves]
            found += [f"  other: {_say(scenario, move)}" for move in other.runs[name].moves]
    return found


def _contradictions(scenario: Scenario, start: Start, passage: Passage, tolerance: timedelta) -> Iterator[str]:
    """Yield where a path contradicts itself: what counts from its moves does so to the microsecond, by stamps."""
    version = scenario.entered(start)
    versions, freezes = scenario.versions(version.definition.key), scenario.freezes(version.definition.key)
    arrival = passage.moves[0]
    for before, move in pairwise(passage.moves):
        where = f"{move.from_step} → {move.to_step}"
        if move.at < before.at or move.from_step != (None if isinstance(move.why, MovedIn) else arrival.to_step):
            yield f"{where} does not follow {before.from_step} → {before.to_step}"
        if isinstance(move.why, MovedOut | MovedIn):
            # It stands where it stood, since when it came there; the version answers that it is moved to.
            version = versions[move.why.to_version - 1] if isinstance(move.why, MovedOut) else version
            continue
        due: datetime | None = None
        match version.steps[arrival.to_step], move.why:
            case Wait(since="arrival" | "entry" as since) as step, Waited(until):
                due = until
                counts_from = arrival.at if since == "arrival" else passage.moves[0].at
                if until != elapse(counts_from, step.for_, freezes):
                    yield f"{where} waited until {until}, and came at {arrival.at}"
            case WaitForClick() | WaitForEvent() as step, TimedOut(deadline):
                due = deadline
                if deadline != elapse(arrival.at, step.within, freezes):
                    yield f"{where} had the deadline {deadline}, and came at {arrival.at}"
            case WaitForClick() | WaitForEvent() as step, Clicked(at=at) | Happened(at=at):
                if at > elapse(arrival.at, step.within, freezes):
                    yield f"{where} went on by what was stamped {at}, and came at {arrival.at}"
            case _:
                pass  # nothing else counts from an instant on the path
        if due is not None and not max(due, before.at) <= move.at <= max(due, before.at) + tolerance:
            yield f"{where} was due at {due} and made at {move.at}"
        arrival = move


def _unexpected(scenario: Scenario, expected: Expected, passage: Passage, tolerance: timedelta) -> Iterator[str]:
    if (passage.outcome, passage.reason) != (expected.outcome, expected.reason):
        yield f"ended {passage.outcome} ({passage.reason}), not {expected.outcome} ({expected.reason})"
    said = [f"{move.to_step} ({move.why.kind})" for move in passage.moves]
    wanted = [f"{move.to} ({move.why})" for move in expected.path]
    if said != wanted:
        yield f"went {said}, not {wanted}"
        return
    for move, expectation in zip(passage.moves, expected.path, strict=True):
        yield from _wrong(scenario, move, expectation, tolerance)
    messages = {
        step: (states,) if isinstance(states, str) else tuple(states) for step, states in expected.messages.items()
    }
    sent: dict[str, tuple[str, ...]] = {}
    for step, _, state in passage.messages:
        sent[step] = (*sent.get(step, ()), state)
    if sent != messages:
        yield f"sent {sent}, not {messages}"
    clicks = [ExpectedClick(**dataclasses.asdict(click)) for click in passage.clicks]
    if not _same_clicks(clicks, list(expected.clicks), tolerance):
        yield f"was clicked {clicks}, not {list(expected.clicks)}"


def _wrong(scenario: Scenario, move: Move, expected: ExpectedMove, tolerance: timedelta) -> Iterator[str]:
    where = f"{move.from_step} → {move.to_step}"
    at = scenario.instant(expected.at)
    if not at <= move.at <= at + tolerance:
        yield f"{where} at {move.at}, not at {at}"
    written = dump_why(move.why)
    for field, value in expected.of.items():
        found = getattr(move.why, field)
        if isinstance(found, datetime):
            exact = parse_wall(value)
            if found != exact:
                yield f"{where}: {field} is {found}, not {exact}"
        elif written.get(field) != value:
            yield f"{where}: {field} is {written.get(field)!r}, not {value!r}"


def _differing(one: Passage, other: Passage, tolerance: timedelta) -> Iterator[str]:
    if (one.outcome, one.reason) != (other.outcome, other.reason):
        yield f"ended {one.outcome} ({one.reason}) and {other.outcome} ({other.reason})"
    if one.messages != other.messages:
        yield f"sent {one.messages} and {other.messages}"
    if not _same_clicks(one.clicks, other.clicks, tolerance):
        yield f"was clicked {one.clicks} and {other.clicks}"
    paths = [[(move.from_step, move.to_step, *_essence(move)) for move in each.moves] for each in (one, other)]
    if paths[0] != paths[1]:
        yield "took two paths"
        return
    for left, right in zip(one.moves, other.moves, strict=True):
        for first, second in zip(_instants(left), _instants(right), strict=True):
            if abs(second - first) > tolerance:
                yield f"{left.from_step} → {left.to_step}: {first} and {second}"


def _same_clicks(one: Any, other: Any, tolerance: timedelta) -> bool:
    def same(left: Any, right: Any) -> bool:
        alike = (left.link, left.counted, left.note) == (right.link, right.counted, right.note)
        if left.late_by is None or right.late_by is None:
            return alike and left.late_by is right.late_by
        return alike and abs(left.late_by - right.late_by) <= tolerance

    return len(one) == len(other) and all(map(same, one, other))


def _essence(move: Move) -> tuple[tuple[str, Any], ...]:
    """Return what is the same wherever the move is made: no ids, no instants, no words of a provider."""
    document = dump_why(move.why)
    fields = {field.name: getattr(move.why, field.name) for field in dataclasses.fields(move.why)}
    kept = [name for name, value in fields.items() if not isinstance(value, UUID | datetime) and name != "detail"]
    return tuple((name, document.get(name, fields["kind"])) for name in kept)


def _instants(move: Move) -> list[datetime]:
    values = [getattr(move.why, field.name) for field in dataclasses.fields(move.why)]
    return [move.at, *(value for value in values if isinstance(value, datetime))]


def _say(scenario: Scenario, move: Move) -> str:
    return f"{move.at - scenario.starts_at} {move.from_step} → {move.to_step} {move.why}"
