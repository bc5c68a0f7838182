"""How fast profiles start, against counts that are made from the wall clock and not by the code under test."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wend.entries.pacing import Limits, Pace, held, in_rate, under_ceiling, used
from wend.journeys.entry import Ceiling
from wend.journeys.schedule import WEEKDAYS

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

PARIS = ZoneInfo("Europe/Paris")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # changes by half an hour

# Shortly before clocks change, in autumn and spring, and a quiet day.
BEGINNINGS = [
    (PARIS, datetime(2026, 10, 24, 20, tzinfo=UTC)),
    (PARIS, datetime(2027, 3, 27, 20, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 10, 31, 20, tzinfo=UTC)),
    (LORD_HOWE, datetime(2027, 4, 3, 8, tzinfo=UTC)),
    (LORD_HOWE, datetime(2026, 10, 3, 8, tzinfo=UTC)),
    (PARIS, datetime(2026, 12, 1, 9, tzinfo=UTC)),
]

Starts = list[tuple[datetime, int]]


def start(pace: Pace, limits: Limits, now: datetime, wanted: int) -> tuple[Pace, int]:
    count = under_ceiling(pace, limits, now, min(wanted, in_rate(pace, limits.rate, now)))
    return used(pace, limits, now, count), count


def start_whenever(limits: Limits, at: datetime, attempts: list[tuple[timedelta, int]]) -> Starts:
    """Try to start so many after each pause."""
    pace, starts = Pace(at), []
    for pause, wanted in attempts:
        at += pause
        pace, count = start(pace, limits, at, wanted)
        starts.append((at, count))
    return starts


def start_as_told(limits: Limits, at: datetime, members: int, batch: int = 50) -> Starts:
    """Start all members as soon as ``held`` says that somebody may."""
    pace, starts = Pace(at), []
    while members:
        if (hold := held(pace, limits, at, batch)) is not None:
            assert hold.until > at
            at = hold.until
        pace, count = start(pace, limits, at, min(batch, members))
        assert count > 0, f"nobody starts at {at}"
        starts.append((at, count))
        members -= count
    return starts


def most_in(starts: Starts, length: timedelta) -> int:
    """Return the most that started in any half-open window of this length."""
    return max(sum(count for at, count in starts if begin <= at < begin + length) for begin, _ in starts)


def per_day(starts: Starts, zone: ZoneInfo) -> Counter[date]:
    found: Counter[date] = Counter()
    for at, count in starts:
        found[at.astimezone(zone).date()] += count
    return found


def per_hour(starts: Starts, zone: ZoneInfo) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for at, count in starts:
        local = at.astimezone(zone)
        found[local.date(), local.hour, local.utcoffset()] += count
    return found


PAUSES = st.one_of(
    st.integers(0, 3_000_000).map(lambda count: count * MICROSECOND),
    st.integers(0, 90).map(lambda count: count * timedelta(minutes=1)),
    st.integers(0, 30).map(lambda count: count * HOUR),
)
ATTEMPTS = st.lists(st.tuples(PAUSES, st.integers(1, 60)), min_size=1, max_size=60)


# -- rates --------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(rate=st.integers(1, 2000), pauses=st.lists(st.integers(0, 400_000), min_size=5, max_size=60))
def test_a_rate_is_never_exceeded_in_any_second_by_more_than_the_bucket(rate: int, pauses: list[int]) -> None:
    starts = start_whenever(Limits(rate), BEGINNINGS[-1][1], [(pause * MICROSECOND, 10_000) for pause in pauses])
    bucket = max(rate // 5, 1)
    assert most_in(starts, SECOND) <= rate + bucket
    assert max(count for _, count in starts) <= bucket


@pytest.mark.parametrize("rate", [1, 3, 7, 100, 500, 5000])
def test_a_rate_is_reached_and_held_over_twenty_seconds(rate: int) -> None:
    starts = start_as_told(Limits(rate), BEGINNINGS[-1][1], rate * 20)
    took = starts[-1][0] - starts[0][0]
    # What the bucket held at first was there for nothing: a fifth of a second's worth, or one profile.
    assert timedelta(seconds=18.99) <= took <= timedelta(seconds=20)


def test_a_quiet_day_is_not_made_up_for() -> None:
    at = BEGINNINGS[-1][1]
    starts = start_whenever(Limits(10), at, [(timedelta(0), 100), (DAY, 100), (timedelta(0), 100)])
    assert [count for _, count in starts] == [2, 2, 0]


def test_a_clock_that_was_a_year_ahead_stops_nobody_when_it_is_right_again() -> None:
    at = BEGINNINGS[-1][1] + HOUR / 2
    limits = Limits(1, Ceiling(per_hour=2, per_day=3, spread=True), PARIS)
    pace, count = start(Pace(at), limits, at + 365 * DAY, 1)
    assert count == 1
    assert start(pace, limits, at + SECOND, 1)[1] == 1


# -- ceilings -----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    beginning=st.sampled_from(BEGINNINGS),
    hourly=st.integers(1, 40) | st.none(),
    daily=st.integers(1, 100),
    on=st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True) | st.none(),
    spread=st.booleans(),
    attempts=ATTEMPTS,
)
def test_no_ceiling_is_ever_exceeded(
    beginning: tuple[ZoneInfo, datetime],
    hourly: int | None,
    daily: int,
    on: list[Any] | None,
    spread: bool,
    attempts: list[tuple[timedelta, int]],
) -> None:
    zone, at = beginning
    ceiling = Ceiling(per_hour=hourly, per_day=daily, on=tuple(on) if on else None, spread=spread)
    limits = Limits(5000, ceiling, zone)
    starts = start_whenever(limits, at, attempts)

    assert max(per_day(starts, zone).values()) <= daily
    if hourly is not None:
        assert max(per_hour(starts, zone).values()) <= hourly
    if on is not None:
        assert {WEEKDAYS[at.astimezone(zone).weekday()] for at, count in starts if count} <= set(on)
    if spread:
        so_far: Counter[date] = Counter()
        for at, count in starts:
            day = at.astimezone(zone).date()
            so_far[day] += count
            begun, ended = (datetime.combine(day + n * DAY, time(), zone).astimezone(UTC) for n in (0, 1))
            assert so_far[day] <= ceil(daily * (at - begun) / (ended - begun))


@settings(max_examples=100, deadline=None)
@given(
    beginning=st.sampled_from(BEGINNINGS),
    hourly=st.integers(1, 40) | st.none(),
    daily=st.integers(1, 100) | st.none(),
    spread=st.booleans(),
    attempts=ATTEMPTS,
)
def test_what_is_held_opens_at_the_instant_that_is_told_and_not_before(
    beginning: tuple[ZoneInfo, datetime],
    hourly: int | None,
    daily: int | None,
    spread: bool,
    attempts: list[tuple[timedelta, int]],
) -> None:
    zone, at = beginning
    ceiling = Ceiling(per_hour=hourly, per_day=daily, on=("sat", "sun"), spread=spread and bool(hourly or daily))
    limits = Limits(5000, ceiling, zone)
    pace = Pace(at)
    for pause, wanted in attempts:
        at += pause
        pace, _ = start(pace, limits, at, wanted)
        hold = held(pace, limits, at)
        if hold is None:
            assert start(pace, limits, at, 1)[1] == 1
        else:
            assert start(pace, limits, at, 1)[1] == 0
            assert start(pace, limits, hold.until, 1)[1] == 1
            assert start(pace, limits, hold.until - MICROSECOND, 1)[1] == 0


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [(PARIS, date(2026, 10, 25), 25), (PARIS, date(2027, 3, 28), 23), (PARIS, date(2026, 12, 1), 24)],
    ids=["clocks go back", "clocks go forward", "no change"],
)
def test_a_day_of_23_or_25_hours_is_one_day_and_has_as_many_hours(zone: ZoneInfo, day: date, hours: int) -> None:
    begun = datetime.combine(day, time(), zone).astimezone(UTC)
    starts = start_as_told(Limits(5000, Ceiling(per_hour=10), zone), begun, 10 * hours)
    assert set(per_day(starts, zone)) == {day}
    assert list(per_hour(starts, zone).values()) == [10] * hours
    assert [at - begun for at, _ in starts] == [number * HOUR for number in range(hours)]

    starts = start_as_told(Limits(5000, Ceiling(per_day=10), zone), begun, 20)
    assert [at - begun for at, _ in starts] == [timedelta(0), hours * HOUR]


def test_where_clocks_change_by_half_an_hour_that_half_hour_has_a_ceiling_of_its_own() -> None:
    """On 4 April 2027 Lord Howe goes back from 02:00 to 01:30, which is 15:00 in UTC."""
    begun = datetime(2027, 4, 3, 14, tzinfo=UTC)
    starts = start_as_told(Limits(5000, Ceiling(per_hour=10), LORD_HOWE), begun, 40)
    assert [at - begun for at, _ in starts] == [timedelta(0), HOUR, 1.5 * HOUR, 2.5 * HOUR]


def test_a_midnight_that_the_clocks_skip_begins_its_day_after_the_gap() -> None:
    """On 6 September 2026 Santiago goes from midnight to 01:00."""
    zone = ZoneInfo("America/Santiago")
    starts = start_as_told(Limits(5000, Ceiling(per_day=10), zone), datetime(2026, 9, 5, 12, tzinfo=UTC), 20)
    assert starts[1][0] == datetime(2026, 9, 6, 4, tzinfo=UTC) == datetime(2026, 9, 6, 1, tzinfo=zone)


def test_on_some_weekdays_alone_a_friday_ceiling_goes_on_on_monday_and_says_why() -> None:
    limits = Limits(5000, Ceiling(per_day=3, on=("fri", "mon")), PARIS)
    friday = datetime(2026, 12, 4, 12, tzinfo=UTC)
    pace, _ = start(Pace(friday), limits, friday, 3)
    hold = held(pace, limits, friday)
    assert hold is not None
    assert (hold.until, hold.why) == (datetime(2026, 12, 6, 23, tzinfo=UTC), "ceiling of 3 a day reached")
    hold = held(Pace(friday), limits, friday + DAY)
    assert hold is not None
    assert (hold.until, hold.why) == (datetime(2026, 12, 6, 23, tzinfo=UTC), "nobody starts but on fri, mon")


def test_hours_and_days_both_hold() -> None:
    begun = datetime(2026, 12, 1, 12, tzinfo=UTC)
    starts = start_as_told(Limits(5000, Ceiling(per_hour=10, per_day=25), ZoneInfo("UTC")), begun, 60)
    hours = [(at - begun) // HOUR for at, _ in starts]
    assert hours == [0, 1, 2, 12, 13, 14, 36]
    assert [count for _, count in starts] == [10, 10, 5, 10, 10, 5, 10]


def test_a_spread_that_begins_in_the_evening_does_not_begin_with_the_afternoons_share() -> None:
    begun = datetime(2026, 12, 1, 18, tzinfo=UTC)
    starts = start_as_told(Limits(5000, Ceiling(per_day=24, spread=True)), begun, 30)
    assert {count for _, count in starts} == {1}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(starts)]
    assert min(gaps) >= HOUR - SECOND
    assert max(gaps) <= HOUR + SECOND


def test_a_spread_day_reaches_its_ceiling_though_every_timer_is_late() -> None:
    limits = Limits(5000, Ceiling(per_day=2000, spread=True), PARIS)  # 43.2 seconds each
    at = datetime(2026, 11, 30, 23, tzinfo=UTC)
    pace, starts = Pace(at), []
    while at < datetime(2026, 12, 1, 23, tzinfo=UTC):
        pace, count = start(pace, limits, at, 50)
        starts.append((at, count))
        hold = held(pace, limits, at)
        assert hold is not None
        at = hold.until + timedelta(milliseconds=400)
    assert sum(count for _, count in starts) >= 1999


def test_versions_in_different_zones_share_one_count() -> None:
    """An entry of the older version is still being started when a version in another zone takes the next one in."""
    older = Limits(5000, Ceiling(per_day=10), PARIS)
    newer = Limits(5000, Ceiling(per_day=10), NEW_YORK)
    begun = datetime(2026, 12, 1, 6, tzinfo=UTC)  # one o'clock in New York, seven in Paris
    pace, count = start(Pace(begun), newer, begun, 8)
    assert count == 8
    pace, count = start(pace, older, begun + HOUR, 8)
    assert count == 2
    assert start(pace, newer, begun + 2 * HOUR, 8)[1] == 0
