"""Sends, updates and exits: what a run does at them, and where it goes from there."""

import json
from typing import Any

import pytest

from tests.unit.journeys.kernel import RUN, Ride, T, journey, person
from wend.journeys.advance import advance
from wend.journeys.facts import ProfileView
from wend.journeys.results import Ended, Finish, MessageSettled, NothingSent, Send, SetAttributes, Updated
from wend.journeys.simulation import SimulatedFacts, nobody
from wend.journeys.state import RunState, SendOutcome, Sent, message_id


def facts(profile: ProfileView | None = None) -> SimulatedFacts:
    return SimulatedFacts(T, RUN, profile or person(), {}, [], nobody)


# -- sends ----------------------------------------------------------------------------------------------------------

SENDING = """
  - {{id: announce, type: {type}, message: news{more}}}
  - {{id: below, type: wait, for: P1D, next: exit}}
  - {{id: plan-b, type: wait, for: P1D, next: exit}}
"""


@pytest.mark.parametrize(("type", "channel"), [("send_email", "email"), ("send_sms", "sms")])
def test_a_send_is_asked_for_under_an_id_of_run_step_and_visit(type: str, channel: str) -> None:
    version = journey(SENDING.format(type=type, more=""))
    answer = advance(version, RunState(), facts())
    assert isinstance(answer.then, Send)
    assert answer.then == Send("announce", 1, message_id(RUN, "announce", 1), channel, "news")  # type: ignore[arg-type]
    again = advance(version, answer.state, facts())
    assert again.then == answer.then, "an unsettled send is asked for again, under the same id"
    assert again.moves == ()


@pytest.mark.parametrize("outcome", ["accepted", "uncertain", "no_address", "already_sent"])
@pytest.mark.parametrize("more", ["", ", on_failure: plan-b"])
def test_a_run_goes_on_from_a_send_that_was_not_refused(outcome: SendOutcome, more: str) -> None:
    ride = Ride(journey(SENDING.format(type="send_email", more=more)))
    ride.outcomes["announce"] = [outcome]
    ride.wake(T)
    assert ride.path == ["announce", "below"]
    assert ride.why == MessageSettled(outcome, message_id(RUN, "announce", 1))
    assert ride.state.sent == (Sent("announce", 1, outcome, T),)


@pytest.mark.parametrize("outcome", ["refused", "gave_up"])
def test_a_send_that_failed_for_good_takes_its_own_path_where_there_is_one(outcome: SendOutcome) -> None:
    ride = Ride(journey(SENDING.format(type="send_email", more=", on_failure: plan-b")))
    ride.outcomes["announce"] = [outcome]
    assert ride.wake(T).path == ["announce", "plan-b"]
    assert ride.why == MessageSettled(outcome, message_id(RUN, "announce", 1))


@pytest.mark.parametrize("outcome", ["refused", "gave_up"])
def test_a_send_that_failed_for_good_fails_the_run_where_there_is_none(outcome: SendOutcome) -> None:
    version = journey(SENDING.format(type="send_email", more=""))
    asked = advance(version, RunState(), facts())
    answer = advance(version, asked.state.with_sent(outcome, T, "550 no such mailbox"), facts())
    assert answer.then == Finish("failed", f"message_{outcome}", "550 no such mailbox")
    assert [(move.to_step, move.why) for move in answer.moves] == [("exit", Ended(f"message_{outcome}"))]


def test_every_visit_sends_a_message_of_its_own() -> None:
    ride = Ride(
        journey("""
  - {id: remind, type: send_sms, message: reminder}
  - {id: pause, type: wait, for: P1D, next: remind}
""")
    ).wake(T)
    for _ in range(2):
        assert ride.park is not None
        ride.wake(ride.park.until)
    assert [sent.visit for sent in ride.state.sent] == [1, 2, 3]
    assert len({message_id(RUN, sent.step, sent.visit) for sent in ride.state.sent}) == 3


def test_two_sends_of_one_message_are_told_apart_by_their_step() -> None:
    ride = Ride(
        journey("""
  - {id: first, type: send_email, message: news}
  - {id: second, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: second, within: P1D, on_click: exit, on_timeout: exit}
""")
    )
    ride.outcomes["second"] = ["no_address"]
    assert ride.wake(T).path == ["first", "second", "interested", "exit"]
    assert ride.why == NothingSent("second")


# -- update_profile ---------------------------------------------------------------------------------------------------


def test_attributes_are_set_once_and_the_next_step_sees_them() -> None:
    ride = Ride(
        journey("""
  - {id: mark, type: update_profile, set: {plan: gold, old: null}}
  - {id: choice, type: if, cases: [{when: {attribute: plan, op: eq, value: gold}, next: yes}], else: exit}
  - {id: yes, type: wait, for: P1D}
"""),
        person({"plan": "basic", "old": 1, "kept": True}),
    ).wake(T)
    assert ride.path == ["mark", "choice", "yes"]
    assert ride.moves[1].why == Updated(("plan", "old"))
    assert ride.applied == [{"plan": "gold", "old": None}]
    assert ride.profile is not None
    assert ride.profile.attributes == {"plan": "gold", "kept": True}


def test_an_update_that_is_not_known_to_be_applied_is_asked_for_again() -> None:
    version = journey("  - {id: mark, type: update_profile, set: {plan: gold}}")
    first = advance(version, RunState(), facts())
    assert first.then == SetAttributes({"plan": "gold"})
    assert advance(version, first.state, facts()).then == first.then
    applied = advance(version, first.state.with_effect(), facts())
    assert applied.then == Finish("completed")


def test_an_update_in_a_loop_is_applied_at_every_visit() -> None:
    ride = Ride(
        journey("""
  - {id: mark, type: update_profile, set: {seen: true}}
  - {id: pause, type: wait, for: P1D, next: mark}
""")
    ).wake(T)
    assert ride.park is not None
    ride.wake(ride.park.until)
    assert len(ride.applied) == 2


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "text", [1, [2]], {"a": {"b": None}}])
def test_every_json_value_can_be_set_and_is_kept_in_the_document(value: Any) -> None:
    version = journey(f"  - {{id: mark, type: update_profile, set: {{x: {json.dumps(value)}}}}}")
    assert version.definition.document()["steps"][0]["set"] == {"x": value}
    ride = Ride(version).wake(T)
    assert ride.applied == [{"x": value}]


FROM_ORDER = """
  - {{id: mark, type: update_profile, {set}set_from: {{last_order: {{property: order.id}}, city: {{property: city}}}}}}
  - {{id: choice, type: if, cases: [{{when: {{attribute: last_order, op: eq, value: A-17}}, next: yes}}], else: exit}}
  - {{id: yes, type: wait, for: P1D}}
"""


def test_attributes_are_set_from_what_the_run_was_started_with() -> None:
    properties = {"order": {"id": "A-17"}, "city": {"name": "Lyon"}}
    version = journey(FROM_ORDER.format(set="set: {buyer: true}, "))
    ride = Ride(version, person({"last_order": "A-1", "kept": 1}), properties=properties).wake(T)
    assert ride.path == ["mark", "choice", "yes"]
    assert ride.moves[1].why == Updated(("buyer", "last_order", "city"))
    assert ride.profile is not None
    assert ride.profile.attributes == {"last_order": "A-17", "kept": 1, "buyer": True, "city": {"name": "Lyon"}}


@pytest.mark.parametrize("city", [{}, {"city": None}], ids=["absent", "null"])
def test_what_the_run_was_started_without_leaves_the_attribute_as_it_is_and_the_move_says_so(
    city: dict[str, None],
) -> None:
    properties = {"order": {"id": "A-17"}, **city}
    ride = Ride(journey(FROM_ORDER.format(set="")), person({"city": "Nice"}), properties=properties).wake(T)
    assert ride.moves[1].why == Updated(("last_order",), missing=("city",))
    assert ride.profile is not None
    assert ride.profile.attributes == {"city": "Nice", "last_order": "A-17"}


def test_a_run_that_was_started_with_nothing_sets_nothing_and_goes_on() -> None:
    ride = Ride(journey(FROM_ORDER.format(set="")), person({"city": "Nice"})).wake(T)
    assert ride.applied == []
    assert ride.moves[1].why == Updated((), missing=("last_order", "city"))
    assert ride.path == ["mark", "choice", "exit"]


# -- next, for every step that has one --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        "{id: it, type: send_email, message: news",
        "{id: it, type: send_sms, message: news",
        "{id: it, type: wait, for: PT1H",
        "{id: it, type: wait_until, at: 2026-12-01T10:00",
        "{id: it, type: wait_until, attribute: due, on_missing: below",
        "{id: it, type: update_profile, set: {a: 1}",
    ],
)
@pytest.mark.parametrize(("more", "to"), [("", "below"), (", next: far", "far"), (", next: exit", "exit")])
def test_a_step_leads_to_its_next_and_to_the_step_below_where_it_names_none(step: str, more: str, to: str) -> None:
    steps = f"""
  - {step}{more}}}
  - {{id: below, type: wait, for: P30D}}
  - {{id: far, type: wait, for: P30D}}
"""
    ride = Ride(journey(steps), person({"due": "2026-12-01T10:00"})).wake(T)
    ride.wake(T.replace(hour=10))
    assert ride.path == ["it", to]


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "finish", "said"),
    [
        ("{id: out, type: exit}", Finish("completed"), "completed"),
        ("{id: out, type: exit, reason: not-interested}", Finish("exited", "not-interested"), "not-interested"),
    ],
)
def test_an_exit_step_ends_the_run_with_its_reason(step: str, finish: Finish, said: str) -> None:
    ride = Ride(journey(f"  - {step}")).wake(T)
    assert ride.finish == finish
    assert ride.path == ["out", "exit"]
    assert ride.why == Ended(said)


def test_the_last_step_leads_to_the_exit_and_the_run_is_completed() -> None:
    ride = Ride(journey("  - {id: only, type: send_email, message: news}")).wake(T)
    assert ride.finish == Finish("completed")
    assert [(move.from_step, move.to_step) for move in ride.moves] == [(None, "only"), ("only", "exit")]


@pytest.mark.parametrize(
    "step",
    [
        "{id: it, type: wait, for: P1D}",
        "{id: it, type: wait_until, at: 2027-01-01T00:00}",
        "{id: it, type: wait_for_event, event: purchase, within: P1D}",
    ],
)
def test_a_run_whose_profile_was_deleted_while_it_waits_exits_at_the_next_wake(step: str) -> None:
    ride = Ride(journey(f"  - {step}\n  - {{id: then, type: send_email, message: news}}")).wake(T)
    ride.profile = None
    ride.wake(T.replace(hour=10))
    assert ride.finish == Finish("exited", "profile_deleted")
    assert ride.path == ["it", "exit"]
    assert ride.state.sent == ()


def test_a_run_whose_profile_is_gone_before_it_begins_exits_without_a_step() -> None:
    ride = Ride(journey("  - {id: it, type: send_email, message: news}"))
    ride.profile = None
    ride.wake(T)
    assert ride.finish == Finish("exited", "profile_deleted")
    assert [(move.from_step, move.to_step) for move in ride.moves] == [(None, "exit")]
