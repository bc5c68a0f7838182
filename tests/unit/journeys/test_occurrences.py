"""When members are taken in: every occurrence once, at the instant that the clocks say."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.journeys.test_walltime import CHANGES, first_shown, scan
from wend.journeys.occurrences import Occurrence, next_occurrences, occurrences, say_clock_change, start_of
from wend.journeys.schedule import AtTime, Schedule

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
            {"start": {"at": "2026-12-05T09:00"}, "every": {"days": 3}, "at": "08:00"},
            # the 5th is the first day, though 08:00 on it is before the start
            ["2026-12-08T08:00 2026-12-08T07:00:00Z", "2026-12-11T08:00 2026-12-11T07:00:00Z"],
            id="every third day",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": {"days": 1}, "on": ["mon", "fri"]},
            ["2026-12-07T09:00 2026-12-07T08:00:00Z", "2026-12-11T09:00 2026-12-11T08:00:00Z"],
            id="one day is a day",
        ),
        pytest.param(
            {"start": {"at": "2026-12-09T09:00"}, "every": {"weeks": 2}, "on": ["mon", "thu"]},
            # from a Wednesday: its week has a Thursday left, the next one that counts begins on Monday the 21st
            [
                "2026-12-10T09:00 2026-12-10T08:00:00Z",
                "2026-12-21T09:00 2026-12-21T08:00:00Z",
                "2026-12-24T09:00 2026-12-24T08:00:00Z",
                "2027-01-04T09:00 2027-01-04T08:00:00Z",
            ],
            id="both days of every second week",
        ),
        pytest.param(
            {"start": {"at": "2026-12-06T09:00"}, "every": {"weeks": 3}, "on": ["mon"]},
            # from a Sunday, which ends the week of Monday the 30th; the third after it begins on the 21st
            ["2026-12-21T09:00 2026-12-21T08:00:00Z", "2027-01-11T09:00 2027-01-11T08:00:00Z"],
            id="every third week, counted from Monday",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T09:00"}, "every": {"weeks": 53}},
            ["2026-12-05T09:00 2026-12-05T08:00:00Z", "2027-12-11T09:00 2027-12-11T08:00:00Z"],
            id="every 53rd week, on the start's own day",
        ),
        pytest.param(
            {"start": {"at": "2026-12-31T09:00"}, "every": {"months": 2}},
            [
                "2026-12-31T09:00 2026-12-31T08:00:00Z",
                "2027-02-28T09:00 2027-02-28T08:00:00Z",
                "2027-04-30T09:00 2027-04-30T07:00:00Z",
                "2027-06-30T09:00 2027-06-30T07:00:00Z",
                "2027-08-31T09:00 2027-08-31T07:00:00Z",
            ],
            id="every second month, on the start's own day or the last one",
        ),
        pytest.param(
            {"start": {"at": "2026-12-16T09:00"}, "every": {"months": 2}, "on": [31, 30, 15]},
            [
                "2026-12-30T09:00 2026-12-30T08:00:00Z",
                "2026-12-31T09:00 2026-12-31T08:00:00Z",
                "2027-02-15T09:00 2027-02-15T08:00:00Z",
                "2027-02-28T09:00 2027-02-28T08:00:00Z",
                "2027-04-15T09:00 2027-04-15T07:00:00Z",
            ],
            id="days of every second month, the last day once",
        ),
        pytest.param(
            {"start": {"at": "2028-02-29T09:00"}, "every": {"months": 12}},
            ["2028-02-29T09:00 2028-02-29T08:00:00Z", "2029-02-28T09:00 2029-02-28T08:00:00Z"],
            id="yearly from a leap day",
        ),
        pytest.param(
            {"start": {"at": "2027-03-27T02:30:15"}, "every": {"hours": 24}},
            ["2027-03-27T01:30:15Z 2027-03-27T01:30:15Z", "2027-03-28T01:30:15Z 2027-03-28T01:30:15Z"],
            id="elapsed days through a gap",
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


@pytest.mark.parametrize(
    ("more", "count", "last"),
    [
        pytest.param({"every": "day", "times": 1}, 1, "2026-12-05T09:00", id="the start alone"),
        pytest.param({"every": "day", "times": 10}, 10, "2026-12-14T09:00", id="days"),
        pytest.param({"every": {"days": 2}, "times": 10}, 10, "2026-12-23T09:00", id="every second day"),
        pytest.param({"every": "month", "on": [31, 30], "times": 5}, 5, "2027-02-28T09:00", id="last days count once"),
        pytest.param({"every": {"hours": 12}, "times": 3}, 3, "2026-12-06T08:00:00Z", id="elapsed hours"),
        pytest.param(
            {"every": "day", "at": "08:00", "times": 2}, 2, "2026-12-07T08:00", id="one before the start does not count"
        ),
        pytest.param(
            {"every": "day", "times": 10, "until": "2026-12-07T09:00"}, 3, "2026-12-07T09:00", id="until comes first"
        ),
        pytest.param(
            {"every": "day", "times": 2, "until": "2026-12-07T09:00"}, 2, "2026-12-06T09:00", id="times come first"
        ),
    ],
)
def test_it_ends_after_so_many_times(more: dict[str, Any], count: int, last: str) -> None:
    keys = [each.split()[0] for each in listed({"start": {"at": "2026-12-05T09:00"}, **more}, count=99)]
    assert (len(keys), keys[-1]) == (count, last)


def test_the_last_of_a_hundred_thousand_times_is_found_from_the_middle() -> None:
    schedule = Schedule.model_validate({"start": {"at": "2026-01-01T00:00Z"}, "every": {"hours": 1}, "times": 100_000})
    # 99,999 hours are 4,166 days and 15 hours
    last = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=4166, hours=15)
    found = next_occurrences(schedule, ZoneInfo("UTC"), PUBLISHED, since=last - timedelta(minutes=59), limit=9)
    assert [each.at for each in found] == [last]
    assert next_occurrences(schedule, ZoneInfo("UTC"), PUBLISHED, since=last + timedelta(seconds=1), limit=9) == []


@pytest.mark.parametrize(
    ("schedule", "since", "said"),
    [
        pytest.param(
            {"start": {"at": "2027-03-28T02:30"}},
            "2027-03-28",
            ["02:30 is skipped that day; the first instant after is taken: 03:00 CEST"],
            id="a start in a gap",
        ),
        pytest.param(
            {"start": {"at": "2027-10-31T02:30:15"}},
            "2027-10-30",
            ["02:30:15 comes twice that day; the first is taken: 02:30:15 CEST"],
            id="a start in an overlap, to the second",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T02:30"}, "every": "day"},
            "2027-03-27",
            [None, "02:30 is skipped that day; the first instant after is taken: 03:00 CEST", None],
            id="daily through a gap",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T02:00"}, "every": "day"},
            "2027-10-30",
            [None, "02:00 comes twice that day; the first is taken: 02:00 CEST", None],
            id="daily through an overlap, at its first minute",
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T03:00"}, "every": "day"}, "2027-03-28", [None], id="the first after a gap"
        ),
        pytest.param(
            {"start": {"at": "2026-12-05T03:00"}, "every": "day"}, "2027-10-31", [None], id="the first after an overlap"
        ),
        pytest.param({"start": {"at": "2027-10-31T02:30+02:00"}}, "2027-10-30", [None], id="an instant is one instant"),
        pytest.param(
            {"start": {"at": "2027-10-31T02:30"}, "every": {"hours": 24}}, "2027-10-30", [None], id="elapsed time"
        ),
    ],
)
def test_what_the_clocks_do_at_an_occurrence_is_said(
    schedule: dict[str, Any], since: str, said: list[str | None]
) -> None:
    zone = ZoneInfo("Europe/Paris")
    midnight = datetime.fromisoformat(f"{since}T00:00+00:00")
    found = next_occurrences(
        Schedule.model_validate(schedule), zone, PUBLISHED, since=midnight - timedelta(hours=2), limit=len(said)
    )
    assert [say_clock_change(each, zone) for each in found] == said
    assert [each.clock_change is None for each in found] == [each is None for each in said]


def test_an_occurrence_that_is_written_down_says_nothing_of_the_clocks() -> None:
    assert say_clock_change(Occurrence("2027-03-28T02:30", PUBLISHED), ZoneInfo("Europe/Paris")) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"every": "day"},
        {"every": {"days": 1}, "on": ["mon"]},
        {"every": {"days": 3}, "times": 100_000},
        {"every": {"weeks": 2}, "on": ["mon", "thu"], "at": "09:00"},
        {"every": {"months": 3}, "on": [1, 31], "until": "2027-01-01T09:00"},
        {"every": {"hours": 24}, "catch_up": "PT1M"},
        {"catch_up": "P30D"},
    ],
    ids=str,
)
def test_a_schedule_is_written_as_it_was_given(fields: dict[str, Any]) -> None:
    schedule = Schedule.model_validate(fields)
    assert schedule.model_dump(mode="json", exclude_defaults=True) == fields
    assert Schedule.model_validate_json(schedule.model_dump_json()) == schedule
    assert jsonschema_rs.Draft202012Validator(Schedule.model_json_schema()).is_valid(fields)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"every": {"days": 0}}, "greater than or equal to 1"),
        ({"every": {"weeks": 521}}, "less than or equal to 520"),
        ({"every": {"months": True}}, "valid integer"),
        ({"every": {"years": 1}}, "is no repetition; write day, week, month, {days: 3}, {weeks: 2}, {months: 3} or {h"),
        ({"every": {"days": 1, "weeks": 1}}, "is no repetition"),
        ({"every": {}}, "is no repetition"),
        ({"every": 3}, "is no repetition"),
        ({"every": {"days": 2}, "on": ["mon"]}, "'on' does not go with every 2 days; weekdays go with day and"),
        ({"every": {"days": 2}, "on": [3]}, "'on' does not go with every 2 days; weekdays go with day and"),
        ({"every": {"weeks": 2}, "on": [3]}, "'on' of a week takes weekdays"),
        ({"every": {"months": 2}, "on": ["mon"]}, "'on' of a month takes day numbers"),
        ({"times": 3}, "'on', 'at', 'until' and 'times' go with 'every'"),
        ({"every": "day", "times": 0}, "greater than or equal to 1"),
        ({"every": "day", "times": 100_001}, "less than or equal to 100000"),
        ({"catch_up": "PT59S"}, "must be at least PT1M"),
        ({"catch_up": "PT0S"}, "must be at least PT1M"),
        ({"catch_up": "P1M"}, "counts months or years"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_schedule_is_said(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(wrong)) as raised:
        Schedule.model_validate(fields)
    assert raised.value.error_count() == 1


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


@pytest.mark.parametrize(
    "more",
    [
        {"every": {"hours": 7}},
        {"every": "day"},
        {"every": {"days": 3}},
        {"every": {"weeks": 2}, "on": ["mon", "thu"]},
        {"every": {"months": 3}, "on": [1, 30, 31]},
        {"every": {"days": 3}, "times": 30},
    ],
    ids=str,
)
def test_whenever_one_asks_the_same_ones_are_next(more: dict[str, Any]) -> None:
    schedule = Schedule.model_validate({"start": {"at": "2026-12-05T09:00"}, **more})
    zone = ZoneInfo("Europe/Paris")
    known = [*islice(occurrences(schedule, zone, PUBLISHED), 30)]
    for number, each in enumerate(known[:-2]):
        for since in (each.at, each.at - timedelta(seconds=1), each.at - timedelta(hours=5)):
            found = next_occurrences(schedule, zone, PUBLISHED, since=since, limit=3)
            assert found == known[number : number + 3], since
    for since in (known[0].at + timedelta(hours=13) * number for number in range(15)):  # up to 182 of 203 hours
        found = next_occurrences(schedule, zone, PUBLISHED, since=since, limit=1)
        assert found == [next(each for each in known if each.at >= since)], since


def test_an_occurrence_that_a_gap_moves_into_the_next_day_is_found_from_that_day_on() -> None:
    """Nuuk's clocks go from 23:00 on Saturday to midnight."""
    schedule = Schedule.model_validate({"start": {"at": "2027-03-01T23:30"}, "every": "week", "on": ["sat"]})
    midnight = datetime(2027, 3, 28, 1, tzinfo=UTC)
    (found,) = next_occurrences(schedule, ZoneInfo("America/Nuuk"), PUBLISHED, since=midnight, limit=1)
    assert (found.key, found.at) == ("2027-03-27T23:30", midnight)


@pytest.mark.parametrize(
    "every", ["day", "week", "month", {"hours": 8784}, {"days": 13}, {"weeks": 9}, {"months": 5}], ids=str
)
def test_a_schedule_without_an_end_ends_with_the_calendar(every: Any) -> None:
    schedule = Schedule.model_validate({"start": {"at": "9998-10-01T09:00"}, "every": every})
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        found = [*occurrences(schedule, ZoneInfo(zone), PUBLISHED)]
        assert found
        assert found[-1].at.year == 9999


STARTS = st.one_of(
    st.builds(lambda minutes: {"after_publish": f"PT{minutes}M"}, st.integers(0, 60 * 24 * 400)),
    st.builds(
        lambda minutes, z: {"at": f"{datetime(2026, 1, 1) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}{z}"},  # noqa: DTZ001
        st.integers(0, 60 * 24 * 700),
        st.sampled_from(["", "Z", "+05:30"]),
    ),
)
CLOCKS: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda half: {"at": f"{half // 2:02}:{half % 2 * 30:02}"}, st.integers(0, 47)
) | st.just({})
WEEKDAYS = st.lists(st.sampled_from(["mon", "wed", "sat", "sun"]), min_size=1, unique=True)
NUMBERS = st.lists(st.sampled_from([1, 15, 28, 29, 30, 31]), min_size=1, unique=True)


def on(days: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return these days, or none."""
    return st.builds(lambda chosen: {"on": chosen}, days) | st.just({})


def repeated(unit: str, counts: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda count: {"every": {unit: count}}, counts)


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda fields: {name: value for each in fields for name, value in each.items()})


RHYTHMS = st.one_of(
    repeated("hours", st.integers(1, 100)),
    joined(repeated("days", st.integers(1, 40)), CLOCKS),
    joined(st.sampled_from([{"every": "day"}, {"every": "week"}]), on(WEEKDAYS), CLOCKS),
    joined(repeated("weeks", st.integers(1, 6)), on(WEEKDAYS), CLOCKS),
    joined(st.just({"every": "month"}) | repeated("months", st.integers(1, 14)), on(NUMBERS), CLOCKS),
)
TIMES: st.SearchStrategy[dict[str, Any]] = st.builds(lambda times: {"times": times}, st.integers(1, 150)) | st.just({})
BEGUN = st.builds(lambda start: {"start": start}, STARTS)
ZONES = st.sampled_from(["UTC", "Europe/Paris", "Australia/Lord_Howe", "America/Nuuk", "Asia/Beirut"])

schedules = BEGUN | joined(BEGUN, RHYTHMS, TIMES)


@given(
    fields=schedules,
    zone_name=ZONES,
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
    if schedule.every is None or len(first) < 200 or first[-1].at > since:
        limit = len(expected) + (len(first) < 200)  # one more than there are, where all of them are known
        assert next_occurrences(schedule, zone, PUBLISHED, since=since, limit=limit) == expected


@given(start=STARTS, rhythm=RHYTHMS, zone_name=ZONES, times=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_so_many_times_are_the_first_ones_of_those_without_an_end(
    start: dict[str, Any], rhythm: dict[str, Any], zone_name: str, times: int
) -> None:
    endless, zone = Schedule.model_validate({"start": start, **rhythm}), ZoneInfo(zone_name)
    counted = endless.model_copy(update={"times": times})
    expected = [*islice(occurrences(endless, zone, PUBLISHED), times)]
    assert [*islice(occurrences(counted, zone, PUBLISHED), times + 1)] == expected


@given(
    start=STARTS, clock=CLOCKS, weekdays=on(WEEKDAYS), numbers=on(NUMBERS), zone_name=ZONES, count=st.integers(1, 14)
)
@settings(max_examples=60, deadline=None)
def test_every_so_many_are_those_of_every_single_one_that_count(
    start: dict[str, Any],
    clock: dict[str, Any],
    weekdays: dict[str, Any],
    numbers: dict[str, Any],
    zone_name: str,
    count: int,
) -> None:
    zone = ZoneInfo(zone_name)
    begun = Schedule.model_validate({"start": start})
    at = begun.start.at if isinstance(begun.start, AtTime) else None
    nominal = at if at and at.tzinfo is None else start_of(begun, zone, PUBLISHED).astimezone(zone)
    first = nominal.date()
    monday = first - first.weekday() * DAY

    def counts(unit: str, day: date) -> bool:
        match unit:
            case "days":
                return (day - first).days % count == 0
            case "weeks":
                return (day - monday).days // 7 % count == 0
            case _:
                return ((day.year - first.year) * 12 + day.month - first.month) % count == 0

    for unit, on_days in (("days", {}), ("weeks", weekdays), ("months", numbers)):
        each, some = (
            Schedule.model_validate({"start": start, "every": every, **on_days, **clock})
            for every in (unit.removesuffix("s"), {unit: count})
        )
        singly = [*islice(occurrences(each, zone, PUBLISHED), 200)]
        expected = [found for found in singly if counts(unit, date.fromisoformat(found.key[:10]))]
        assert [*islice(occurrences(some, zone, PUBLISHED), len(expected))] == expected, unit
