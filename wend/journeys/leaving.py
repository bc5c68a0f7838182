"""What makes a run leave wherever it waits: an event that the journey exits on, and its greatest age."""

from datetime import datetime

from wend.journeys.definition import JourneyDefinition
from wend.journeys.facts import Facts
from wend.journeys.results import Finish
from wend.journeys.state import RunState
from wend.journeys.walltime import FOREVER, later


def leave_now(definition: JourneyDefinition, state: RunState, facts: Facts) -> Finish | None:
    """Return how a run leaves now, whatever its step would do; ``None`` if it stays."""
    if state.entered_at is None:
        return None
    for rule in definition.exit_on:
        for event in facts.events(rule.event, state.entered_at):
            if event.at > state.entered_at and rule.counts(event, facts.properties):
                return Finish("exited", rule.reason)
    if facts.now >= oldest_at(definition, state):
        return Finish("exited", "max_age")
    return None


def oldest_at(definition: JourneyDefinition, state: RunState) -> datetime:
    """Return when the run is as old as the journey lets it become."""
    if definition.max_age is None or state.entered_at is None:
        return FOREVER
    return later(state.entered_at, definition.max_age)
