"""``wait_for_event``: which events count, and each of them once."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.journeys.kernel import RUN, TICK, Ride, T, journey
from wend.journeys.facts import Happening
from wend.journeys.results import Events, Happened, TimedOut
from wend.journeys.state import message_id

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ARRIVAL = T + HOUR
DEADLINE = ARRIVAL + DAY

STEPS = """
  - {{id: pause, type: wait, for: PT1H}}
  - {{id: bought, type: wait_for_event, event: purchase, within: P1D{more}, on_event: yes, on_timeout: no}}
  - {{id: yes, type: wait, for: P30D, next: exit}}
  - {{id: no, type: wait, for: P30D, next: exit}}
"""


def waiting(more: str = "", properties: Mapping[str, Any] | None = None) -> Ride:
    """Return a run that really waits for a purchase."""
    return Ride(journey(STEPS.format(more=more)), properties=properties).wake(T).wake(ARRIVAL)


@pytest.mark.parametrize("woken_at", [ARRIVAL + HOUR, DEADLINE, DEADLINE + DAY], ids=["at once", "by timer", "late"])
def test_an_event_after_arrival_is_gone_on_by_whenever_the_run_is_woken(woken_at: datetime) -> None:
    ride = waiting()
    assert ride.park is not None
    assert (ride.park.until, ride.park.listens) == (DEADLINE, Events("purchase"))
    event = ride.store(ARRIVAL + HOUR, "purchase")
    ride.wake(woken_at)
    assert ride.path[-1] == "yes"
    assert ride.why == Happened(event.id, "purchase", event.at)


@pytest.mark.parametrize(
    ("stamp", "branch"),
    [
        (DEADLINE - TICK, "yes"),
        (DEADLINE, "yes"),
        (DEADLINE + TICK, "no"),
    ],
    ids=["just before", "at the deadline", "just after"],
)
@pytest.mark.parametrize("late_by", [timedelta(0), TICK, DAY], ids=["on time", "a tick late", "a day late"])
def test_the_stamp_decides(stamp: datetime, branch: str, late_by: timedelta) -> None:
    ride = waiting()
    ride.store(stamp, "purchase")
    assert ride.wake(DEADLINE + late_by).path[-1] == branch


def test_an_event_that_is_stored_after_the_timeout_changes_nothing() -> None:
    ride = waiting().wake(DEADLINE)
    assert ride.why == TimedOut(DEADLINE)
    event = ride.store(DEADLINE - HOUR, "purchase")
    assert event.at > DEADLINE
    assert ride.wake(event.at).path[-1] == "no"


def test_an_event_before_arrival_does_not_count() -> None:
    ride = Ride(journey(STEPS.format(more=""))).wake(T)
    ride.store(T + timedelta(minutes=30), "purchase")
    assert ride.wake(ARRIVAL).path[-1] == "bought"
    assert ride.wake(DEADLINE).path[-1] == "no"


def test_an_event_since_the_entry_counts_where_that_is_asked_for() -> None:
    ride = Ride(journey(STEPS.format(more=", since: entry")))
    ride.log.append(Happening(RUN, "purchase", T - HOUR))
    ride.wake(T).wake(ARRIVAL)
    assert ride.path[-1] == "bought", "what was before the entry does not count"

    ride = Ride(journey(STEPS.format(more=", since: entry"))).wake(T)
    ride.store(T + timedelta(minutes=30), "purchase")
    assert ride.wake(ARRIVAL).path[-1] == "yes"


def test_an_event_of_another_name_and_a_click_of_this_name_do_not_count() -> None:
    ride = waiting()
    ride.store(ARRIVAL + HOUR, "Purchase")
    ride.store(ARRIVAL + HOUR, "purchase", message=message_id(RUN, "announce", 1), link="details")
    assert ride.wake(ARRIVAL + 2 * HOUR).path[-1] == "bought"


@pytest.mark.parametrize(
    ("where", "properties", "counts"),
    [
        ("[{attribute: amount, op: gte, value: 100}]", {"amount": 100}, True),
        ("[{attribute: amount, op: gte, value: 100}]", {"amount": 99.99}, False),
        ("[{attribute: amount, op: gte, value: 100}]", {"amount": "100"}, False),
        ("[{attribute: amount, op: gte, value: 100}]", {}, False),
        ("[{attribute: item.colour, op: in, value: [red, blue]}]", {"item": {"colour": "red"}}, True),
        ("[{attribute: a, op: eq, value: 1}, {attribute: b, op: eq, value: 2}]", {"a": 1, "b": 2}, True),
        ("[{attribute: a, op: eq, value: 1}, {attribute: b, op: eq, value: 2}]", {"a": 1}, False),
    ],
)
def test_the_properties_must_fit(where: str, properties: dict[str, object], counts: bool) -> None:
    ride = waiting(f", where: {where}")
    ride.store(ARRIVAL + HOUR, "purchase", properties=properties)
    assert (ride.wake(ARRIVAL + HOUR).path[-1] == "yes") is counts


@pytest.mark.parametrize(
    ("op", "started_with", "happened", "counts"),
    [
        pytest.param("eq", "A-17", "A-17", True, id="its own order"),
        pytest.param("eq", "A-17", "A-18", False, id="another order"),
        pytest.param("eq", 17, "17", False, id="a number is no text"),
        pytest.param("eq", 2**60 + 1, 2**60 + 1, True, id="a number beyond what may be written down"),
        pytest.param("eq", None, None, False, id="nothing is not the same as nothing"),
        pytest.param("eq", ["A-17"], ["A-17"], False, id="a list is compared with nothing"),
        pytest.param("ne", "A-17", "A-18", True, id="any other order"),
        pytest.param("ne", None, "A-18", False, id="other than nothing"),
        pytest.param("ne", {"id": 1}, {"id": 2}, False, id="objects have no order and no equals"),
        pytest.param("gte", 100, 100, True, id="at least"),
        pytest.param("gte", "100", 100, False, id="at least text"),
        pytest.param("gte", False, True, False, id="true and false have no order"),
        pytest.param("in", ["A-17", "A-18"], "A-18", True, id="one of its orders"),
        pytest.param("in", "A-18", "A-18", False, id="one of what is no list"),
        pytest.param("contains", "A-17", ["A-16", "A-17"], True, id="a parcel with its order"),
        pytest.param("contains", None, "A-17", False, id="contains nothing"),
        pytest.param("before", "2026-12-05", "2026-12-04T23:59Z", True, id="before its date"),
        pytest.param("after", "soon", "2026-12-04", False, id="after what is no date"),
        pytest.param("before", 5, "2026-12-04", False, id="before a number"),
    ],
)
def test_an_event_is_compared_with_what_the_run_was_started_with(
    op: str, started_with: object, happened: object, counts: bool
) -> None:
    where = f", where: [{{attribute: x.y, op: {op}, value: {{property: order.id}}}}]"
    ride = waiting(where, {"order": {"id": started_with}})
    ride.store(ARRIVAL + HOUR, "purchase", properties={"x": {"y": happened}})
    assert (ride.wake(ARRIVAL + HOUR).path[-1] == "yes") is counts


def test_a_run_that_was_started_with_nothing_counts_no_event_that_is_compared_with_a_property() -> None:
    ride = waiting(", where: [{attribute: order, op: eq, value: {property: order.id}}]")
    ride.store(ARRIVAL + HOUR, "purchase", properties={"order": "A-17"})
    ride.store(ARRIVAL + HOUR, "purchase")
    assert ride.wake(DEADLINE).path[-1] == "no"


def test_an_event_that_does_not_fit_hides_none_that_does() -> None:
    ride = waiting(", where: [{attribute: amount, op: gte, value: 100}]")
    ride.store(ARRIVAL + HOUR, "purchase", properties={"amount": 1})
    fits = ride.store(ARRIVAL + 2 * HOUR, "purchase", properties={"amount": 1000})
    ride.wake(ARRIVAL + 2 * HOUR)
    assert isinstance(ride.why, Happened)
    assert ride.why.event_id == fits.id


def test_a_date_in_the_properties_is_compared_with_the_event_and_not_with_the_wake() -> None:
    ride = waiting(", where: [{attribute: trip, op: before, value: {ahead: P7D}}]")
    in_eight_days = (ARRIVAL + HOUR + 8 * DAY).date().isoformat()
    ride.store(ARRIVAL + HOUR, "purchase", properties={"trip": in_eight_days})
    assert ride.wake(DEADLINE + 5 * DAY).path[-1] == "no", "by then it is within seven days, but it was not"


ROUND = """
  - {{id: bought, type: wait_for_event, event: purchase, within: P30D{more}, on_event: thanks, on_timeout: exit}}
  - {{id: thanks, type: wait, for: PT1H, next: bought}}
"""


@pytest.mark.parametrize("since", ["arrival", "entry"])
def test_an_event_is_gone_on_by_once_in_a_loop(since: str) -> None:
    ride = Ride(journey(ROUND.format(more=f", since: {since}"))).wake(T)
    ride.wake(ride.store(T + HOUR, "purchase").at).wake(T + 3 * HOUR)
    assert ride.path == ["bought", "thanks", "bought"]
    ride.wake(ride.store(T + 4 * HOUR, "purchase").at)
    assert ride.path == ["bought", "thanks", "bought", "thanks"]


def test_an_event_between_two_visits_counts_only_since_the_entry() -> None:
    for since, steps in (("arrival", 3), ("entry", 4)):
        ride = Ride(journey(ROUND.format(more=f", since: {since}"))).wake(T)
        ride.wake(ride.store(T + HOUR, "purchase").at)
        ride.store(T + HOUR + timedelta(minutes=30), "purchase")
        ride.wake(T + 3 * HOUR)
        assert len(ride.path) == steps, since


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(seconds=1)], ids=["at its stamp", "on a clock behind it"])
def test_one_event_does_not_end_two_waits_that_follow_each_other(behind: timedelta) -> None:
    """A run that is woken on a clock behind the one that stamped the event arrives at the stamp, not before it:
    else the second wait would find the same event after its arrival."""
    ride = Ride(
        journey("""
  - {id: first, type: wait_for_event, event: purchase, within: P1D, on_timeout: exit}
  - {id: second, type: wait_for_event, event: purchase, within: P1D, on_timeout: exit}
""")
    ).wake(T)
    event = ride.store(T + HOUR, "purchase")
    ride.wake(event.at - behind)
    assert ride.path == ["first", "second"]
    assert ride.state.arrived_at == event.at
    later = ride.store(event.at - behind, "purchase")
    assert later.at > event.at
    assert ride.wake(event.at - behind).path == ["first", "second", "exit"]


def test_each_of_two_different_steps_counts_an_event_since_the_entry_for_itself() -> None:
    ride = Ride(
        journey("""
  - {id: first, type: wait_for_event, event: purchase, within: P1D, since: entry, on_timeout: exit}
  - {id: second, type: wait_for_event, event: purchase, within: P1D, since: entry, on_timeout: exit}
""")
    ).wake(T)
    assert ride.wake(ride.store(T + HOUR, "purchase").at).path == ["first", "second", "exit"]
