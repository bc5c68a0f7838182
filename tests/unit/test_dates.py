"""Dates in attributes: one strict grammar."""

from calendar import isleap
from datetime import UTC, date, datetime, timedelta

import pytest

from wend.journeys.dates import parse_date, read_date


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-12-10", datetime(2026, 12, 10, tzinfo=UTC)),
        ("2026-12-10T09:00", datetime(2026, 12, 10, 9, tzinfo=UTC)),
        ("2026-12-10T09:00:30", datetime(2026, 12, 10, 9, 0, 30, tzinfo=UTC)),
        ("2026-12-10T09:00:30.25Z", datetime(2026, 12, 10, 9, 0, 30, 250_000, tzinfo=UTC)),
        ("2026-12-10T09:00:30.1", datetime(2026, 12, 10, 9, 0, 30, 100_000, tzinfo=UTC)),
        ("2026-12-10T09:00:30.123456+01:00", datetime(2026, 12, 10, 8, 0, 30, 123_456, tzinfo=UTC)),
        ("2026-12-10T00:30-09:30", datetime(2026, 12, 10, 10, 0, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("9999-12-31T23:59-00:01", None),  # the year 10000 in UTC
        ("0001-01-01T00:00+00:01", None),
        ("2026-12-10T09:00+15:00", None),
        ("2026-12-10T24:00", None),
        ("2026-12-10T09:00:60", None),
        ("2026-12-10T09:00:30.1234567", None),
        ("2026-12-10 09:00", None),
        ("2026-12-10T09:00z", None),
        ("2026-12-10Z", None),
        ("20261210", None),
        ("2026-12-10\n", None),
        ("２０２６-12-10", None),
        ("", None),
    ],
)
def test_a_date_is_read_or_is_none(text: str, at: datetime | None) -> None:
    assert parse_date(text) == at


def test_every_day_of_a_century_with_and_without_a_leap_year_is_a_day_and_no_other_is() -> None:
    for year in (1900, 1999, 2000, 2023, 2024, 2026, 2100, 2400):
        days = {date(year, 1, 1) + timedelta(days=n) for n in range(366 if isleap(year) else 365)}
        for month in range(14):
            for day in range(33):
                text = f"{year:04}-{month:02}-{day:02}"
                found = parse_date(text)
                assert (found is not None) == (text in {str(known) for known in days}), text


def test_a_date_as_written_keeps_its_zone_or_its_want_of_one() -> None:
    naive, aware = read_date("2026-12-10"), read_date("2026-12-10T00:00+02:00")
    assert naive is not None
    assert naive.tzinfo is None
    assert aware is not None
    assert aware.utcoffset() == timedelta(hours=2)
    assert read_date("soon") is None
