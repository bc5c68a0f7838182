"""Walks end, repeat themselves, and leave alone what they are given."""

import copy
from datetime import timedelta

import pytest

from tests.unit.journeys.kernel import RUN, TICK, Ride, T, journey, person
from wend.journeys.advance import MOST_MOVES, advance
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.facts import Happening
from wend.journeys.results import Finish, Park
from wend.journeys.simulation import SimulatedFacts, nobody
from wend.journeys.state import RunState, SendOutcome, message_id

ALWAYS = "{not: {attribute: nothing, op: exists}}"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(f"  - {{id: a, type: if, cases: [{{when: {ALWAYS}, next: a}}]}}", id="an if to itself"),
        pytest.param(
            f"""
  - {{id: a, type: if, cases: [{{when: {ALWAYS}, next: b}}]}}
  - {{id: b, type: if, cases: [{{when: {ALWAYS}, next: a}}]}}
""",
            id="two ifs",
        ),
        pytest.param("  - {id: a, type: send_email, message: news, next: a}", id="a send to itself"),
        pytest.param(
            """
  - {id: a, type: send_email, message: news}
  - {id: b, type: update_profile, set: {x: 1}, next: a}
""",
            id="a send and an update",
        ),
        pytest.param("  - {id: a, type: wait_until, at: 2020-01-01T00:00, next: a}", id="a date long past"),
    ],
)
def test_a_walk_that_comes_back_without_having_waited_fails_the_run(steps: str) -> None:
    ride = Ride(journey(steps)).wake(T)
    assert ride.finish is not None
    assert (ride.finish.outcome, ride.finish.reason) == ("failed", "endless_loop")
    assert ride.finish.detail == "came back to step 'a' without having waited"
    assert len(ride.state.sent) <= 1, "nobody is sent the same message twice on the way"


def test_a_loop_of_clicks_fails_whom_nothing_can_be_sent_to() -> None:
    """Publishing warns of it: who was sent nothing has no click to wait for."""
    ride = Ride(
        journey("""
  - {id: remind, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: remind, within: P1D, on_click: exit, on_timeout: remind}
""")
    )
    ride.outcomes["remind"] = ["no_address", "no_address"]
    ride.wake(T)
    assert ride.finish is not None
    assert ride.finish.reason == "endless_loop"


@pytest.mark.parametrize("outcome", ["accepted", "no_address"])
def test_a_loop_that_waits_goes_round_for_as_long_as_it_likes(outcome: SendOutcome) -> None:
    ride = Ride(
        journey("""
  - {id: remind, type: send_email, message: news}
  - {id: mark, type: update_profile, set: {reminded: true}}
  - {id: pause, type: wait, for: P1D, next: remind}
""")
    )
    ride.outcomes["remind"] = [outcome] * 50
    ride.wake(T)
    for day in range(1, 50):
        ride.wake(T + timedelta(days=day))
    assert ride.finish is None
    assert ride.state.visits == {"remind": 50, "mark": 50, "pause": 50}


EVENTS = """
  - {id: bought, type: wait_for_event, event: purchase, within: P30D, since: entry, on_event: bought, on_timeout: exit}
"""


def test_a_loop_that_goes_on_by_an_event_each_time_ends_with_the_events() -> None:
    ride = Ride(journey(EVENTS)).wake(T)
    for number in range(20):
        ride.store(T + timedelta(minutes=number + 1), "purchase")
    ride.wake(T + timedelta(hours=1))
    assert ride.finish is None
    assert ride.state.visits == {"bought": 21}
    assert len({move.why.event_id for move in ride.moves[1:]}) == 20  # type: ignore[union-attr]


def test_a_walk_of_more_moves_than_any_journey_needs_fails_the_run() -> None:
    version = journey(EVENTS)
    state = advance(version, RunState(), SimulatedFacts(T, RUN, person(), {}, [], nobody)).state
    log = [
        Happening(message_id(RUN, "event", number), "purchase", T + (number + 1) * TICK)
        for number in range(MOST_MOVES + 1)
    ]
    answer = advance(version, state, SimulatedFacts(T + timedelta(days=1), RUN, person(), {}, log, nobody))
    assert answer.then == Finish("failed", "endless_loop", f"more than {MOST_MOVES} moves in one advance")
    assert len(answer.moves) == MOST_MOVES + 1
    answer = advance(version, state, SimulatedFacts(T + timedelta(days=1), RUN, person(), {}, log[1:], nobody))
    assert isinstance(answer.then, Park)
    assert len(answer.moves) == MOST_MOVES


def test_the_longest_journey_of_steps_that_do_not_wait_is_walked_in_one_go() -> None:
    steps = [
        {
            "id": f"s{number}",
            "type": "if",
            "cases": [{"when": {"attribute": "x", "op": "exists"}, "next": "exit"}],
            "else": f"s{number + 1}" if number < 999 else "exit",
        }
        for number in range(1000)
    ]
    version = JourneyVersion(JourneyDefinition.model_validate({"key": "long", "name": "Long", "steps": steps}))
    answer = advance(version, RunState(), SimulatedFacts(T, RUN, person(), {}, [], nobody))
    assert answer.then == Finish("completed")
    assert len(answer.moves) == 1001


def test_the_same_question_gets_the_same_answer_and_nothing_given_is_changed() -> None:
    version = journey("""
  - {id: announce, type: send_email, message: news}
  - {id: mark, type: update_profile, set: {x: {y: [1]}}}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D, on_click: choice, on_timeout: choice}
  - {id: choice, type: if, cases: [{when: {attribute: plan.name, op: eq, value: gold}, next: bought}], else: exit}
  - {id: bought, type: wait_for_event, event: purchase, within: P1D}
  - {id: out, type: exit, reason: done}
""")
    profile = person({"plan": {"name": "gold"}})
    log = [
        Happening(message_id(RUN, "e", 1), "click", T + TICK, {}, message_id(RUN, "announce", 1), "details"),
        Happening(message_id(RUN, "e", 2), "purchase", T + timedelta(hours=2), {"amount": 1}),
    ]
    state = RunState()
    for hours in (0, 0, 0, 1, 3, 30):
        facts = SimulatedFacts(T + timedelta(hours=hours), RUN, profile, {}, log, nobody)
        before = copy.deepcopy((version.definition.document(), state, profile, log))
        answer = advance(version, state, facts)
        assert advance(version, state, facts) == answer
        assert (version.definition.document(), state, profile, log) == before
        state = answer.state
        if not isinstance(answer.then, Finish) and state.step == "announce":
            state = state.with_sent("accepted", facts.now)
        elif state.step == "mark":
            state = state.with_effect()
    assert answer.then == Finish("exited", "done")


def test_a_run_never_moves_back_in_time() -> None:
    """A workflow's clock may be behind the one that stamped the event; what comes after it is not before it."""
    ride = Ride(
        journey("""
  - {id: bought, type: wait_for_event, event: purchase, within: P1D}
  - {id: mark, type: update_profile, set: {bought: true}}
  - {id: thanks, type: send_email, message: thanks}
  - {id: pause, type: wait, for: PT1H}
""")
    ).wake(T)
    event = ride.store(T + timedelta(seconds=5), "purchase")
    ride.wake(T + timedelta(seconds=4))
    assert [move.at for move in ride.moves] == [T, event.at, event.at, event.at]
    assert ride.park is not None
    assert ride.park.until == event.at + timedelta(hours=1)


def test_a_move_is_never_before_the_arrival_that_it_follows() -> None:
    version = journey("  - {id: mark, type: update_profile, set: {x: 1}}\n  - {id: pause, type: wait, for: PT1H}")
    arrived = RunState().arrive("mark", T + timedelta(seconds=1)).with_effect()
    answer = advance(version, arrived, SimulatedFacts(T, RUN, person(), {}, [], nobody))
    assert [move.at for move in answer.moves] == [T + timedelta(seconds=1)]
    assert answer.state.arrived_at == T + timedelta(seconds=1)
