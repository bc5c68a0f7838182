"""What differs between two definitions is told by their structure."""

from typing import Any

import pytest

from wend.documents import parse_definition
from wend.journeys.differing import Difference, differences

DAY = {"id": "day", "type": "wait", "for": "P1D"}
MAIL = {"id": "mail", "type": "send_email", "message": "hello"}
TEXT = {"id": "text", "type": "send_sms", "message": "ping"}
LOOK = {"id": "look", "type": "wait_for_click", "sent_by": "mail", "within": "P1D"}
CLUB = {"segment": "club", "schedule": {"start": {"at": "2026-12-01T09:00"}}}


def told(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[Any, ...]]:
    one, other = (parse_definition({"key": "trip", "name": "Trip", **each}) for each in (before, after))
    return [(each.path, each.kind, each.before, each.after) for each in differences(one, other)]


def steps(*those: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"steps": list(those), **more}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (steps(DAY, TEXT), steps(DAY, TEXT), []),
        (
            steps(DAY),
            steps(DAY, name="Voyage", description="Far"),
            [("name", "changed", "Trip", "Voyage"), ("description", "changed", "", "Far")],
        ),
        (steps(DAY), steps(DAY | {"for": "PT2H"}), [("steps.day.for", "changed", "P1D", "PT2H")]),
        # The same length written otherwise is the same.
        (steps(DAY), steps(DAY | {"for": "PT24H"}), []),
        (steps(MAIL, LOOK), steps(MAIL, LOOK | {"link": "a"}), [("steps.look.link", "added", None, "a")]),
        (steps(MAIL, LOOK | {"link": "a"}), steps(MAIL, LOOK), [("steps.look.link", "removed", "a", None)]),
        (
            steps(DAY, entry=CLUB),
            steps(DAY, entry=CLUB | {"rate": "7/s", "schedule": {"start": {"at": "2026-12-02T09:00"}}}),
            [
                ("entry.schedule.start.at", "changed", "2026-12-01T09:00", "2026-12-02T09:00"),
                ("entry.rate", "changed", "5000/s", "7/s"),
            ],
        ),
        # Where two change places, each leads elsewhere: day → exit, and text → day.
        (
            steps(DAY, TEXT),
            steps(TEXT, DAY),
            [("steps.text", "moved", "exit", "day"), ("steps.day", "moved", "text", "exit")],
        ),
    ],
    ids=["nothing", "fields", "a step", "spelling", "added", "removed", "nested", "order"],
)
def test_differences(before: dict[str, Any], after: dict[str, Any], expected: list[tuple[Any, ...]]) -> None:
    assert told(before, after) == expected


def test_a_step_that_comes_or_goes_is_told_whole_and_what_leads_elsewhere_by_it() -> None:
    found = told(steps(DAY, TEXT), steps(DAY, MAIL))
    kinds = [(path, kind) for path, kind, _, _ in found]
    assert kinds == [("steps.text", "removed"), ("steps.mail", "added"), ("steps.day", "moved")]
    assert found[0][2]["message"] == "ping"
    assert found[1][3]["message"] == "hello"
    assert found[2][2:] == ("text", "mail")


def test_an_entry_that_comes_is_one_difference() -> None:
    (found,) = told(steps(DAY), steps(DAY, entry=CLUB))
    assert found[:2] == ("entry", "added")
    assert found[3]["segment"] == "club"


def test_there_and_back_are_the_same_differences_turned_round() -> None:
    one = parse_definition({"key": "trip", "name": "Trip", **steps(DAY, MAIL, LOOK | {"link": "a"})})
    other = parse_definition({"key": "trip", "name": "Trip", **steps(MAIL, LOOK, TEXT, entry=CLUB)})
    turned = {"added": "removed", "removed": "added"}
    back = {
        Difference(each.path, turned.get(each.kind, each.kind), str(each.after), str(each.before))  # type: ignore[arg-type]
        for each in differences(other, one)
    }
    forth = {Difference(each.path, each.kind, str(each.before), str(each.after)) for each in differences(one, other)}
    assert forth == back
