"""Durations: ISO 8601 text outside, ``timedelta`` inside."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from wend.journeys.durations import (
    LONGEST,
    Duration,
    SignedDuration,
    format_duration,
    format_signed_duration,
    parse_duration,
)


class Wait(BaseModel):
    """As a definition holds them."""

    length: Duration = timedelta(0)
    shift: SignedDuration = timedelta(0)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P1D", timedelta(days=1)),
        ("P2W", timedelta(days=14)),
        ("P1W2D", timedelta(days=9)),
        ("PT1H30M", timedelta(minutes=90)),
        ("PT36H", timedelta(days=1, hours=12)),
        ("P1DT1S", timedelta(days=1, seconds=1)),
        ("PT0S", timedelta(0)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT1.000001S", timedelta(seconds=1, microseconds=1)),
        ("P365000D", LONGEST),
    ],
)
def test_iso_text_is_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length
    assert Wait.model_validate({"length": text}).length == length


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("P1M", "months or years.*such as P30D"),
        ("P1Y", "months or years"),
        ("P1Y2M3DT4H", "months or years"),
        ("P2W1M", "months or years"),
        ("-P1D", "has a sign"),
        ("P-1D", "has a sign"),
        ("+P1D", "has a sign"),
        ("", "no ISO 8601 duration"),
        ("P", "no ISO 8601 duration"),
        ("PT", "no ISO 8601 duration"),
        ("P1DT", "no ISO 8601 duration"),
        ("1D", "no ISO 8601 duration"),
        ("p1d", "no ISO 8601 duration"),
        ("P1D ", "no ISO 8601 duration"),
        ("P1D\n", "no ISO 8601 duration"),
        ("P1H", "no ISO 8601 duration"),
        ("PT1D", "no ISO 8601 duration"),
        ("PT1.5H", "no ISO 8601 duration"),
        ("PT1,5S", "no ISO 8601 duration"),
        ("PT1M1H", "no ISO 8601 duration"),
        ("P١D", "no ISO 8601 duration"),
        ("24h", "no ISO 8601 duration"),
        ("P365001D", "longest duration"),
        ("P999999999W", "longest duration"),
        (3600, "ISO 8601 text.*not int"),
        (1.5, "not float"),
        (True, "not bool"),
        (None, "not NoneType"),
        (timedelta(seconds=-1), "cannot be negative"),
        (LONGEST + timedelta(seconds=1), "longest duration"),
    ],
)
def test_anything_else_is_refused_with_the_remedy(given: object, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Wait.model_validate({"length": given})


def test_a_signed_duration_may_point_back() -> None:
    wait = Wait.model_validate({"shift": "-P3D"})
    assert wait.shift == timedelta(days=-3)
    assert wait.model_dump(mode="json") == {"length": "PT0S", "shift": "-P3D"}
    assert Wait.model_validate({"shift": timedelta(hours=-1)}).shift == timedelta(hours=-1)
    assert Wait.model_validate({"shift": "PT1H"}).shift == timedelta(hours=1)
    for refused in ("--P1D", "-P1M", "P-1D", -5):
        with pytest.raises(ValidationError):
            Wait.model_validate({"shift": refused})


@given(st.timedeltas(timedelta(0), LONGEST))
def test_what_is_written_is_read_back(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length
    assert Wait.model_validate_json(Wait(length=length).model_dump_json()).length == length


@given(st.timedeltas(-LONGEST, LONGEST))
def test_what_is_written_with_a_sign_is_read_back(shift: timedelta) -> None:
    assert Wait.model_validate({"shift": format_signed_duration(shift)}).shift == shift


def test_text_is_short() -> None:
    assert format_duration(timedelta(days=14)) == "P14D"
    assert format_duration(timedelta(hours=25, seconds=0.5)) == "P1DT1H0.5S"


def test_the_schema_says_duration() -> None:
    schema = Wait.model_json_schema()["properties"]["length"]
    assert (schema["type"], schema["format"]) == ("string", "duration")
