"""Wall time into instants: held against a scan of the UTC minutes, which knows nothing of gaps and overlaps."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from wend.journeys.model import load_zone
from wend.journeys.walltime import FOREVER, LONG_AGO, later, resolve, say_instant

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

CHANGES = [
    pytest.param("Europe/Paris", date(2027, 3, 28), id="Paris springs forward"),
    pytest.param("Europe/Paris", date(2027, 10, 31), id="Paris falls back"),
    pytest.param("Europe/Dublin", date(2027, 10, 31), id="Dublin, whose winter is the exception"),
    pytest.param("America/New_York", date(2027, 3, 14), id="New York springs forward"),
    pytest.param("America/New_York", date(2027, 11, 7), id="New York falls back"),
    pytest.param("Australia/Lord_Howe", date(2027, 4, 4), id="Lord Howe falls back by 30 minutes"),
    pytest.param("Australia/Lord_Howe", date(2027, 10, 3), id="Lord Howe springs forward by 30 minutes"),
    pytest.param("Asia/Beirut", date(2027, 3, 28), id="Beirut, where a day begins at one o'clock"),
    pytest.param("America/Nuuk", date(2027, 3, 27), id="Nuuk, where a day ends at eleven"),
    pytest.param("America/Santiago", date(2027, 4, 3), id="Santiago, where a day's last hour comes twice"),
    pytest.param("Pacific/Apia", date(2011, 12, 30), id="Apia, which skipped a day"),
    pytest.param("Asia/Kolkata", date(2027, 3, 28), id="Kolkata, which changes nothing"),
]
"""Zones, and days on which their clocks change."""


def scan(zone: ZoneInfo, day: date) -> list[tuple[datetime, datetime]]:
    """Return every UTC minute of the five days around, with what the clocks of the zone show."""
    first = datetime.combine(day - 2 * DAY, time(), UTC)
    minutes = [first + number * MINUTE for number in range(5 * 24 * 60)]
    return [(minute, minute.astimezone(zone).replace(tzinfo=None)) for minute in minutes]


def first_shown(scanned: list[tuple[datetime, datetime]], wall: datetime) -> datetime:
    """Return the first minute at which the clocks show this time or, if they skip it, a later one."""
    return next(minute for minute, shown in scanned if shown >= wall)


@pytest.mark.parametrize(("zone_name", "day"), CHANGES)
def test_a_wall_time_is_the_first_minute_at_which_the_clocks_show_it_or_a_later_one(zone_name: str, day: date) -> None:
    zone = ZoneInfo(zone_name)
    scanned = scan(zone, day)
    for number in range(-12 * 60, 36 * 60, 5):
        wall = datetime.combine(day, time()) + number * MINUTE
        assert resolve(wall, zone) == first_shown(scanned, wall), wall


def test_an_instant_stays_what_it_is() -> None:
    at = datetime.fromisoformat("2027-03-28T02:30:15.5+05:30")
    assert resolve(at, ZoneInfo("Europe/Paris")) == at
    assert resolve(at, ZoneInfo("Europe/Paris")).tzinfo is UTC


@pytest.mark.parametrize("fold", [0, 1])
def test_a_time_that_comes_twice_is_the_first_of_the_two_whatever_fold_it_carries(fold: int) -> None:
    minute = 31 + fold  # one of its own: answers are kept, and a fold is no part of what they are kept by
    wall = datetime(2027, 10, 31, 2, minute, fold=fold)  # noqa: DTZ001
    assert resolve(wall, ZoneInfo("Europe/Paris")) == datetime(2027, 10, 31, 0, minute, tzinfo=UTC)


def test_seconds_are_kept() -> None:
    wall = datetime(2027, 1, 1, 9, 0, 30)  # noqa: DTZ001
    assert resolve(wall, ZoneInfo("Europe/Paris")) == datetime(2027, 1, 1, 8, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York", "Europe/Paris"])
def test_the_calendar_has_ends_and_no_time_falls_off_them(zone: str) -> None:
    first, last = LONG_AGO.replace(tzinfo=None), FOREVER.replace(tzinfo=None)
    assert LONG_AGO <= resolve(first, ZoneInfo(zone)) <= LONG_AGO + DAY
    assert FOREVER - DAY <= resolve(last, ZoneInfo(zone)) <= FOREVER
    assert later(FOREVER, DAY) == FOREVER
    assert later(LONG_AGO, -DAY) == LONG_AGO
    assert later(LONG_AGO, DAY) == LONG_AGO + DAY


@pytest.mark.parametrize(
    ("at", "zone", "said"),
    [
        ("2026-12-10T08:00Z", "Europe/Paris", "Thu 10 Dec 2026 09:00 CET"),
        ("2026-12-10T08:00:05Z", "Europe/Paris", "Thu 10 Dec 2026 09:00:05 CET"),
        ("2027-07-04T23:30Z", "America/New_York", "Sun 4 Jul 2027 19:30 EDT"),
        ("9999-12-31T12:00Z", "Asia/Tokyo", "the end of time"),
    ],
)
def test_an_instant_is_said_as_the_clocks_of_the_zone_show_it(at: str, zone: str, said: str) -> None:
    assert say_instant(datetime.fromisoformat(at), ZoneInfo(zone)) == said


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/etc/passwd", "../UTC", "Europe", "Europe/", "Europe/Paris\n", "x" * 999]
)
def test_what_is_no_zone_is_refused_whatever_it_looks_like(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        load_zone(name)


@pytest.mark.parametrize("name", ["UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"])
def test_an_iana_zone_is_found(name: str) -> None:
    assert load_zone(name).key == name
