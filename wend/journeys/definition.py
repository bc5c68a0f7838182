"""The journey definition: the document, and a published version of it made ready to walk."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from wend.journeys.durations import PositiveDuration
from wend.journeys.entry import Entry, Opening, Reentry, Window
from wend.journeys.model import Key, Model, ZoneName, load_zone
from wend.journeys.state import EXIT
from wend.journeys.steps import AnyStep
from wend.journeys.steps.wait_for_event import EventMatch


class ExitRule(EventMatch):
    """An event after the entry on which a run leaves, as ``exited`` for this reason."""

    reason: Key = "exit_event"


class JourneyDefinition(Model):
    """A journey: who enters, and the steps that each of them takes.

    Steps are a flat list. ``next`` defaults to the step that stands below, the last one's to ``exit``; paths may
    join; a loop is legal only if every way round it waits.

    Attributes:
        time_zone: For every wall time without a zone of its own.
        entry: A journey without one is entered through the API alone.
        reentry: Whether a profile that has been in the journey enters it again.
        window: When anybody may enter at all.
        exit_on: Events on which a run leaves at once, wherever it waits.
        max_age: How long a run may last; it leaves as ``exited(max_age)`` then. Without it there is no limit.
    """

    key: Key
    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=4000)
    time_zone: ZoneName = "UTC"
    entry: Entry | None = None
    reentry: Reentry = Reentry()
    window: Window | None = None
    exit_on: tuple[ExitRule, ...] = Field(default=(), max_length=20)
    max_age: PositiveDuration | None = None
    steps: tuple[AnyStep, ...] = Field(min_length=1, max_length=1000)

    def document(self) -> dict[str, Any]:
        """Return the JSON document: defaults written out, so that its meaning never changes with them."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the canonical document: the same for YAML and JSON, whatever the order of fields."""
        return hashlib.sha256(canonical_json(self.document()).encode()).hexdigest()

    def following(self) -> dict[str, str]:
        """Return, for each step, the id of the step that stands below it."""
        below = [step.id for step in self.steps[1:]] + [EXIT]
        return {step.id: next_id for step, next_id in zip(self.steps, below, strict=True)}


def canonical_json(document: Any) -> str:
    """Return the one spelling of a JSON document: sorted keys, no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class JourneyVersion:
    """A published version: a definition that never changes, and the message versions that it sends."""

    definition: JourneyDefinition
    number: int = 1
    messages: Mapping[str, int] | None = None

    @cached_property
    def steps(self) -> dict[str, AnyStep]:
        return {step.id: step for step in self.definition.steps}

    @cached_property
    def following(self) -> dict[str, str]:
        return self.definition.following()

    @cached_property
    def first(self) -> str:
        return self.definition.steps[0].id

    @cached_property
    def zone(self) -> ZoneInfo:
        return load_zone(self.definition.time_zone)

    @cached_property
    def window(self) -> Opening:
        return Opening.of(self.definition.window, self.zone)
