"""States, plans and reasons survive the way to the database and back, through real JSON text."""

import json
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.journeys.kernel import RUN, TICK, Ride, T, journey, person
from wend.journeys.results import (
    Clicked,
    Clicks,
    Ended,
    Entered,
    Events,
    Finish,
    Happened,
    Matched,
    MessageSettled,
    NoDate,
    NoMatch,
    NothingSent,
    Park,
    Send,
    TimedOut,
    Updated,
    Waited,
    Why,
)
from wend.journeys.serial import (
    dump_listens,
    dump_plan,
    dump_state,
    dump_why,
    load_listens,
    load_plan,
    load_state,
    load_why,
)
from wend.journeys.state import Mark, RunState, Sent, message_id
from wend.journeys.walltime import FOREVER

instants = st.datetimes(timezones=st.just(UTC))
keys = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
jsons = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))

sends = st.builds(
    Sent,
    step=keys,
    visit=st.integers(1, 1000),
    outcome=st.sampled_from(["accepted", "uncertain", "refused", "no_address", "already_sent", "gave_up"]),
    at=instants,
    detail=st.none() | texts,
)
states = st.builds(
    RunState,
    step=st.none() | keys,
    entered_at=st.none() | instants,
    arrived_at=st.none() | instants,
    visits=st.dictionaries(keys, st.integers(1, 1000), max_size=4),
    sent=st.lists(sends, max_size=4).map(tuple),
    consumed=st.dictionaries(keys, st.builds(Mark, instants, st.uuids()), max_size=4),
    done=st.booleans(),
    unwaited=st.lists(keys, max_size=4).map(tuple),
)
listens = st.builds(Clicks, st.lists(st.uuids(), max_size=3).map(tuple), st.none() | texts) | st.builds(Events, texts)
plans = (
    st.builds(Send, keys, st.integers(1, 99), st.uuids(), st.sampled_from(["email", "sms"]), keys)
    | st.builds(Park, instants | st.just(FOREVER), texts, st.none() | listens)
    | st.builds(
        Finish, st.sampled_from(["completed", "exited", "stopped", "failed"]), st.none() | texts, st.none() | texts
    )
)
values = st.dictionaries(texts, jsons, max_size=3)
whys = st.one_of(
    st.just(Entered()),
    st.builds(MessageSettled, texts, st.uuids(), st.none() | texts),
    st.builds(Waited, instants | st.just(FOREVER)),
    st.builds(Clicked, st.uuids(), st.none() | texts, instants, st.none() | st.uuids()),
    st.builds(Happened, st.uuids(), texts, instants),
    st.builds(TimedOut, instants, st.none() | keys, st.none() | texts),
    st.builds(NothingSent, keys),
    st.builds(Matched, st.integers(1, 100), values),
    st.builds(NoMatch, values),
    st.builds(NoDate, st.none() | texts, st.none() | texts),
    st.builds(Updated, *[st.lists(texts, max_size=3).map(tuple)] * 2),
    st.builds(Ended, texts),
)


def through_text(document: Any) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


@given(state=states)
@settings(deadline=None)
def test_a_state_comes_back_as_it_was(state: RunState) -> None:
    back = load_state(through_text(dump_state(state)))
    assert back == state
    assert back.arrive("x", T) == state.arrive("x", T)
    assert all(isinstance(mark, Mark) for mark in back.consumed.values())


@given(plan=plans)
@settings(deadline=None)
def test_a_plan_comes_back_as_it_was(plan: Send | Park | Finish) -> None:
    assert load_plan(through_text(dump_plan(plan))) == plan


@given(listening=st.none() | listens)
@settings(deadline=None)
def test_what_is_listened_to_comes_back_as_it_was(listening: Clicks | Events | None) -> None:
    assert load_listens(through_text(dump_listens(listening))) == listening


@given(why=whys)
@settings(deadline=None, max_examples=200)
def test_a_reason_comes_back_as_it_was(why: Why) -> None:
    document = through_text(dump_why(why))
    assert "kind" not in document
    assert load_why(why.kind, document) == why


def test_every_reason_has_a_name_of_its_own() -> None:
    kinds = [kind.__dataclass_fields__["kind"].default for kind in get_args(Why)]
    assert sorted(kinds) == [
        "clicked",
        "ended",
        "entered",
        "happened",
        "matched",
        "message_settled",
        "moved_in",
        "moved_out",
        "no_date",
        "no_match",
        "nothing_sent",
        "timed_out",
        "updated",
        "waited",
    ]


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_stored_is_a_run_that_has_not_begun(nothing: object) -> None:
    assert load_state(nothing) == RunState()
    assert dump_state(RunState()) == {}


def test_a_state_is_small() -> None:
    ride = Ride(
        journey("""
  - {id: announce, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D}
""")
    ).wake(T)
    assert dump_state(ride.state) == {
        "step": "interested",
        "entered_at": "2026-12-01T09:00:00Z",
        "arrived_at": "2026-12-01T09:00:00Z",
        "visits": {"announce": 1, "interested": 1},
        "sent": [{"step": "announce", "visit": 1, "outcome": "accepted", "at": "2026-12-01T09:00:00Z"}],
    }


def test_a_run_whose_state_was_stored_after_every_decision_takes_the_same_way() -> None:
    version = journey("""
  - {id: announce, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D, on_click: mark, on_timeout: announce}
  - {id: mark, type: update_profile, set: {clicked: true}}
  - {id: bought, type: wait_for_event, event: purchase, within: P1D, on_event: bought, on_timeout: exit}
""")
    rides = [Ride(version, person()), Ride(version, person())]
    for stored, ride in zip((False, True), rides, strict=True):

        def wake(at: datetime, ride: Ride = ride, stored: bool = stored) -> None:
            ride.wake(at)
            if stored:
                ride.state = load_state(through_text(dump_state(ride.state)))

        day = 24 * 3600 * 1_000_000 * TICK
        wake(T)
        wake(T + day)
        ride.click(T + day + TICK, visit=1)
        wake(T + day + TICK)
        ride.store(T + day + 5 * TICK, "purchase")
        wake(T + day + 5 * TICK)
        wake(T + 3 * day)
    assert rides[0].moves == rides[1].moves
    assert rides[0].path == ["announce", "interested", "announce", "interested", "mark", "bought", "bought", "exit"]


def test_a_messages_id_follows_from_run_step_and_visit_for_ever() -> None:
    """Providers were told this id: a change of its making would send what was sent already."""
    assert message_id(RUN, "announce", 1) == UUID("d6dd38df-2b19-57e8-902c-394df9f00213")
    assert message_id(RUN, "announce", 2) != message_id(RUN, "announce", 1)
