"""Publish checks: everything that can be known before the first person enters, all of it said at once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from wend.journeys.conditions import events_of, segments_of
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.graph import Graph
from wend.journeys.occurrences import next_occurrences, start_of
from wend.journeys.problems import Problem, did_you_mean
from wend.journeys.properties import properties_used
from wend.journeys.schedule import AtTime, Schedule
from wend.journeys.state import CLICK, EXIT
from wend.journeys.steps import If, SendEmail, SendSms, Wait, WaitForClick, WaitForEvent, WaitUntil
from wend.journeys.walltime import resolve


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """What a journey needs to know of a message.

    Attributes:
        version: Its newest ready version, 0 if there is none: what the journey would send.
        links: The names of that version's tracked links.
        edited: There is a draft that differs from that version, and would not be sent.
        unknown_property: What that version prints of the run's properties without a default, if it does: members of a
            segment bring none.
    """

    channel: str
    version: int
    links: tuple[str, ...] = ()
    edited: bool = False
    unknown_property: str | None = None


class Catalog(Protocol):
    """What exists beside the journey."""

    def message(self, key: str) -> MessageInfo | None:
        """The message of this key."""

    def messages(self) -> list[str]:
        """All message keys, for suggestions."""

    def has_segment(self, key: str) -> bool:
        """True if there is such a segment."""

    def segments(self) -> list[str]:
        """All segment keys, for suggestions."""


def check(definition: JourneyDefinition, catalog: Catalog, now: datetime | None = None) -> list[Problem]:
    """Return every problem; publishing is refused while one of them is an error.

    Args:
        definition: The draft.
        catalog: What exists beside it.
        now: The instant of publishing, where what has passed by then is to be warned of.
    """
    wrong_ids = [*_ids(definition)]
    wrong_targets = [*_targets(definition)]
    paths: list[Problem] = []
    if not wrong_ids:  # a graph needs steps that can be told apart
        graph = Graph(definition)
        paths += [*_loops(graph), *_awaited_steps(definition, graph)]
        if not wrong_targets:  # where a target is wrong, nobody knows what it would have led to
            paths += [*_reach(definition, graph)]
    return [
        *wrong_ids,
        *wrong_targets,
        *paths,
        *_entry(definition, catalog),
        *_times(definition, now),
        *_messages(definition, catalog),
        *_awaited_links(definition, catalog),
        *_conditions(definition, catalog),
        *_properties(definition),
        *_events(definition),
    ]


def _ids(definition: JourneyDefinition) -> Iterator[Problem]:
    for step_id, count in Counter(step.id for step in definition.steps).items():
        if count > 1:
            yield Problem(f"steps.{step_id}", f"{count} steps have this id; each needs its own")
        if step_id == EXIT:
            yield Problem("steps.exit", "'exit' is the journey's end and cannot be a step's id")


def _targets(definition: JourneyDefinition) -> Iterator[Problem]:
    ids = {step.id for step in definition.steps} | {EXIT}
    for step in definition.steps:
        for field, target in step.targets().items():
            if target is not None and target not in ids:
                hint = did_you_mean(target, ids)
                yield Problem(f"steps.{step.id}.{field}", f"no step is called {target!r}{hint}")


def _reach(definition: JourneyDefinition, graph: Graph) -> Iterator[Problem]:
    reached = graph.reachable([graph.first])
    can_end = graph.can_end()
    for step in definition.steps:
        if step.id not in reached:
            yield Problem(f"steps.{step.id}", "no path leads here; remove the step or lead one here")
        elif step.id not in can_end:
            yield Problem(f"steps.{step.id}", "no path leads from here to an exit; lead a branch to exit")


def _loops(graph: Graph) -> Iterator[Problem]:
    for loop in graph.loops_without_a_wait():
        hint = ""
        if any(isinstance(graph.steps[step], WaitUntil) for step in loop):
            hint = " (a wait_until whose date has passed does not wait)"
        elif any(isinstance(graph.steps[step], Wait) for step in loop):
            hint = " (a wait since the entry, or since joining, does not wait a second time)"
        yield Problem(f"steps.{loop[0]}", f"this loop never waits: {_way(loop)}; put a wait into it{hint}")
    for loop in graph.loops_where_nothing_was_sent():
        yield Problem(
            f"steps.{loop[0]}",
            f"whoever cannot be sent the message does not wait in this loop: {_way(loop)}, and their run fails; "
            "put a wait into it, or leave it by an if",
            "warning",
        )


def _way(loop: list[str]) -> str:
    return " → ".join([*loop, loop[0]])


def _awaited_steps(definition: JourneyDefinition, graph: Graph) -> Iterator[Problem]:
    senders = [step.id for step in definition.steps if isinstance(step, SendEmail | SendSms)]
    for step in definition.steps:
        if not isinstance(step, WaitForClick):
            continue
        path = f"steps.{step.id}.sent_by"
        if step.sent_by not in graph.steps:
            yield Problem(path, f"no step is called {step.sent_by!r}{did_you_mean(step.sent_by, senders)}")
        elif step.sent_by not in senders:
            yield Problem(path, f"{step.sent_by!r} sends nothing; name the step that sends the message")
        elif step.id in graph.reachable([graph.first], without=step.sent_by):
            yield Problem(path, f"a path comes here without passing {step.sent_by!r}: there is no message to wait for")


def _entry(definition: JourneyDefinition, catalog: Catalog) -> Iterator[Problem]:
    entry = definition.entry
    if entry is None:
        return
    several = not isinstance(entry.segment, str)
    wanted = [
        (f"entry.segment.{number}" if several else "entry.segment", key) for number, key in enumerate(entry.segments)
    ]
    wanted += [(f"entry.exclude.{number}", key) for number, key in enumerate(entry.exclude)]
    for path, key in wanted:
        yield from _segment(path, key, catalog)
    for number, key in enumerate(entry.exclude):
        if key in entry.segments and len(entry.segments) == 1:
            yield Problem(f"entry.exclude.{number}", f"nobody would enter: {key!r} is the segment that enters")
    if entry.is_once and definition.reentry.limit == 1 and entry.rejoin:
        yield Problem("reentry.limit", "nobody would enter again: 'limit: 1' is at odds with 'rejoin'")


def _times(definition: JourneyDefinition, now: datetime | None) -> Iterator[Problem]:
    """Look at instants that are known beforehand: starts that nobody can meet, and what has passed already."""
    version = JourneyVersion(definition)
    window, schedule = version.window, definition.entry.schedule if definition.entry else None
    if window.opens_at and window.closes_at and window.closes_at <= window.opens_at:
        yield Problem("window.closes", "is not after 'opens': nobody could ever enter")
    if window.closes_at and now is not None and window.closes_at < now:
        yield Problem("window.closes", "has passed: the journey would be closed at once")
    if schedule is None or definition.entry is None:
        return
    frequency = definition.entry.frequency
    until = resolve(schedule.until, version.zone) if schedule.until is not None else None
    start = _start(schedule, version.zone, now)
    path = "entry.schedule.start.at" if isinstance(schedule.start, AtTime) else "entry.schedule.start"
    if start is not None:
        if until is not None and until < start:
            yield Problem("entry.schedule.until", "is before the start: nobody would ever enter")
        if window.closes_at is not None and start > window.closes_at:
            yield Problem(path, "is after the window closes: nobody would ever enter")
        if window.opens_at is not None and start < window.opens_at and frequency == "once":
            yield Problem(path, "is before the window opens: nobody would enter then")
    if now is not None and start is not None and start < now:
        yield from _passed(schedule, version, path, now)


def _start(schedule: Schedule, zone: ZoneInfo, now: datetime | None) -> datetime | None:
    """Return the first instant; ``None`` where it follows from a publication that is still to come."""
    if isinstance(schedule.start, AtTime):
        return resolve(schedule.start.at, zone)
    return start_of(schedule, zone, now) if now is not None else None


def _passed(schedule: Schedule, version: JourneyVersion, path: str, now: datetime) -> Iterator[Problem]:
    """Say what comes of a start that has passed."""
    if schedule.every is None:
        yield Problem(path, "has passed: the segment enters at once", "warning")
    elif next_occurrences(schedule, version.zone, now, since=now, limit=1):
        yield Problem(path, "has passed: the next occurrence is the first", "warning")
    else:
        ends = "entry.schedule.until" if schedule.until is not None else "entry.schedule.times"
        yield Problem(ends, "every occurrence has passed: nobody would enter any more", "warning")


def _segment(path: str, key: str, catalog: Catalog) -> Iterator[Problem]:
    if not catalog.has_segment(key):
        yield Problem(path, f"no segment is called {key!r}{did_you_mean(key, catalog.segments())}")


def _messages(definition: JourneyDefinition, catalog: Catalog) -> Iterator[Problem]:
    for step in definition.steps:
        if not isinstance(step, SendEmail | SendSms):
            continue
        path = f"steps.{step.id}.message"
        channel = "email" if isinstance(step, SendEmail) else "sms"
        message = catalog.message(step.message)
        if message is None:
            hint = did_you_mean(step.message, catalog.messages())
            yield Problem(path, f"no message is called {step.message!r}{hint}")
            continue
        if message.channel != channel:
            yield Problem(path, f"{step.message!r} is for {message.channel}, and the step sends {channel}")
        if message.version == 0:
            remedy = f"make it ready first: wend messages ready {step.message}"
            yield Problem(path, f"{step.message!r} is still a draft; {remedy}")
        elif message.edited:
            remedy = f"to send what was edited since: wend messages ready {step.message}"
            yield Problem(path, f"{step.message!r} is sent as its version {message.version}; {remedy}", "warning")
        if message.unknown_property is not None and definition.entry is not None:
            remedy = "members of a segment bring no properties; give it a default"
            yield Problem(path, f"{step.message!r} cannot be sent to them: {message.unknown_property}; {remedy}")


def _awaited_links(definition: JourneyDefinition, catalog: Catalog) -> Iterator[Problem]:
    senders = {step.id: step for step in definition.steps if isinstance(step, SendEmail | SendSms)}
    for step in definition.steps:
        if not isinstance(step, WaitForClick) or step.sent_by not in senders:
            continue
        key = senders[step.sent_by].message
        message = catalog.message(key)
        if message is None or message.version == 0:
            continue  # said above
        if step.link is not None and step.link not in message.links:
            names = ", ".join(message.links) or "none"
            hint = did_you_mean(step.link, message.links)
            yield Problem(f"steps.{step.id}.link", f"{key!r} has no link {step.link!r}{hint} (links: {names})")
        elif not message.links:
            yield Problem(f"steps.{step.id}", f"{key!r} has no tracked link, so no click can come")


def _conditions(definition: JourneyDefinition, catalog: Catalog) -> Iterator[Problem]:
    for step in definition.steps:
        if isinstance(step, If):
            for number, case in enumerate(step.cases):
                for key in sorted(segments_of(case.when)):
                    yield from _segment(f"steps.{step.id}.cases.{number}.when", key, catalog)


def _properties(definition: JourneyDefinition) -> Iterator[Problem]:
    """Warn where something is asked of the run's properties, and whoever comes by a segment has none."""
    if definition.entry is None:
        return
    for path, name in properties_used(definition):
        told = f"members of a segment bring no properties: {name!r} is known for runs started through the API alone"
        yield Problem(path, told, "warning")


def _events(definition: JourneyDefinition) -> Iterator[Problem]:
    """Refuse to wait for clicks as events: which message and link is meant, only ``wait_for_click`` can say."""
    for step in definition.steps:
        if isinstance(step, WaitForEvent) and step.event == CLICK:
            yield Problem(f"steps.{step.id}.event", "'click' is no event that anybody sends; use wait_for_click")
        if isinstance(step, If):
            for number, case in enumerate(step.cases):
                if CLICK in events_of(case.when):
                    path = f"steps.{step.id}.cases.{number}.when"
                    yield Problem(path, "'click' is no event that anybody sends; branch with wait_for_click")
