"""``wait`` and ``wait_until``: how long, from when, and which instant a date stands for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.journeys.kernel import PERSON, TICK, Ride, T, journey, person
from wend.errors import InvalidDocument
from wend.journeys.facts import ProfileView
from wend.journeys.graph import Graph
from wend.journeys.results import NoDate, Waited
from wend.journeys.walltime import FOREVER

DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# -- wait ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "until"),
    [
        ("PT1S", T + timedelta(seconds=1)),
        ("PT0.000001S", T + TICK),
        ("PT1H30M", T + timedelta(minutes=90)),
        ("P2W", T + 14 * DAY),
        ("P365000D", T + 365_000 * DAY),
    ],
)
def test_a_wait_lasts_from_arrival_to_the_microsecond(length: str, until: datetime) -> None:
    ride = Ride(journey(f"  - {{id: pause, type: wait, for: {length}}}")).wake(T)
    assert ride.park is not None
    assert ride.park.until == until
    assert ride.park.listens is None
    assert ride.wake(until - TICK).path == ["pause"]
    assert ride.wake(until).path == ["pause", "exit"]
    assert ride.why == Waited(until)


def test_a_wait_counts_from_arrival_and_not_from_the_wake_that_should_have_been() -> None:
    ride = Ride(
        journey("""
  - {id: one, type: wait, for: PT1H}
  - {id: two, type: wait, for: PT1H}
""")
    ).wake(T)
    ride.wake(T + timedelta(hours=5))
    assert ride.park is not None
    assert ride.park.until == T + timedelta(hours=6)


def test_waking_early_and_often_does_not_lengthen_a_wait() -> None:
    ride = Ride(journey("  - {id: pause, type: wait, for: PT1H}")).wake(T)
    for minutes in range(0, 60, 7):
        assert ride.wake(T + timedelta(minutes=minutes)).path == ["pause"]
    assert ride.wake(T + timedelta(hours=1)).path == ["pause", "exit"]


@pytest.mark.parametrize("length", ["PT0S", "P0D", "-PT1H", "PT-1H"])
@pytest.mark.parametrize(
    "step",
    [
        "{{id: s, type: wait, for: {}}}",
        "{{id: s, type: wait_for_click, sent_by: a, within: {}}}",
        "{{id: s, type: wait_for_event, event: e, within: {}}}",
    ],
    ids=["wait", "wait_for_click", "wait_for_event"],
)
def test_a_wait_of_nothing_or_less_is_refused(step: str, length: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        journey(f"  - {step.format(length)}")
    (problem,) = refused.value.problems
    assert problem.path in ("steps.s.for", "steps.s.within")


@pytest.mark.parametrize(
    ("since", "joined_at", "until"),
    [
        pytest.param("arrival", T - DAY, T + 3 * DAY, id="from arrival, a day after the entry"),
        pytest.param("entry", T - DAY, T + 2 * DAY, id="from the entry"),
        pytest.param("joined", T + timedelta(hours=-12), T + timedelta(hours=36), id="from when they joined"),
        pytest.param("joined", None, T + 2 * DAY, id="from the entry, where that is not known"),
    ],
)
def test_a_wait_counts_from_where_it_says(since: str, joined_at: datetime | None, until: datetime) -> None:
    steps = f"""
  - {{id: rest, type: wait, for: P1D}}
  - {{id: pause, type: wait, for: P2D, since: {since}}}
"""
    ride = Ride(journey(steps), joined_at=joined_at).wake(T).wake(T + DAY)
    assert ride.park is not None
    assert ride.park.until == until
    assert ride.wake(until - TICK).path == ["rest", "pause"]
    assert ride.wake(until).path == ["rest", "pause", "exit"]
    assert ride.why == Waited(until)


@pytest.mark.parametrize(("since", "ago"), [("entry", DAY), ("joined", 30 * DAY)])
def test_a_wait_that_is_over_on_arrival_is_gone_on_from_at_once(since: str, ago: timedelta) -> None:
    steps = f"""
  - {{id: rest, type: wait, for: P1D}}
  - {{id: pause, type: wait, for: P1D, since: {since}}}
"""
    ride = Ride(journey(steps), joined_at=T + DAY - ago).wake(T).wake(T + DAY)
    assert ride.path == ["rest", "pause", "exit"]
    assert ride.why == Waited(T + 2 * DAY - ago)


@pytest.mark.parametrize(("since", "waits"), [("arrival", True), ("entry", False), ("joined", False)])
def test_a_loop_waits_only_by_what_it_waits_for_each_time_round(since: str, waits: bool) -> None:
    version = journey(f"""
  - {{id: remind, type: send_email, message: reminder}}
  - {{id: pause, type: wait, for: P1D, since: {since}, next: remind}}
""")
    assert Graph(version.definition).loops_without_a_wait() == ([] if waits else [["remind", "pause"]])
    ride = Ride(version).wake(T).wake(T + DAY)
    if waits:
        assert ride.path == ["remind", "pause", "remind", "pause"]
    else:
        assert ride.finish is not None
        assert (ride.finish.outcome, ride.finish.reason) == ("failed", "endless_loop")


def test_a_wait_beyond_the_calendar_lasts_for_ever() -> None:
    ride = Ride(journey("  - {id: pause, type: wait, for: P365000D}")).wake(utc("9500-01-01"))
    assert ride.park is not None
    assert ride.park.until == FOREVER
    assert ride.wake(utc("9999-12-31T23:59")).path == ["pause"]


# -- wait_until a date-time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "zone", "until"),
    [
        pytest.param("2026-12-10T09:00", "UTC", "2026-12-10T09:00", id="wall time in UTC"),
        pytest.param("2026-12-10T09:00", "Europe/Paris", "2026-12-10T08:00", id="wall time in the journey's zone"),
        pytest.param("2026-12-10T09:00Z", "Europe/Paris", "2026-12-10T09:00", id="an instant"),
        pytest.param("2026-12-10T09:00-05:00", "Europe/Paris", "2026-12-10T14:00", id="an instant with an offset"),
        # 2027-03-28 01:00 UTC: 02:00 becomes 03:00 in Paris, which is UTC+1 before and UTC+2 after.
        pytest.param("2027-03-28T01:59", "Europe/Paris", "2027-03-28T00:59", id="before a gap"),
        pytest.param("2027-03-28T02:00", "Europe/Paris", "2027-03-28T01:00", id="at the beginning of a gap"),
        pytest.param("2027-03-28T02:30", "Europe/Paris", "2027-03-28T01:00", id="in a gap"),
        pytest.param("2027-03-28T03:00", "Europe/Paris", "2027-03-28T01:00", id="at the end of a gap"),
        # 2027-10-31 01:00 UTC: 03:00 becomes 02:00 in Paris, so that 02:30 comes at 00:30 and 01:30 UTC.
        pytest.param("2027-10-31T02:30", "Europe/Paris", "2027-10-31T00:30", id="in an overlap"),
        pytest.param("2027-10-31T03:00", "Europe/Paris", "2027-10-31T02:00", id="after an overlap"),
    ],
)
def test_a_date_time_is_waited_for(at: str, zone: str, until: str) -> None:
    ride = Ride(journey(f"  - {{id: launch, type: wait_until, at: {at}}}", time_zone=zone)).wake(T)
    assert ride.park is not None
    assert ride.park.until == utc(until)
    assert ride.wake(utc(until) - TICK).path == ["launch"]
    assert ride.wake(utc(until)).path == ["launch", "exit"]


@pytest.mark.parametrize("at", ["2026-12-01T09:00", "2026-11-30T09:00", "1970-01-01T00:00"])
def test_a_date_time_that_has_passed_is_gone_on_from_at_once(at: str) -> None:
    ride = Ride(journey(f"  - {{id: launch, type: wait_until, at: {at}}}")).wake(T)
    assert ride.path == ["launch", "exit"]
    assert ride.moves[-1].at == T
    assert ride.why == Waited(utc(at))


# -- wait_until a date of the profile -------------------------------------------------------------------------------

RENEWAL = """
  - {{id: before, type: wait_until, attribute: {attribute}, offset: {offset}, on_missing: missing}}
  - {{id: due, type: wait, for: P30D, next: exit}}
  - {{id: missing, type: wait, for: P30D}}
"""


def renewal(
    attributes: dict[str, Any],
    *,
    attribute: str = "renewal",
    offset: str = "PT0S",
    zone: str | None = None,
    journey_zone: str = "UTC",
) -> Ride:
    steps = RENEWAL.format(attribute=attribute, offset=offset)
    return Ride(journey(steps, time_zone=journey_zone), person(attributes, zone)).wake(T)


@pytest.mark.parametrize(
    ("value", "zone", "journey_zone", "until"),
    [
        pytest.param("2026-12-10", None, "UTC", "2026-12-10T00:00", id="a date is its midnight"),
        pytest.param("2026-12-10", "America/New_York", "UTC", "2026-12-10T05:00", id="midnight where the person is"),
        pytest.param("2026-12-10", None, "Europe/Paris", "2026-12-09T23:00", id="or where the journey is"),
        pytest.param("2026-12-10T09:00", "Asia/Tokyo", "Europe/Paris", "2026-12-10T00:00", id="wall time"),
        pytest.param("2026-12-10T09:00", "Mars/Phobos", "Europe/Paris", "2026-12-10T08:00", id="an unknown zone"),
        pytest.param("2026-12-10T09:00", "../etc/passwd", "Europe/Paris", "2026-12-10T08:00", id="no zone at all"),
        pytest.param("2026-12-10T09:00", "", "Europe/Paris", "2026-12-10T08:00", id="an empty zone"),
        pytest.param("2026-12-10T09:00Z", "Asia/Tokyo", "Europe/Paris", "2026-12-10T09:00", id="an instant"),
        pytest.param("2026-12-10T09:00:30.25+01:00", None, "UTC", "2026-12-10T08:00:30.25", id="an exact instant"),
        pytest.param("2027-03-28T02:30", "Europe/Paris", "UTC", "2027-03-28T01:00", id="in a gap"),
        pytest.param("2027-10-31T02:30", "Europe/Paris", "UTC", "2027-10-31T00:30", id="in an overlap"),
        # Beirut's clocks went from 2027-03-28 00:00 to 01:00: that day begins at 01:00, 22:00 UTC the day before.
        pytest.param("2027-03-28", "Asia/Beirut", "UTC", "2027-03-27T22:00", id="a midnight in a gap"),
    ],
)
def test_a_date_of_the_profile_is_waited_for(value: str, zone: str | None, journey_zone: str, until: str) -> None:
    ride = renewal({"renewal": value}, zone=zone, journey_zone=journey_zone)
    assert ride.park is not None
    assert ride.park.until == utc(until)
    assert ride.wake(utc(until)).path == ["before", "due"]


@pytest.mark.parametrize(
    ("offset", "until"),
    [
        ("-P3D", "2026-12-07T00:00"),
        ("P3D", "2026-12-13T00:00"),
        ("-PT90M", "2026-12-09T22:30"),
        ("PT0S", "2026-12-10T00:00"),
    ],
)
def test_an_offset_shifts_the_date(offset: str, until: str) -> None:
    ride = renewal({"renewal": "2026-12-10"}, offset=offset)
    assert ride.park is not None
    assert ride.park.until == utc(until)


def test_a_date_that_has_passed_is_gone_on_from_at_once_down_the_ordinary_path() -> None:
    assert renewal({"renewal": "2026-11-01"}).path == ["before", "due"]
    assert renewal({"renewal": "2026-12-02"}, offset="-P3D").path == ["before", "due"]


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="absent"),
        pytest.param({"renewal": None}, id="null"),
        pytest.param({"renewal": ""}, id="empty"),
        pytest.param({"renewal": "soon"}, id="words"),
        pytest.param({"renewal": 1_796_860_800}, id="a number"),
        pytest.param({"renewal": True}, id="a boolean"),
        pytest.param({"renewal": ["2026-12-10"]}, id="a list"),
        pytest.param({"renewal": "2026-02-30"}, id="a day that no calendar has"),
        pytest.param({"renewal": "10/12/2026"}, id="another notation"),
        pytest.param({"renewal": "20261210"}, id="the basic notation"),
        pytest.param({"renewal": "2026-W50-4"}, id="a week date"),
        pytest.param({"renewal": "2026-12-10 09:00"}, id="a space in it"),
        pytest.param({"renewal": " 2026-12-10"}, id="a space before it"),
        pytest.param({"renewal": "2026-12-10T25:00"}, id="an hour that no clock shows"),
        pytest.param({"renewal": "0001-01-01T00:00+05:00"}, id="an instant before the calendar"),
        pytest.param({"renewal": "9999-12-31T23:59-05:00"}, id="an instant after the calendar"),
    ],
)
def test_a_date_that_is_absent_or_no_date_takes_its_own_path_and_is_never_now(attributes: dict[str, Any]) -> None:
    ride = renewal(attributes)
    assert ride.path == ["before", "missing"]
    assert ride.why == NoDate("renewal")


def test_a_date_may_stand_within_an_object() -> None:
    ride = renewal({"plan": {"renewal": "2026-12-10"}}, attribute="plan.renewal")
    assert ride.park is not None
    assert ride.park.until == utc("2026-12-10T00:00")


def test_the_date_is_read_again_at_a_wake() -> None:
    ride = renewal({"renewal": "2026-12-10"})
    ride.profile = person({"renewal": "2026-12-20"})
    ride.wake(utc("2026-12-10T00:00"))
    assert ride.path == ["before"]
    assert ride.park is not None
    assert ride.park.until == utc("2026-12-20T00:00")
    ride.profile = person({"renewal": "2026-12-11"})  # brought forward: counts when the run next looks
    assert ride.wake(utc("2026-12-12T00:00")).path == ["before", "due"]


def test_a_date_that_goes_missing_while_waiting_takes_the_path_for_that() -> None:
    ride = renewal({"renewal": "2026-12-10"})
    ride.profile = person({})
    assert ride.wake(T + DAY).path == ["before", "missing"]


def test_a_zone_that_changes_while_waiting_moves_the_wall_time() -> None:
    ride = renewal({"renewal": "2026-12-10T09:00"}, zone="Asia/Tokyo")
    ride.profile = ProfileView(PERSON, {"renewal": "2026-12-10T09:00"}, {}, "America/New_York")
    ride.wake(utc("2026-12-10T00:00"))
    assert ride.park is not None
    assert ride.park.until == utc("2026-12-10T14:00")


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("offset", ["PT0S", "-P3D", "P3D"])
def test_the_oldest_date_is_past_and_the_last_one_is_never_whatever_is_added(zone: str, offset: str) -> None:
    """Systems write 0001-01-01 for no date and 9999-12-31 for never; neither may end in an error or in its opposite."""
    assert renewal({"renewal": "0001-01-01"}, zone=zone, offset=offset).path == ["before", "due"]
    ride = renewal({"renewal": "9999-12-31T23:59"}, zone=zone, offset=offset)
    assert ride.park is not None
    assert ride.park.until > utc("9999-12-27")


# -- wait_until a date that the run was started with ------------------------------------------------------------------

FLIGHT = """
  - {id: before, type: wait_until, property: flight.departs_at, offset: -P1D, on_missing: missing}
  - {id: due, type: wait, for: P30D, next: exit}
  - {id: missing, type: wait, for: P30D}
"""


@pytest.mark.parametrize(
    ("value", "zone", "until"),
    [
        pytest.param("2026-12-10T14:20Z", "Asia/Tokyo", "2026-12-09T14:20", id="an instant"),
        pytest.param("2026-12-10T14:20", "Asia/Tokyo", "2026-12-09T05:20", id="wall time where the person is"),
        pytest.param("2026-12-10", None, "2026-12-08T23:00", id="a date is its midnight where the journey is"),
    ],
)
def test_a_date_that_the_run_was_started_with_is_waited_for(value: str, zone: str | None, until: str) -> None:
    version = journey(FLIGHT, time_zone="Europe/Paris")
    profile = person({"flight": {"departs_at": "2026-12-02"}}, zone)
    ride = Ride(version, profile, properties={"flight": {"departs_at": value}}).wake(T)
    assert ride.park is not None
    assert ride.park.until == utc(until)
    assert ride.wake(utc(until) - TICK).path == ["before"]
    assert ride.wake(utc(until)).path == ["before", "due"]


def test_a_date_in_a_property_that_has_passed_is_gone_on_from_at_once() -> None:
    ride = Ride(journey(FLIGHT), properties={"flight": {"departs_at": "2026-12-02T08:00Z"}}).wake(T)
    assert ride.path == ["before", "due"]
    assert ride.why == Waited(utc("2026-12-01T08:00"))


@pytest.mark.parametrize("properties", [{}, {"flight": None}, {"flight": {"departs_at": "soon"}}, {"flight": "KL 1"}])
def test_a_run_that_was_started_without_a_date_takes_its_own_path(properties: dict[str, Any]) -> None:
    ride = Ride(journey(FLIGHT), person({"flight": {"departs_at": "2026-12-10"}}), properties=properties).wake(T)
    assert ride.path == ["before", "missing"]
    assert ride.why == NoDate(property="flight.departs_at")


# -- forms of wait_until ----------------------------------------------------------------------------------------------

ONE_FORM = "needs one of 'at', 'attribute' and 'property'"
NOT_WITH_AT = "'offset' and 'on_missing' go with 'attribute' or 'property', not with 'at'"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", ONE_FORM),
        ("at: 2026-12-10T09:00, attribute: renewal, on_missing: exit", ONE_FORM),
        ("attribute: renewal, property: renewal, on_missing: exit", ONE_FORM),
        ("attribute: renewal", "'attribute' needs 'on_missing': where to go when the profile has no such date"),
        (
            "property: renewal",
            "'property' needs 'on_missing': where to go when the run was started without such a date",
        ),
        ("at: 2026-12-10T09:00, offset: P1D", NOT_WITH_AT),
        ("at: 2026-12-10T09:00, on_missing: exit", NOT_WITH_AT),
    ],
)
def test_a_wait_until_has_one_of_its_three_forms(fields: str, message: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        journey(f"  - {{id: launch, type: wait_until{fields and ', '}{fields}}}")
    assert [str(problem) for problem in refused.value.problems] == [f"steps.launch: {message}"]
