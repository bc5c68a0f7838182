"""Scenarios as data: journeys, people, what happens to them and when, and the path that each run must take.

A YAML file holds what its scenarios share and, under ``scenarios``, each one's own part; mappings are merged, anything
else is replaced. An instant is written as an offset from the scenario's start (``PT2H``) or with its date and zone
(``2040-12-10T08:00Z``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from wend.documents import read_document
from wend.journeys.checks import MessageInfo
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.durations import Duration, parse_duration
from wend.journeys.freezes import Freeze, is_frozen
from wend.journeys.model import Model, parse_wall
from wend.messages.content import MessageContent
from wend.messages.links import declared_links

ORDINARY_START = datetime(2040, 3, 5, 9, tzinfo=UTC)
"""A Monday well ahead of the host's clock: a run's virtual clock only ever goes forward."""

Answer = Literal["accepted", "uncertain", "refused", "not_accepted"]
"""How the provider answers a send."""


def _parse_when(text: object) -> object:
    return parse_duration(text) if isinstance(text, str) and text.startswith("P") else parse_wall(text)


When = Annotated[timedelta | datetime, BeforeValidator(_parse_when)]


class Person(Model):
    """A profile."""

    identities: Mapping[str, str] = {}
    attributes: Mapping[str, Any] = {}
    time_zone: str | None = None


class Group(Model):
    """A segment: a rule's document, or the names of its members."""

    rule: Any = None
    members: tuple[str, ...] = ()


# -- what happens -------------------------------------------------------------------------------------------------


class Start(Model):
    """A profile enters; the run is called ``run``, or by the profile's name."""

    at: When
    start: str
    run: str = ""
    journey: str = ""
    properties: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        return self.run or self.start


class OnLink(Model):
    """Which link of which message of which run."""

    run: str
    step: str
    visit: int = 1
    link: str


class Click(Model):
    """Somebody or something opens a tracked link."""

    at: When
    click: OnLink
    by: Literal["person", "head", "bot", "prefetch"] = "person"


class Happens(Model):
    """An event of a profile, from outside; the same ``key`` again is the same event again."""

    at: When
    event: str
    profile: str
    properties: Mapping[str, Any] = {}
    key: str | None = None


class Update(Model):
    """A profile's attributes are changed from outside; ``null`` removes one."""

    at: When
    update: str
    attributes: Mapping[str, Any]


class Delete(Model):
    """A profile is deleted."""

    at: When
    delete: str


class Join(Model):
    """A profile comes into a list segment."""

    at: When
    join: str
    segment: str


class Publish(Model):
    """A journey is published again: newcomers take the new version, runs inside stay on theirs."""

    at: When
    publish: JourneyDefinition


class Stop(Model):
    """A journey is stopped, and with it every run of it."""

    at: When
    stop: str


class Pauses(Model):
    """A journey is paused: its runs send nothing, and their waits ``run`` on or ``freeze``."""

    at: When
    pause: str
    waits: Literal["run", "freeze"] = "run"


class Resumes(Model):
    """A paused journey goes on."""

    at: When
    resume: str


class OutOf(Model):
    """What is taken out: one run, or every run of a profile, of one journey or of all."""

    run: str | None = None
    profile: str | None = None
    journey: str | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.run is None) is (self.profile is None):
            raise ValueError("take out a run or a profile")
        return self


class TakeOut(Model):
    """Somebody is taken out."""

    at: When
    take_out: OutOf


class MoveRuns(Model):
    """The runs of a journey that wait are moved to another version, which has the steps where they stand."""

    at: When
    move: str
    to: int


_EVENTS: Mapping[str, type[Model]] = {
    "start": Start,
    "click": Click,
    "event": Happens,
    "update": Update,
    "delete": Delete,
    "join": Join,
    "publish": Publish,
    "stop": Stop,
    "pause": Pauses,
    "resume": Resumes,
    "take_out": TakeOut,
    "move": MoveRuns,
}


def _kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((kind for kind in _EVENTS if kind in value), None)
    return next((kind for kind, model in _EVENTS.items() if isinstance(value, model)), None)


Event = Annotated[
    Annotated[Start, Tag("start")]
    | Annotated[Click, Tag("click")]
    | Annotated[Happens, Tag("event")]
    | Annotated[Update, Tag("update")]
    | Annotated[Delete, Tag("delete")]
    | Annotated[Join, Tag("join")]
    | Annotated[Publish, Tag("publish")]
    | Annotated[Stop, Tag("stop")]
    | Annotated[Pauses, Tag("pause")]
    | Annotated[Resumes, Tag("resume")]
    | Annotated[TakeOut, Tag("take_out")]
    | Annotated[MoveRuns, Tag("move")],
    Discriminator(_kind),
]

# -- what must come of it -----------------------------------------------------------------------------------------


class ExpectedMove(Model):
    """One move: where to, why, and when.

    Attributes:
        why: The kind of its reason.
        of: Fields that the reason must have: ``{link: details}``. A date with its zone must be met to the microsecond
            on both engines, an offset within the engine's tolerance.
    """

    to: str
    why: str
    at: When
    of: Mapping[str, Any] = {}


class ExpectedClick(Model):
    """One click on a message of the run."""

    link: str
    counted: bool = True
    note: str | None = None
    late_by: Duration | None = None


class Expected(Model):
    """A run's path and end. ``messages`` are the ledger's states by step, visits in order; nothing sent, no state."""

    path: tuple[ExpectedMove, ...]
    outcome: Literal["completed", "exited", "stopped", "failed"] = "completed"
    reason: str | None = None
    messages: Mapping[str, str | tuple[str, ...]] = {}
    clicks: tuple[ExpectedClick, ...] = ()


# -- scenarios ----------------------------------------------------------------------------------------------------


class Scenario(Model):
    """One story.

    Attributes:
        journeys: Definitions; a start without a journey enters the first.
        provider: How the provider answers, by step, calls in order; ``accepted`` where nothing is said.
        attributes: What profiles must hold in the end, by profile and attribute.
        expect: Runs by name.
    """

    name: str
    starts_at: datetime = ORDINARY_START
    journeys: tuple[JourneyDefinition, ...] = Field(min_length=1)
    messages: Mapping[str, MessageContent] = {}
    segments: Mapping[str, Group] = {}
    profiles: Mapping[str, Person]
    provider: Mapping[str, tuple[Answer, ...]] = {}
    events: tuple[Event, ...]
    attributes: Mapping[str, Mapping[str, Any]] = {}
    expect: Mapping[str, Expected] = {}

    @model_validator(mode="after")
    def _names_its_runs(self) -> Self:
        runs = [event.name for event in self.events if isinstance(event, Start)]
        if len(set(runs)) < len(runs):
            raise ValueError(f"two runs of {self.name!r} have one name: {runs}")
        if self.expect and set(runs) != set(self.expect):
            raise ValueError(f"{self.name!r} starts {runs} and expects {list(self.expect)}")
        return self

    def instant(self, when: timedelta | datetime) -> datetime:
        """Return an instant of this scenario, in UTC."""
        return (self.starts_at + when if isinstance(when, timedelta) else when).astimezone(UTC)

    def timeline(self) -> list[tuple[datetime, Event]]:
        """Return what happens, in the order of time; what happens at once in the order in which it is written."""
        return sorted(((self.instant(event.at), event) for event in self.events), key=lambda pair: pair[0])

    def journey(self, start: Start) -> JourneyDefinition:
        """Return the version that a start enters: the last one published before it."""
        key = start.journey or self.journeys[0].key
        versions = [each for each in self.journeys if each.key == key]
        for _, event in self.timeline():
            if event is start:
                return versions[-1]
            if isinstance(event, Publish) and event.publish.key == key:
                versions.append(event.publish)
        raise ValueError(f"{start} is not of this scenario")

    def definitions(self) -> list[JourneyDefinition]:
        """Return every version of every journey, in the order in which they are published."""
        return [*self.journeys, *(event.publish for _, event in self.timeline() if isinstance(event, Publish))]

    def versions(self, key: str) -> list[JourneyVersion]:
        """Return the versions of a journey, numbered as they are where nobody else publishes it."""
        ours = [each for each in self.definitions() if each.key == key]
        return [JourneyVersion(each, number) for number, each in enumerate(ours, start=1)]

    def entered(self, start: Start) -> JourneyVersion:
        """Return the version that a start enters."""
        definition = self.journey(start)
        return next(each for each in self.versions(definition.key) if each.definition is definition)

    def freezes(self, key: str) -> list[Freeze]:
        """Return the stretches in which the waits of a journey do not pass."""
        found: list[Freeze] = []
        for instant, event in self.timeline():
            match event:
                case Pauses(pause=paused, waits="freeze") if paused == key:
                    found.append(Freeze(instant))
                case Resumes(resume=resumed) if resumed == key and is_frozen(found):
                    found[-1] = Freeze(found[-1].from_at, instant)
                case _:
                    pass
        return found


@dataclass(frozen=True)
class ScenarioCatalog:
    """What exists beside the journeys of a scenario, for the publish checks; every message is ready."""

    scenario: Scenario

    def message(self, key: str) -> MessageInfo | None:
        content = self.scenario.messages.get(key)
        return MessageInfo(content.channel, 1, tuple(declared_links(content))) if content else None

    def messages(self) -> list[str]:
        return list(self.scenario.messages)

    def has_segment(self, key: str) -> bool:
        return key in self.scenario.segments

    def segments(self) -> list[str]:
        return list(self.scenario.segments)


_scenario: TypeAdapter[Scenario] = TypeAdapter(Scenario)


def read_scenarios(folder: Path) -> Iterator[Scenario]:
    """Yield the scenarios of every YAML file of a folder.

    Raises:
        InvalidDocument: A file is no YAML.
        pydantic.ValidationError: A file says something that scenarios have no word for.
    """
    for path in sorted(folder.glob("*.yaml")):
        shared = read_document(path.read_text(), path.name)
        for own in shared.pop("scenarios"):
            yield _scenario.validate_python(_merged(shared, own))


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: {**shared[name], **own[name]}
        for name in shared.keys() & own.keys()
        if isinstance(shared[name], Mapping) and isinstance(own[name], Mapping)
    }
    return {**shared, **own, **both}
