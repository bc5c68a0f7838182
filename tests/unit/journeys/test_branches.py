"""``if`` and its conditions: two-valued, first match first, on the profile as it is on arrival."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.journeys.kernel import RUN, TICK, Ride, T, journey, person
from wend.journeys.conditions import events_of, properties_of, segments_of
from wend.journeys.facts import ProfileView
from wend.journeys.results import Finish, Matched, NoMatch
from wend.journeys.state import message_id
from wend.journeys.steps import If

DAY = timedelta(days=1)

STEPS = """
  - {{id: choice, type: if, cases: [{cases}]{otherwise}}}
  - {{id: one, type: wait, for: P30D, next: exit}}
  - {{id: two, type: wait, for: P30D, next: exit}}
  - {{id: other, type: wait, for: P30D, next: exit}}
"""


def choose(
    *conditions: str,
    attributes: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    otherwise: str = ", else: other",
) -> Ride:
    """Return a run that has chosen among steps one and two by these conditions."""
    targets = ("one", "two")
    cases = ", ".join(
        f"{{when: {when}, next: {target}}}" for when, target in zip(conditions, targets[: len(conditions)], strict=True)
    )
    version = journey(STEPS.format(cases=cases, otherwise=otherwise))
    return Ride(version, person(attributes), properties=properties).wake(T)


GOLD = "{attribute: plan, op: eq, value: gold}"
OLD = "{attribute: age, op: gte, value: 60}"


@pytest.mark.parametrize(
    ("attributes", "taken"),
    [
        ({"plan": "gold", "age": 70}, "one"),
        ({"plan": "gold"}, "one"),
        ({"plan": "basic", "age": 60}, "two"),
        ({"plan": "basic", "age": 59}, "other"),
        ({}, "other"),
    ],
)
def test_the_first_case_that_holds_is_taken(attributes: dict[str, Any], taken: str) -> None:
    assert choose(GOLD, OLD, attributes=attributes).path == ["choice", taken]


def test_where_no_case_holds_and_there_is_no_else_the_run_exits_and_says_so() -> None:
    ride = choose(GOLD, attributes={"plan": "basic"}, otherwise="")
    assert ride.finish == Finish("exited", "no_branch")
    assert ride.path == ["choice", "exit"]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        pytest.param("{attribute: plan, op: ne, value: gold}", False, id="a missing attribute is not unequal"),
        pytest.param("{not: {attribute: plan, op: eq, value: gold}}", True, id="but its equality does not hold"),
        pytest.param("{not: {attribute: plan, op: ne, value: gold}}", True, id="nor does its inequality"),
        pytest.param("{attribute: name, op: gt, value: 5}", False, id="text is not more than a number"),
        pytest.param("{attribute: name, op: lte, value: 5}", False, id="nor at most a number"),
        pytest.param("{not: {attribute: name, op: lte, value: 5}}", True, id="and not of it is true"),
        pytest.param("{attribute: nothing, op: exists}", False, id="null is missing"),
        pytest.param("{attribute: nothing, op: exists, value: false}", True, id="missing can be asked for"),
        pytest.param("{attribute: address.city, op: eq, value: Paris}", True, id="within an object"),
        pytest.param("{attribute: name.city, op: exists}", False, id="within what is no object"),
        pytest.param("{attribute: born, op: before, value: {ago: P6570D}}", True, id="a date relative to now"),
        pytest.param("{attribute: name, op: before, value: 2026-12-10}", False, id="text that is no date"),
        pytest.param("{not: {not: {attribute: name, op: eq, value: Ada}}}", True, id="not of not"),
    ],
)
def test_a_condition_is_true_or_false_and_never_unknown(condition: str, holds: bool) -> None:
    attributes = {"name": "Ada", "address": {"city": "Paris"}, "born": "1990-05-01", "nothing": None}
    assert choose(condition, attributes=attributes).path[-1] == ("one" if holds else "other")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        pytest.param("{property: order.total, op: gte, value: 100}", True, id="at least"),
        pytest.param("{property: order.total, op: gt, value: 100}", False, id="more than"),
        pytest.param("{property: order.total, op: lt, value: '200'}", False, id="a number is not less than text"),
        pytest.param("{property: order.items, op: contains, value: tea}", True, id="an element"),
        pytest.param("{property: order.due, op: before, value: {ahead: P7D}}", True, id="a date relative to now"),
        pytest.param("{property: order.express, op: exists}", False, id="null is missing"),
        pytest.param("{property: order.express, op: ne, value: true}", False, id="what is missing is not unequal"),
        pytest.param("{not: {property: order.express, op: ne, value: true}}", True, id="and not of it is true"),
        pytest.param("{property: order.total.net, op: exists}", False, id="within what is no object"),
        pytest.param("{property: plan, op: eq, value: gold}", False, id="an attribute is no property"),
        pytest.param("{attribute: order.total, op: eq, value: 100}", False, id="and a property is no attribute"),
        pytest.param(
            "{all: [{property: order.total, op: eq, value: 100}, {attribute: plan, op: eq, value: gold}]}",
            True,
            id="beside an attribute",
        ),
    ],
)
def test_what_the_run_was_started_with_is_compared_as_attributes_are(condition: str, holds: bool) -> None:
    order = {"total": 100, "items": ["tea", "milk"], "due": "2026-12-05", "express": None}
    ride = choose(condition, attributes={"plan": "gold"}, properties={"order": order})
    assert ride.path[-1] == ("one" if holds else "other")


def test_a_run_that_was_started_with_nothing_holds_no_comparison_with_a_property() -> None:
    ride = choose("{property: order.total, op: gte, value: 100}", "{property: order, op: exists, value: false}")
    assert ride.path[-1] == "two"


@pytest.mark.parametrize("gold", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_all_any_and_not_are_what_they_say(gold: bool, old: bool) -> None:
    attributes = {"plan": "gold" if gold else "basic", "age": 70 if old else 20}
    for condition, holds in (
        (f"{{all: [{GOLD}, {OLD}]}}", gold and old),
        (f"{{any: [{GOLD}, {OLD}]}}", gold or old),
        (f"{{not: {GOLD}}}", not gold),
        (f"{{not: {{any: [{GOLD}, {OLD}]}}}}", not (gold or old)),
        (f"{{all: [{{not: {GOLD}}}, {{any: [{OLD}]}}]}}", not gold and old),
    ):
        assert (choose(condition, attributes=attributes).path[-1] == "one") is holds, condition


def test_membership_is_asked_for_on_arrival() -> None:
    members: set[str] = set()
    asked: list[tuple[str, datetime]] = []

    def is_member(segment: str, profile: ProfileView, now: datetime) -> bool:
        asked.append((segment, now))
        return segment in members

    version = journey("""
  - {id: pause, type: wait, for: P1D}
  - {id: choice, type: if, cases: [{when: {segment: vips}, next: one}], else: exit}
  - {id: one, type: wait, for: P30D}
""")
    ride = Ride(version, memberships=is_member).wake(T)
    assert asked == []
    members.add("vips")
    assert ride.wake(T + DAY).path[-1] == "one"
    assert asked == [("vips", T + DAY)]


@pytest.mark.parametrize(
    ("ago", "holds"),
    [
        (timedelta(0), True),
        (7 * DAY, True),
        (7 * DAY + TICK, False),
    ],
    ids=["just now", "exactly so long ago", "longer ago"],
)
def test_an_event_counts_if_it_was_within_so_long(ago: timedelta, holds: bool) -> None:
    version = journey("""
  - {id: pause, type: wait, for: P30D}
  - {id: choice, type: if, cases: [{when: {event: purchase, within: P7D}, next: one}], else: exit}
  - {id: one, type: wait, for: P30D}
""")
    ride = Ride(version)
    ride.store(T + 30 * DAY - ago, "purchase")
    ride.store(T + 30 * DAY, "refund")
    ride.store(T + 30 * DAY, "purchase", message=message_id(RUN, "announce", 1))
    assert (ride.wake(T).wake(T + 30 * DAY).path[-1] == "one") is holds


def test_the_profile_is_looked_at_as_it_is_on_arrival_and_not_as_it_was_at_entry() -> None:
    version = journey(f"""
  - {{id: pause, type: wait, for: P1D}}
  - {{id: choice, type: if, cases: [{{when: {GOLD}, next: one}}], else: exit}}
  - {{id: one, type: wait, for: P30D}}
""")
    ride = Ride(version, person({"plan": "basic"})).wake(T)
    ride.profile = person({"plan": "gold"})
    assert ride.wake(T + DAY).path[-1] == "one"


def test_what_was_looked_at_is_told() -> None:
    ride = choose(f"{{all: [{GOLD}, {{segment: vips}}]}}", OLD, attributes={"plan": "gold", "age": 61})
    assert ride.why == Matched(2, {"plan": "gold", "segment vips": False, "age": 61})
    ride = choose(GOLD, attributes={})
    assert ride.why == NoMatch({"plan": None})
    ride = choose(GOLD, "{property: plan, op: eq, value: silver}", properties={"plan": "silver"})
    assert ride.why == Matched(2, {"plan": None, "property plan": "silver"})


def test_the_segments_events_and_properties_of_a_condition_are_found_however_deep() -> None:
    version = journey("""
  - id: choice
    type: if
    cases:
      - when: {all: [{segment: a}, {any: [{not: {segment: b}}, {event: e, within: P1D}]},
                     {not: {any: [{event: f, within: P1D}, {property: g.h, op: exists}]}}]}
        next: exit
""")
    step = version.steps["choice"]
    assert isinstance(step, If)
    assert segments_of(step.cases[0].when) == {"a", "b"}
    assert events_of(step.cases[0].when) == {"e", "f"}
    assert properties_of(step.cases[0].when) == {"g.h"}
