"""A click's stamp decides, whatever woke the run and in whichever order."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.unit.journeys.kernel import OTHER_RUN, RUN, TICK, Ride, T, journey
from wend.journeys.results import Clicked, Clicks, NothingSent, TimedOut
from wend.journeys.state import SendOutcome, message_id

MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

ARRIVAL = T + HOUR
DEADLINE = ARRIVAL + DAY

WAITING = journey("""
  - {id: announce, type: send_email, message: news}
  - {id: pause, type: wait, for: PT1H}
  - {id: interested, type: wait_for_click, sent_by: announce, link: details, within: P1D, on_click: yes, on_timeout: no}
  - {id: yes, type: wait, for: P30D, next: exit}
  - {id: no, type: wait, for: P30D, next: exit}
""")

CLOCKS = {
    "right after the send": T + timedelta(minutes=1),
    "while waiting": ARRIVAL + HOUR,
    "a millisecond before the deadline": DEADLINE - MS,
    "a microsecond before the deadline": DEADLINE - TICK,
    "at the deadline": DEADLINE,
    "a microsecond after the deadline": DEADLINE + TICK,
    "a millisecond after the deadline": DEADLINE + MS,
    "after the run's end": DEADLINE + 40 * DAY,
}

Deliver = Callable[[Ride, datetime], None]


def by_the_signal(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    ride.wake(ride.click(clock).at)


def by_a_signal_on_a_clock_that_is_behind(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    ride.wake(ride.click(clock).at - 5 * MS)


def by_the_timer(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    ride.click(clock)
    ride.wake(DEADLINE)


def by_the_timer_a_little_early(ride: Ride, clock: datetime) -> None:
    ride.wake(ARRIVAL)
    ride.wake(DEADLINE - TICK)
    ride.click(clock)
    ride.wake(DEADLINE)


def by_both_the_signal_first(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    ride.wake(ride.click(clock).at)
    ride.wake(DEADLINE)


def by_both_the_timer_first(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    stamp = ride.click(clock).at
    ride.wake(DEADLINE)
    ride.wake(stamp)


def by_both_in_one_task(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    now = max(ride.click(clock).at, DEADLINE)
    ride.wake(now)
    ride.wake(now)


def by_the_timer_before_the_click_is_stored(ride: Ride, clock: datetime) -> None:
    ride.wake(ARRIVAL)
    ride.wake(DEADLINE)
    ride.wake(ride.click(clock).at)


def by_the_timer_half_a_second_late_before_the_click_is_stored(ride: Ride, clock: datetime) -> None:
    ride.wake(ARRIVAL)
    ride.wake(DEADLINE + 500 * MS)
    ride.wake(ride.click(clock).at)


def by_nothing_until_a_day_later(ride: Ride, clock: datetime) -> None:
    _go_to(ride, clock)
    ride.click(clock)
    ride.wake(DEADLINE + DAY)


def by_nothing_from_the_send_to_a_day_after_the_deadline(ride: Ride, clock: datetime) -> None:
    ride.click(clock)
    ride.wake(ARRIVAL)
    ride.wake(DEADLINE + DAY)


def by_wakes_that_have_no_reason(ride: Ride, clock: datetime) -> None:
    for hours in range(0, 24, 5):
        ride.wake(min(ARRIVAL + timedelta(hours=hours), clock - TICK))
    _go_to(ride, clock)
    ride.click(clock)
    for instant in (clock, DEADLINE - HOUR, DEADLINE, DEADLINE + HOUR):
        ride.wake(instant)


def _go_to(ride: Ride, clock: datetime) -> None:
    """Do everything that is due before the clock shows this, on time."""
    for due in (ARRIVAL, DEADLINE, DEADLINE + 30 * DAY):
        if due < clock:
            ride.wake(due)


ORDERS = (
    by_the_signal,
    by_a_signal_on_a_clock_that_is_behind,
    by_the_timer,
    by_the_timer_a_little_early,
    by_both_the_signal_first,
    by_both_the_timer_first,
    by_both_in_one_task,
    by_the_timer_before_the_click_is_stored,
    by_the_timer_half_a_second_late_before_the_click_is_stored,
    by_nothing_until_a_day_later,
    by_nothing_from_the_send_to_a_day_after_the_deadline,
    by_wakes_that_have_no_reason,
)


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize("woken", ORDERS, ids=lambda order: order.__name__)
def test_the_stamp_decides_and_not_what_woke_the_run(clock: datetime, woken: Deliver) -> None:
    ride = Ride(WAITING).wake(T)
    woken(ride, clock)
    ride.wake(DEADLINE).wake(DEADLINE + 30 * DAY).wake(DEADLINE + 60 * DAY)
    # What is stored after a decision is stamped after it, whatever the clock there showed.
    in_time = clock <= DEADLINE and "before_the_click_is_stored" not in woken.__name__
    assert (ride.log[0].at <= DEADLINE) is in_time
    assert ride.path == ["announce", "pause", "interested", "yes" if in_time else "no", "exit"]
    assert isinstance(ride.moves[3].why, Clicked if in_time else TimedOut)


def test_a_click_that_comes_long_before_the_wait_is_gone_on_by_on_arrival() -> None:
    ride = Ride(WAITING).wake(T)
    click = ride.click(T + TICK)
    ride.wake(ARRIVAL)
    assert ride.path[-2:] == ["interested", "yes"]
    assert ride.why == Clicked(click.id, "details", click.at, message_id(RUN, "announce", 1))
    assert ride.moves[-1].at == ARRIVAL


def test_without_a_click_the_run_times_out_at_the_deadline_and_not_before() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL)
    assert ride.park is not None
    assert (ride.park.until, ride.park.listens) == (DEADLINE, Clicks((message_id(RUN, "announce", 1),), "details"))
    assert ride.wake(DEADLINE - TICK).path[-1] == "interested"
    ride.wake(DEADLINE)
    assert ride.path[-1] == "no"
    assert ride.why == TimedOut(DEADLINE, "announce", "details")


def test_the_deadline_counts_from_arrival_and_a_late_arrival_moves_it() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL + HOUR)
    ride.click(DEADLINE + HOUR)
    assert ride.wake(DEADLINE + HOUR).path[-1] == "yes"


def test_the_first_of_several_clicks_is_the_one_that_counts() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL)
    second = ride.click(ARRIVAL + 2 * HOUR)
    ride.log.append(first := type(second)(second.id, "click", ARRIVAL + HOUR, {}, second.message_id, "details"))
    ride.log.sort(key=lambda each: each.mark)
    ride.wake(ARRIVAL + 3 * HOUR)
    assert isinstance(ride.why, Clicked)
    assert ride.why.at == first.at


def test_a_click_in_time_counts_also_when_a_late_one_is_seen_with_it() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL)
    ride.click(DEADLINE)
    ride.click(DEADLINE + TICK)
    assert ride.wake(DEADLINE + HOUR).path[-1] == "yes"


def test_a_second_click_changes_nothing() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL)
    for number in range(1, 4):
        ride.wake(ride.click(ARRIVAL + number * HOUR).at)
    assert ride.path == ["announce", "pause", "interested", "yes"]


def test_a_click_on_another_link_does_not_count() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL)
    ride.wake(ride.click(ARRIVAL + HOUR, link="imprint").at)
    assert ride.path[-1] == "interested"
    assert ride.wake(DEADLINE).path[-1] == "no"


def test_where_no_link_is_named_any_tracked_link_of_the_message_counts() -> None:
    ride = Ride(
        journey("""
  - {id: announce, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D, on_click: yes, on_timeout: exit}
  - {id: yes, type: wait, for: P30D}
""")
    ).wake(T)
    assert ride.park is not None
    assert ride.park.what == "waits for a click on any link"
    assert ride.wake(ride.click(T + HOUR, link="imprint").at).path[-1] == "yes"


def test_a_click_on_the_same_message_of_another_run_does_not_count() -> None:
    ride = Ride(WAITING).wake(T).wake(ARRIVAL)
    ride.store(ARRIVAL + HOUR, message=message_id(OTHER_RUN, "announce", 1), link="details")
    assert ride.wake(ARRIVAL + HOUR).path[-1] == "interested"
    assert ride.wake(DEADLINE).path[-1] == "no"


def test_a_click_on_another_message_of_this_run_does_not_count() -> None:
    ride = Ride(
        journey("""
  - {id: teaser, type: send_email, message: teaser}
  - {id: announce, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D, on_click: yes, on_timeout: exit}
  - {id: yes, type: wait, for: P30D}
""")
    ).wake(T)
    ride.click(T + HOUR, sent_by="teaser")
    assert ride.wake(T + HOUR).path[-1] == "interested"


@pytest.mark.parametrize("outcome", ["no_address", "already_sent", "refused", "gave_up"])
def test_where_nothing_was_sent_the_run_times_out_at_once(outcome: SendOutcome) -> None:
    ride = Ride(
        journey("""
  - {id: announce, type: send_email, message: news, on_failure: interested}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D, on_click: exit, on_timeout: no}
  - {id: no, type: wait, for: P30D}
""")
    )
    ride.outcomes["announce"] = [outcome]
    ride.wake(T)
    assert ride.path == ["announce", "interested", "no"]
    assert ride.why == NothingSent("announce")
    assert ride.moves[-1].at == T


@pytest.mark.parametrize("outcome", ["accepted", "uncertain"])
def test_a_send_that_may_have_gone_out_is_waited_for(outcome: SendOutcome) -> None:
    ride = Ride(WAITING)
    ride.outcomes["announce"] = [outcome]
    ride.wake(T).wake(ARRIVAL)
    assert ride.wake(ride.click(ARRIVAL + HOUR).at).path[-1] == "yes"


ROUND = """
  - {{id: announce, type: send_email, message: news}}
  - {{id: interested, type: wait_for_click, sent_by: announce, within: P1D, copy: {copy}, on_click: thanks,
     on_timeout: announce}}
  - {{id: thanks, type: wait, for: PT1H, next: announce}}
"""


def test_each_click_is_gone_on_by_once_in_a_loop() -> None:
    ride = Ride(journey(ROUND.format(copy="any"))).wake(T)
    ride.wake(ride.click(T + HOUR).at)
    ride.wake(T + 3 * HOUR)  # thanked, sent again, and waiting again
    assert ride.path == ["announce", "interested", "thanks", "announce", "interested"]
    assert ride.park is not None
    assert ride.park.listens == Clicks((message_id(RUN, "announce", 1), message_id(RUN, "announce", 2)), None)


@pytest.mark.parametrize("copy", ["any", "latest"])
@pytest.mark.parametrize("visit", [1, 2])
def test_in_a_loop_clicks_on_earlier_copies_count_unless_only_the_latest_is_asked_for(copy: str, visit: int) -> None:
    ride = Ride(journey(ROUND.format(copy=copy))).wake(T).wake(T + DAY)
    assert ride.path == ["announce", "interested", "announce", "interested"]
    ride.wake(ride.click(T + DAY + HOUR, visit=visit).at)
    counts = copy == "any" or visit == 2
    assert (ride.path[-1] == "thanks") is counts


def test_a_click_that_came_before_a_later_visit_counts_there_if_no_visit_has_gone_on_by_it() -> None:
    ride = Ride(journey(ROUND.format(copy="any"))).wake(T)
    ride.click(T + HOUR)
    ride.click(T + HOUR + TICK)
    ride.wake(T + 2 * HOUR)  # by the first
    ride.wake(T + 4 * HOUR)  # and round, by the second at once
    assert ride.path == ["announce", "interested", "thanks", "announce", "interested", "thanks"]


def test_two_clicks_of_one_instant_are_told_apart_by_their_ids() -> None:
    ride = Ride(journey(ROUND.format(copy="any"))).wake(T)
    ride.click(T + HOUR)
    ride.click(T + HOUR)
    assert ride.log[0].at == ride.log[1].at
    ride.wake(T + 2 * HOUR).wake(T + 4 * HOUR).wake(T + 6 * HOUR)
    assert ride.path.count("thanks") == 2


def test_a_latest_copy_that_could_not_be_sent_leaves_the_one_before_it_the_latest() -> None:
    ride = Ride(journey(ROUND.format(copy="latest")))
    ride.outcomes["announce"] = ["accepted", "no_address"]
    ride.wake(T).wake(T + DAY)
    assert ride.wake(ride.click(T + DAY + HOUR, visit=1).at).path[-1] == "thanks"


def test_branches_that_are_not_named_lead_to_the_step_below() -> None:
    steps = """
  - {id: announce, type: send_email, message: news}
  - {id: interested, type: wait_for_click, sent_by: announce, within: P1D}
  - {id: below, type: wait, for: P30D}
"""
    clicked = Ride(journey(steps)).wake(T)
    assert clicked.wake(clicked.click(T + HOUR).at).path[-1] == "below"
    assert Ride(journey(steps)).wake(T).wake(T + DAY).path[-1] == "below"
