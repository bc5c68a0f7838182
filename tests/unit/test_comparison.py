"""What a comparison with an attribute means, by examples; the parity suite holds SQL to the same."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from wend.journeys.comparison import AttributeCondition, holds, look_up
from wend.journeys.values import Ago

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def is_so(found: object, op: str, value: object) -> bool:
    """Whether ``found`` at ``a`` compares so."""
    condition = AttributeCondition.model_validate({"attribute": "a", "op": op, "value": value})
    return holds(condition, {"a": found}, NOW)


TRUE: list[tuple[Any, str, Any]] = [
    (1, "eq", 1.0),
    ("a", "eq", "a"),
    (False, "eq", False),
    (2, "ne", 1),
    ("2", "ne", "1"),
    (True, "ne", False),
    (30, "gt", 18.5),
    (18, "gte", 18),
    (2**53 + 1, "gt", 2**53),
    (10**400, "gt", 0.5),
    ("B", "lt", "a"),
    ("é", "gt", "z"),
    ("\uffff", "lt", "\U0001f600"),
    ("", "lt", "a"),
    ("b", "in", ["a", "b"]),
    (1.0, "in", ["1", 1]),
    (True, "in", [1, True]),
    ("abc", "contains", "bc"),
    ("abc", "contains", ""),
    (["a", 1], "contains", 1.0),
    ([True], "contains", True),
    ("2026-11-20", "before", "2026-11-21"),
    ("2026-11-21T00:00+01:00", "before", "2026-11-21"),
    ("2026-11-21T09:30:00.000001Z", "after", {"ago": "PT0S"}),
    ("2026-10-22", "before", {"ago": "P30D"}),
    ("2026-11-29", "after", {"ahead": "P7D"}),
    ("", "exists", True),
    ([], "exists", True),
    (False, "exists", True),
    (None, "exists", False),
]

FALSE: list[tuple[Any, str, Any]] = [
    ("30", "eq", 30),
    (True, "eq", 1),
    (1, "eq", True),
    (1, "in", [True, "1"]),
    (None, "eq", "null"),
    (["a"], "eq", "a"),
    ("2", "ne", 1),
    (True, "ne", 1),
    (None, "ne", 1),
    ([], "ne", "a"),
    (True, "gte", 0),
    ("30", "gt", 18),
    (30, "gt", "18"),
    (float("nan"), "ne", 1),
    (["abc"], "contains", "bc"),
    ([["a"]], "contains", "a"),
    ({"a": 1}, "contains", "a"),
    (12, "contains", 1),
    ("12", "contains", 1),
    ([1], "contains", True),
    ("2026-11-21", "before", "2026-11-21"),
    ("2026-11-21", "after", "2026-11-21"),
    ("2026-02-30", "before", "2026-11-21"),
    ("21 November 2026", "after", "2000-01-01"),
    (20261120, "before", "2026-11-21"),
    (None, "exists", True),
    (0, "exists", False),
]


@pytest.mark.parametrize(("found", "op", "value"), TRUE, ids=repr)
def test_it_holds(found: Any, op: str, value: Any) -> None:
    assert is_so(found, op, value)


@pytest.mark.parametrize(("found", "op", "value"), FALSE, ids=repr)
def test_it_does_not_hold(found: Any, op: str, value: Any) -> None:
    assert not is_so(found, op, value)


def test_a_missing_attribute_holds_nothing_but_its_absence() -> None:
    for op, value in [("eq", 1), ("ne", 1), ("lt", 1), ("in", [1]), ("contains", "a"), ("before", "2026-01-01")]:
        assert not holds(AttributeCondition.model_validate({"attribute": "x", "op": op, "value": value}), {}, NOW)
    assert not holds(AttributeCondition(attribute="x", op="exists"), {}, NOW)
    assert holds(AttributeCondition(attribute="x", op="exists", value=False), {}, NOW)


def test_a_path_leads_through_objects_only() -> None:
    attributes = {"address": {"city": "Lyon", "0": "zero"}, "tags": ["a"], "x.y": 1, "größe": {"日本": 2}}
    assert look_up(attributes, "address.city") == "Lyon"
    assert look_up(attributes, "address.0") == "zero"
    assert look_up(attributes, "größe.日本") == 2
    for nothing in ("tags.0", "address.city.0", "x.y", "address.street", "nothing.at.all"):
        assert look_up(attributes, nothing) is None


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", 'a"b', "a\\b", "a\0", "a\n", " a", "a. b", "x" * 101])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="is no path; write names"):
        AttributeCondition(attribute=path, op="exists")


def test_a_path_ends_somewhere() -> None:
    AttributeCondition(attribute=".".join("a" * 10), op="exists")
    with pytest.raises(ValidationError, match="11 levels deep"):
        AttributeCondition(attribute=".".join("a" * 11), op="exists")


@pytest.mark.parametrize(
    ("op", "value", "told"),
    [
        ("eq", None, "op: exists, value: false"),
        ("eq", [1], "not a list"),
        ("eq", {}, "not an object"),
        ("eq", 2**53 + 1, "beyond"),
        ("eq", 1e16, "beyond"),
        ("lt", float("nan"), "beyond"),
        ("lt", float("inf"), "beyond"),
        ("lt", True, "have no order"),
        ("eq", "x" * 1001, "1001 characters"),
        ("eq", "\0", "NUL"),
        ("contains", "\ud800", "surrogate"),
        ("in", "abc", "takes a list"),
        ("in", [], "at least one value"),
        ("in", [1, None], "null"),
        ("in", [[1]], "not a list"),
        ("in", list(range(1001)), "use a list segment"),
        ("exists", "yes", "true or false"),
        ("exists", None, "not null"),
        ("before", "2026-02-30", "is no date"),
        ("before", 5, "takes an ISO date"),
        ("before", {"ago": "P1M"}, "months or years"),
        ("before", {"ago": "P1D", "ahead": "P1D"}, "not an object"),
        ("after", {"since": "P1D"}, "not an object"),
    ],
)
def test_a_value_that_does_not_fit_is_told_once(op: str, value: object, told: str) -> None:
    with pytest.raises(ValidationError, match=told) as caught:
        AttributeCondition.model_validate({"attribute": "a", "op": op, "value": value})
    assert [error["loc"] for error in caught.value.errors()] == [("value",)]


def test_a_value_is_asked_for() -> None:
    with pytest.raises(ValidationError, match="is required: what 'lt' compares with"):
        AttributeCondition.model_validate({"attribute": "a", "op": "lt"})


def test_an_unknown_op_is_the_only_complaint() -> None:
    with pytest.raises(ValidationError) as caught:
        AttributeCondition.model_validate({"attribute": "a", "op": "equals", "value": [None]})
    assert [error["loc"] for error in caught.value.errors()] == [("op",)]


def test_values_keep_their_types_through_json() -> None:
    given = {"attribute": "a", "op": "in", "value": [1, 1.5, True, "1", "2026-01-01"]}
    condition = AttributeCondition.model_validate(given)
    assert condition.model_dump(mode="json") == given
    assert AttributeCondition.model_validate_json(condition.model_dump_json()) == condition
    assert [type(item) for item in condition.model_dump()["value"]] == [int, float, bool, str, str]


def test_relative_dates_come_back_as_they_were_given() -> None:
    condition = AttributeCondition(attribute="a", op="before", value=Ago(ago=timedelta(days=30)))
    assert condition.model_dump(mode="json") == {"attribute": "a", "op": "before", "value": {"ago": "P30D"}}
    assert AttributeCondition.model_validate(condition.model_dump(mode="json")) == condition


def test_a_date_that_yaml_has_read_is_its_text() -> None:
    for given, text in [(date(2026, 12, 10), "2026-12-10"), (NOW, "2026-11-21T09:30:00+00:00")]:
        condition = AttributeCondition.model_validate({"attribute": "a", "op": "before", "value": given})
        assert condition.value == text
