"""When members are taken in: every occurrence once, at the instant that the clocks say."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.journeys.test_walltime import CHANGES, first_shown, scan
from wend.journeys.occurrences import next_occurrences, occurrences, start_of
from wend.journeys.schedule import Schedule

PUBLISHED = datetime(2026, 12, 1, 8, 59, 59, 250_000, tzinfo=UTC)
DAY = timedelta(days=1)


def listed(schedule: dict[str, Any], zone: str = "Europe/Paris", count: int = 6) -> list[str]:
    """Return the first occurrences as ``key instant``."""
    found = islice(occurrences(Schedule.model_validate(schedule), ZoneInfo(zone), PUBLISHED), count)
    return [f"{each.key} {each.at:%Y-%m-%dT%H:%M:%SZ}" for each in found]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param(
            {}, ["2026-12-01T10:00:00Z 2026-12-01T10:00:00Z"], id="an hour after the publication, in whole seconds"
        ),
        pytest.param(
            {"start": {"after_publish": "PT0S"}}, ["2026-12-01T09:00:00Z 2026-12-01T09:00:00Z"], id="at the publication"
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}}, ["2026-12-05T09:00 2026-12-05T08:00:00Z"], id="at a wall time"
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00:30"}}, ["2026-12-05T09:00:30 2026-12-05T08:00:30Z"], id="to the second"
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00+05:30"}}, ["2026-12-05T03:30:00Z 2026-12-05T03:30:00Z"], id="an instant"
        ),
        pytest.param(
            {"start": {"at": "2020-01-01T09:00"}}, ["2020-01-01T09:00 2020-01-01T08:00:00Z"], id="in the past"
        ),
        pytest.param(
            {"start": {"at": "2027-03-28T02:30"}}, ["2027-03-28T02:30 2027-03-28T01:00:00Z"], id="a start in a gap"
        ),
    ],
)
def test_a_journey_that_is_entered_once_has_one_occurrence(schedule: dict[str, Any], expected: list[str]) -> None:
    assert listed(schedule) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": "day"},
            ["2026-12-05T09:00 2026-12-05T08:00:00Z", "2026-12-06T09:00 2026-12-06T08:00:00Z"],
            id="daily, at the start's own time",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00:30"}, "every": "day"},
            ["2026-12-05T09:00:30 2026-12-05T08:00:30Z", "2026-12-06T09:00:30 2026-12-06T08:00:30Z"],
            id="daily, at the start's own second",
        ),
        pytest.param(
            {"every": "day"},
            ["2026-12-01T11:00 2026-12-01T10:00:00Z", "2026-12-02T11:00 2026-12-02T10:00:00Z"],
            id="daily, from the publication",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": "day", "at": "10:30"},
            ["2026-12-05T10:30 2026-12-05T09:30:00Z", "2026-12-06T10:30 2026-12-06T09:30:00Z"],
            id="daily, later on the first day",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": "day", "at": "00:00"},
            ["2026-12-06T00:00 2026-12-05T23:00:00Z", "2026-12-07T00:00 2026-12-06T23:00:00Z"],
            id="daily, too early on the first day",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": "day", "on": ["mon", "fri"]},
            ["2026-12-07T09:00 2026-12-07T08:00:00Z", "2026-12-11T09:00 2026-12-11T08:00:00Z"],
            id="on some days",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": "week"},
            ["2026-12-05T09:00 2026-12-05T08:00:00Z", "2026-12-12T09:00 2026-12-12T08:00:00Z"],
            id="weekly, on the start's own day",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": "week", "on": ["thu", "mon"], "at": "08:00"},
            ["2026-12-07T08:00 2026-12-07T07:00:00Z", "2026-12-10T08:00 2026-12-10T07:00:00Z"],
            id="weekly, on days in whatever order",
        ),
        pytest.param(
            {"start": {"at": "2026-12-31T09:00"}, "every": "month"},
            [
                "2026-12-31T09:00 2026-12-31T08:00:00Z",
                "2027-01-31T09:00 2027-01-31T08:00:00Z",
                "2027-02-28T09:00 2027-02-28T08:00:00Z",
                "2027-03-31T09:00 2027-03-31T07:00:00Z",
            ],
            id="monthly, on the start's own day or the last one",
        ),
        pytest.param(
            {"start": {"at": "2028-01-15T09:00"}, "every": "month", "on": [30, 1, 31, 29]},
            [
                "2028-01-29T09:00 2028-01-29T08:00:00Z",
                "2028-01-30T09:00 2028-01-30T08:00:00Z",
                "2028-01-31T09:00 2028-01-31T08:00:00Z",
                "2028-02-01T09:00 2028-02-01T08:00:00Z",
                "2028-02-29T09:00 2028-02-29T08:00:00Z",
                "2028-03-01T09:00 2028-03-01T08:00:00Z",
            ],
            id="monthly, where one last day stands in for several, once",
        ),
        pytest.param(
            {"start": {"at": "2027-03-27T18:00"}, "every": {"hours": 12}},
            [
                "2027-03-27T17:00:00Z 2027-03-27T17:00:00Z",
                "2027-03-28T05:00:00Z 2027-03-28T05:00:00Z",
                "2027-03-28T17:00:00Z 2027-03-28T17:00:00Z",
            ],
            id="elapsed hours, whatever the clocks do",
        ),
        pytest.param(
            {"start": {"at": "2027-03-27T02:30"}, "every": "day"},
            [
                "2027-03-27T02:30 2027-03-27T01:30:00Z",
                "2027-03-28T02:30 2027-03-28T01:00:00Z",
                "2027-03-29T02:30 2027-03-29T00:30:00Z",
            ],
            id="daily through a gap",
        ),
        pytest.param(
            {"start": {"at": "2027-03-28T02:30"}, "every": "day"},
            ["2027-03-28T02:30 2027-03-28T01:00:00Z", "2027-03-29T02:30 2027-03-29T00:30:00Z"],
            id="daily from a start in a gap, at its own time afterwards",
        ),
        pytest.param(
            {"start": {"at": "2027-10-30T02:30"}, "every": "day"},
            [
                "2027-10-30T02:30 2027-10-30T00:30:00Z",
                "2027-10-31T02:30 2027-10-31T00:30:00Z",
                "2027-11-01T02:30 2027-11-01T01:30:00Z",
            ],
            id="daily through an overlap, once",
        ),
    ],
)
def test_a_repeating_journey_begins_at_its_first_occurrence_from_the_start_on(
    schedule: dict[str, Any], expected: list[str]
) -> None:
    assert listed(schedule, count=len(expected)) == expected


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("2026-12-07T09:00", "2026-12-07T09:00"),
        ("2026-12-07T08:59:59", "2026-12-06T09:00"),
        ("2026-12-07T08:00Z", "2026-12-07T09:00"),
        ("2026-12-04T09:00", None),
    ],
    ids=["that instant included", "a second before it", "an instant", "before the start"],
)
def test_it_ends_with_its_last_instant(until: str, last: str | None) -> None:
    schedule = {"start": {"at": "2026-12-05T09:00"}, "every": "day", "until": until}
    keys = [each.split()[0] for each in listed(schedule, count=99)]
    assert (keys[-1] if keys else None) == last


def test_elapsed_hours_end_too() -> None:
    schedule = {"start": {"at": "2026-12-05T09:00Z"}, "every": {"hours": 6}, "until": "2026-12-05T21:00Z"}
    assert [each[11:13] for each in listed(schedule)] == ["09", "15", "21"]


@pytest.mark.parametrize(("zone_name", "day"), CHANGES)
def test_a_daily_occurrence_at_each_half_hour_around_a_change_is_where_a_scan_finds_it(
    zone_name: str, day: date
) -> None:
    zone = ZoneInfo(zone_name)
    scanned = scan(zone, day)
    for half_hour in range(48):
        clock = f"{half_hour // 2:02}:{half_hour % 2 * 30:02}"
        days = [day + number * DAY for number in (-1, 0, 1)]
        walls = [datetime.combine(each, datetime.min.time()) + half_hour * timedelta(minutes=30) for each in days]
        expected = {first_shown(scanned, wall): f"{wall:%Y-%m-%dT%H:%M}" for wall in reversed(walls)}
        schedule = Schedule.model_validate(
            {
                "start": {"at": f"{walls[0]:%Y-%m-%dT%H:%M}"},
                "every": "day",
                "at": clock,
                "until": f"{walls[-1]:%Y-%m-%dT%H:%M}",
            }
        )
        found = {each.at: each.key for each in occurrences(schedule, zone, PUBLISHED)}
        assert found == dict(sorted(expected.items())), clock


def test_a_day_that_was_skipped_is_no_second_occasion_on_the_day_after() -> None:
    schedule = {"start": {"at": "2011-12-29T00:00"}, "every": "day", "until": "2012-01-01T00:00"}
    assert listed(schedule, "Pacific/Apia") == [
        "2011-12-29T00:00 2011-12-29T10:00:00Z",
        "2011-12-30T00:00 2011-12-30T10:00:00Z",
        "2012-01-01T00:00 2011-12-31T10:00:00Z",
    ]


def test_the_next_ones_are_given_from_an_instant_on_and_not_more_than_asked_for() -> None:
    schedule = Schedule.model_validate({"start": {"at": "2026-12-05T09:00"}, "every": "day"})
    zone = ZoneInfo("Europe/Paris")
    at = datetime(2027, 1, 10, 8, tzinfo=UTC)
    assert [each.key for each in next_occurrences(schedule, zone, PUBLISHED, since=at, limit=2)] == [
        "2027-01-10T09:00",
        "2027-01-11T09:00",
    ]
    after = at + timedelta(microseconds=1)
    assert next_occurrences(schedule, zone, PUBLISHED, since=after, limit=1)[0].key == "2027-01-11T09:00"
    once = Schedule.model_validate({"start": {"at": "2026-12-05T09:00"}})
    assert next_occurrences(once, zone, PUBLISHED, since=at, limit=9) == []


def test_an_occurrence_that_a_gap_moves_into_the_next_day_is_found_from_that_day_on() -> None:
    """Nuuk's clocks go from 23:00 on Saturday to midnight."""
    schedule = Schedule.model_validate({"start": {"at": "2027-03-01T23:30"}, "every": "week", "on": ["sat"]})
    midnight = datetime(2027, 3, 28, 1, tzinfo=UTC)
    (found,) = next_occurrences(schedule, ZoneInfo("America/Nuuk"), PUBLISHED, since=midnight, limit=1)
    assert (found.key, found.at) == ("2027-03-27T23:30", midnight)


@pytest.mark.parametrize("every", ["day", "week", "month", {"hours": 8784}])
def test_a_schedule_without_an_end_ends_with_the_calendar(every: Any) -> None:
    schedule = Schedule.model_validate({"start": {"at": "9998-10-01T09:00"}, "every": every})
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        found = [*occurrences(schedule, ZoneInfo(zone), PUBLISHED)]
        assert found
        assert found[-1].at.year == 9999


schedules = st.fixed_dictionaries(
    {
        "start": st.one_of(
            st.builds(lambda minutes: {"after_publish": f"PT{minutes}M"}, st.integers(0, 60 * 24 * 400)),
            st.builds(
                lambda minutes, z: {"at": f"{datetime(2026, 1, 1) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}{z}"},  # noqa: DTZ001
                st.integers(0, 60 * 24 * 700),
                st.sampled_from(["", "Z", "+05:30"]),
            ),
        )
    }
).flatmap(
    lambda fields: st.one_of(
        st.just(fields),
        st.builds(lambda hours: {**fields, "every": {"hours": hours}}, st.integers(1, 100)),
        st.builds(
            lambda every, on, at: {**fields, "every": every[0], **({"on": every[1][:on]} if on else {}), **at},
            st.sampled_from(
                [
                    ("day", ["mon", "tue", "sun"]),
                    ("week", ["sat", "sun", "wed"]),
                    ("month", [31, 30, 29]),
                    ("month", [1, 15, 28]),
                ]
            ),
            st.integers(0, 3),
            st.builds(lambda half: {"at": f"{half // 2:02}:{half % 2 * 30:02}"}, st.integers(0, 47)) | st.just({}),
        ),
    )
)


@given(
    fields=schedules,
    zone_name=st.sampled_from(["UTC", "Europe/Paris", "Australia/Lord_Howe", "America/Nuuk", "Asia/Beirut"]),
    minutes=st.integers(-60 * 24 * 10, 60 * 24 * 900),
)
@settings(max_examples=150, deadline=None)
def test_instants_go_up_keys_are_unique_and_asking_from_the_middle_gives_the_same(
    fields: dict[str, Any], zone_name: str, minutes: int
) -> None:
    schedule, zone = Schedule.model_validate(fields), ZoneInfo(zone_name)
    first = [*islice(occurrences(schedule, zone, PUBLISHED), 200)]
    assert first[0].at >= start_of(schedule, zone, PUBLISHED)
    assert all(one.at < two.at for one, two in pairwise(first))
    assert len({each.key for each in first}) == len(first)
    assert all(each.at.microsecond == 0 for each in first)
    since = start_of(schedule, zone, PUBLISHED) + timedelta(minutes=minutes)
    expected = [each for each in first if each.at >= since]
    if schedule.every is None or first[-1].at > since:
        assert next_occurrences(schedule, zone, PUBLISHED, since=since, limit=len(expected)) == expected
