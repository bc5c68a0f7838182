"""What commands print for people."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from wend.cli.output import NOTHING, Output, clean, instant, moment, say_length, say_pairs, say_value
from wend.cli.telling import say_late, say_why
from wend.errors import InvalidDocument, NotFound, Problem

AT = "2026-12-01T09:00:00Z"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this machine stand in Greenwich: instants are told in its zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(days=1, hours=4, minutes=5), "1 d 4 h"),
        (timedelta(minutes=2, seconds=5), "2 min 5 s"),
        (timedelta(hours=3), "3 h"),
        (timedelta(milliseconds=250), "0.25 s"),
        (timedelta(microseconds=1), "0.000001 s"),
        (timedelta(0), "0 s"),
    ],
)
def test_a_length_is_said_in_at_most_two_units(length: timedelta, said: str) -> None:
    assert say_length(length) == said


@pytest.mark.parametrize(
    ("late_by", "said"), [("PT2H3M", "2 h 3 min"), ("PT0.001S", "0.001 s"), ("P1Y35DT1H", "400 d 1 h")]
)
def test_lateness_is_read_as_the_api_writes_it(late_by: str, said: str) -> None:
    assert say_late(late_by) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, NOTHING),
        ("", NOTHING),
        ([], NOTHING),
        ({}, NOTHING),
        (0, "0"),
        (False, "no"),
        (12345, "12,345"),
        ({"no address": 2, "refused": 1}, "no address 2, refused 1"),
        (["a", "b"], "a, b"),
    ],
)
def test_values_are_said_in_a_cell(value: Any, said: str) -> None:
    assert say_value(value) == said


def test_properties_are_said_as_they_are_given() -> None:
    assert say_pairs({"source": "ads", "n": 2, "tags": ["a", "b"]}) == "source=ads, n=2, tags=a, b"


def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b[2Jb\r\nc") == "a\\x1b[2Jb\\x0d\nc"


def test_instants_are_told_in_this_machines_zone() -> None:
    assert instant(AT) == "2026-12-01 09:00:00 UTC"
    assert instant(None) == NOTHING
    assert instant("9999-12-31T23:59:59.999999Z") == "the end of time"


def test_instants_in_tables_are_told_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert moment(AT) == "2026-12-01 09:00:00"
    assert moment(None) == NOTHING
    assert moment("9999-12-31T23:59:59.999999Z") == "the end of time"


@pytest.mark.parametrize(
    ("kind", "why", "said"),
    [
        ("entered", {}, "entered the journey"),
        ("message_settled", {"outcome": "accepted"}, "the message was accepted"),
        ("message_settled", {"outcome": "refused", "detail": "no such box"}, "the message was refused (no such box)"),
        ("message_settled", {"outcome": "quiet_hours"}, "the message is settled: quiet hours"),
        ("waited", {"until": AT}, "the wait was over at 2026-12-01 09:00:00 UTC"),
        ("clicked", {"link": "shop", "at": AT}, "clicked shop at 2026-12-01 09:00:00 UTC"),
        ("happened", {"name": "paid", "at": AT}, "paid happened at 2026-12-01 09:00:00 UTC"),
        ("timed_out", {"deadline": AT}, "nothing came by 2026-12-01 09:00:00 UTC"),
        ("timed_out", {"deadline": AT, "sent_by": "mail"}, "no click on any link by 2026-12-01 09:00:00 UTC"),
        ("nothing_sent", {"sent_by": "mail"}, "mail sent nothing that could be clicked"),
        ("matched", {"case": 2, "values": {"tier": "gold"}}, "case 2 holds (tier gold)"),
        ("no_match", {"values": {}}, "no case holds"),
        ("no_date", {"attribute": "birthday"}, "the attribute birthday is absent, or no date"),
        ("no_date", {"property": "flight.at"}, "the run's property flight.at is absent, or no date"),
        ("updated", {"attributes": ["tier", "score"]}, "set tier, score"),
        ("updated", {"attributes": ["tier"], "missing": ["seat"]}, "set tier; the run has no property for seat"),
        ("updated", {"attributes": [], "missing": ["seat"]}, "set nothing; the run has no property for seat"),
        ("moved_out", {"to_version": 2}, "moved to version 2"),
        ("moved_in", {"from_version": 1}, "came from version 1"),
        ("ended", {"reason": "profile_deleted"}, "ended: profile deleted"),
        ("something_new", {"by": "somebody"}, "something new (by somebody)"),
    ],
)
def test_the_reason_of_a_move_is_said_in_words(kind: str, why: dict[str, Any], said: str) -> None:
    assert say_why(kind, why) == said


def test_an_error_goes_to_standard_error_with_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem("steps.a", "is wrong"), Problem("", "is odd", "warning")]
    Output(as_json=False).refuse(InvalidDocument("The journey", problems))
    told = capsys.readouterr()
    assert told.out == ""
    assert not [line for line in told.err.splitlines() if line.endswith(" ")]
    assert [line.split() for line in told.err.splitlines()] == [
        ["error:", "The", "journey", "has", "2", "problem(s):"],
        ["error", "steps.a:", "is", "wrong"],
        ["warning", "is", "odd"],
    ]


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).refuse(NotFound("run", "1"))
    assert capsys.readouterr() == ("", '{\n  "detail": "There is no run \'1\'."\n}\n')
