"""Figures are counted from what is written down, and always add up."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend.channels.port import Accepted, NotAccepted, Outcome, Refused, Unknown
from wend.errors import NotFound
from wend.journeys.occurrences import Occurrence
from wend.journeys.results import Park, Send
from wend.journeys.serial import load_plan
from wend.lifecycle.figures import read_figures
from wend.runs.ledger import Claim
from wend.runs.requesting import StillInside
from wend.storage.database import Database
from wend.storage.tables import runs

A_DAY = timedelta(days=1)
DAILY = {"frequency": "repeating", "schedule": {"start": {"at": "2026-12-01T09:00"}, "every": "day"}}
BRANCHES = AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_journey_that_nobody_entered_has_figures_of_nothing(world: World) -> None:
    world.journey(DAY)
    figures = world.figures()
    assert (figures.state, figures.members, figures.entered, figures.inside) == ("live", 0, 0, 0)
    assert figures.steps == []


def test_there_are_no_figures_of_a_journey_that_does_not_exist(world: World) -> None:
    with pytest.raises(NotFound):
        world.figures("nowhere")


def test_every_step_says_who_came_who_is_there_and_how_they_left(world: World) -> None:
    world.journey(MAIL | {"on_failure": "exit"}, BRANCHES, TEXT)
    clicker, waiter, sender, refused, no_phone = (
        world.enter(world.person(name, phone=None if name == "egon" else "+12025550147"))
        for name in ("ada", "ben", "cleo", "dora", "egon")
    )
    for run_id in (clicker, waiter, no_phone):
        world.send(run_id)
    world.send(refused, Refused("recipient_refused"))
    world.send(sender, NotAccepted("rate_limited"))
    for run_id in (clicker, no_phone):
        world.click(run_id)
        world.click(run_id, note="bot")
        world.advance(run_id)
    world.claim(no_phone)
    world.send(clicker)

    figures = world.figures()

    assert (figures.entered, figures.inside, figures.pending) == (5, 2, 0)
    assert figures.outcomes == {"completed": 3}
    steps = {step.step: step for step in figures.steps}
    assert (steps["mail"].entered, steps["mail"].here) == (5, 1)
    assert steps["mail"].left == {"message_settled": 4}
    assert steps["mail"].messages == {"accepted": 3, "refused": 1, "released": 1}
    assert steps["mail"].clicks == {"counted": 2, "bot": 2}
    assert (steps["look"].entered, steps["look"].here, steps["look"].left) == (3, 1, {"clicked": 2})
    assert (steps["text"].entered, steps["text"].here, steps["text"].left) == (2, 0, {"message_settled": 2})
    assert figures.messages == {"accepted": 4, "refused": 1, "released": 1}


def test_exclusions_are_counted_by_reason(world: World) -> None:
    world.people(["ada", "ben"], member=True)
    world.person("cleo", email=None, attributes={"member": True})
    world.rule("everybody", {"attribute": "member", "op": "exists"})
    world.journey(DAY, entry=DAILY | {"segment": "everybody", "namespace": "email"})
    for day in range(2):
        world.desk.open("trip", Occurrence(f"day-{day}", T0 + day * A_DAY), T0 + day * A_DAY)

    figures = world.figures()

    assert (figures.members, figures.entered, figures.pending) == (6, 2, 2)
    assert figures.excluded == {"no_identity": 2, "still_inside": 2}


def test_steps_come_in_the_order_that_was_asked_for(world: World) -> None:
    world.journey(MAIL, DAY)
    world.send(world.enter(world.person("ada")))
    with world.database.read() as connection:
        figures = read_figures(connection, "trip", ["day", "other", "mail"])
    assert [step.step for step in figures.steps] == ["day", "other", "mail"]


# -- any history --------------------------------------------------------------------------------------------------

OUTCOMES: list[Outcome] = [
    Accepted("r"),
    Refused("recipient_refused"),
    Unknown("timed_out"),
    NotAccepted("provider_unavailable"),
]


@dataclass
class Passage:
    """A journey that people go through in any way."""

    world: World
    key: str
    people: list[UUID]
    inside: list[UUID] = field(default_factory=list)

    def enter(self, which: int) -> None:
        try:
            self.inside.append(self.world.enter(self.people[which % len(self.people)], self.key))
        except StillInside:
            assert self.inside

    def act(self, which: int, way: int) -> None:
        if not self.inside:
            return
        run_id = self.inside[which % len(self.inside)]
        plan = load_plan(self.world.row(run_id).answer)
        if isinstance(plan, Send) and way % 5 < 4:
            claim = self.world.claim(run_id)
            if isinstance(claim, Claim):
                self.world.settle(claim, OUTCOMES[way % 5])
        elif isinstance(plan, Send):
            self.world.claim(run_id)  # and the attempt dies
        elif isinstance(plan, Park) and way % 3 and self.world.path(run_id).messages:
            self.world.click(run_id, 1 + way % 2)
            self.world.advance(run_id)
        else:
            self.world.later(A_DAY)
            self.world.advance(run_id)
        if self.world.row(run_id).ended_at is not None:
            self.inside.remove(run_id)


_numbers = count(1)
_events = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 14), st.booleans()), min_size=5, max_size=25)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(history=_events, stops=st.booleans())
def test_figures_add_up_after_any_history(world: World, history: list[tuple[int, int, bool]], stops: bool) -> None:
    """Inflow is here now plus left, for every step, for each version and for all of them."""
    key = f"trip-{next(_numbers)}"
    people = [world.person(name, phone=None if name == "ben" else "+12025550147") for name in ("ada", "ben", "cleo")]
    more = {"when": {"attribute": "enough", "op": "exists"}, "next": "exit"}
    again = {"id": "again", "type": "if", "cases": [more], "else": "mail"}
    mail, look = MAIL | {"retries": 1, "on_failure": "text"}, BRANCHES | {"on_timeout": "day"}
    world.journey(mail, look, DAY, again, TEXT, key=key)
    passage = Passage(world, key, people)
    for place, (which, way, enters) in enumerate(history):
        if place == len(history) // 2:
            world.journey(DAY, MAIL, BRANCHES, TEXT, key=key)
        if enters:
            passage.enter(which)
        else:
            passage.act(which, way)
        world.figures(key)
    if stops:
        world.stop(key)

    figures = world.figures(key)  # which asserts that they add up
    versions = [world.figures(key, version) for version in (1, 2)]

    assert sum(each.entered for each in versions) == figures.entered == len(world.rows(runs, runs.c.journey_key == key))
    assert not stops or figures.inside == 0
