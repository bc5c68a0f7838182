"""Rules as documents: what is read, what is written, and how mistakes are told."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from wend.errors import InvalidDocument
from wend.journeys.comparison import AttributeCondition
from wend.journeys.facts import ProfileView
from wend.segments.memory import matches
from wend.segments.rules import (
    AllRule,
    AnyRule,
    IdentityRule,
    NotRule,
    SegmentRule,
    parse_rule,
    parts_of,
    segments_in,
    write_rule,
)

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

KEY_RULE = "write 1 to 63 lower-case letters, digits, - and _, the first a letter or a digit"

DOCUMENT: dict[str, Any] = {
    "all": [
        {"attribute": "spent", "op": "gte", "value": 100},
        {"any": [{"identity": "email"}, {"identity": "phone", "op": "in", "value": ["+331", "+332"]}]},
        {"not": {"segment": "employees"}},
        {"attribute": "seen", "op": "after", "value": {"ago": "P30D"}},
    ]
}


def problems(document: object, path: str = "") -> list[str]:
    """What is said of a document that is no rule."""
    with pytest.raises(InvalidDocument) as caught:
        parse_rule(document, path)
    return [str(problem) for problem in caught.value.problems]


def test_a_rule_is_a_structure() -> None:
    rule = parse_rule(DOCUMENT)
    assert isinstance(rule, AllRule)
    spent, reachable, outside, _ = rule.all
    assert spent == AttributeCondition(attribute="spent", op="gte", value=100)
    assert reachable == AnyRule(
        any=(IdentityRule(identity="email"), IdentityRule(identity="phone", op="in", value=("+331", "+332")))
    )
    assert isinstance(outside, NotRule)
    assert outside.not_ == SegmentRule(segment="employees")


def test_what_is_written_is_what_was_read() -> None:
    assert write_rule(parse_rule(DOCUMENT)) == DOCUMENT
    exists = parse_rule({"attribute": "a", "op": "exists"})
    assert write_rule(exists) == {"attribute": "a", "op": "exists", "value": True}


def test_parts_have_paths() -> None:
    paths = {".".join(path): type(part).__name__ for path, part in parts_of(parse_rule(DOCUMENT))}
    assert paths["all.1.any.1"] == "IdentityRule"
    assert paths["all.2.not"] == "SegmentRule"
    assert len(paths) == 8
    assert segments_in(parse_rule(DOCUMENT)) == {"employees"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "is no rule: it has none of attribute, identity, segment, all, any, not"),
        ([], "is no rule: it has none of attribute, identity, segment, all, any, not"),
        ({}, "is no rule: it has none of attribute, identity, segment, all, any, not"),
        (
            {"property": "order.total", "op": "gte", "value": 100},
            "asks for a property of a run; a segment's members have none: ask for it in a journey's conditions",
        ),
        (
            {"atribute": "a", "op": "eq"},
            "is no rule: it has none of attribute, identity, segment, all, any, not; did you mean 'attribute'?",
        ),
        (
            {"all": [], "any": []},
            "mixes all and any; put each into a rule of its own within 'all' or 'any'",
        ),
        ({"all": []}, "all: takes a list of at least one rule"),
        ({"any": {"segment": "a"}}, "any: takes a list of at least one rule"),
        ({"not": [{"segment": "a"}]}, "not: is no rule: it has none of attribute, identity, segment, all, any, not"),
        ({"not": {"segment": "a"}, "op": "eq"}, "op: there is no such field beside 'not'"),
        ({"attribute": "a", "op": "eq"}, "value: is required: what 'eq' compares with"),
        (
            {"attribute": "a", "op": "eq", "value": 1, "valu": 2},
            "valu: there is no such field here; did you mean 'value'?",
        ),
        ({"attribute": "a", "value": 1}, "op: is required"),
        ({"segment": "Big Spenders"}, "segment: 'Big Spenders' does not fit; " + KEY_RULE),
        ({"segment": "a", "op": "eq"}, "op: there is no such field here"),
        ({"identity": "email", "value": "a"}, "value: goes with an 'op': eq, in or contains"),
        ({"identity": "email", "op": "in"}, "value: is required: what 'in' compares with"),
        ({"identity": "email", "op": "lt", "value": "a"}, "op: input should be 'eq', 'in' or 'contains'"),
        (
            {"identity": "crm_id", "op": "eq", "value": 4711},
            "value: is no text; identities are text, also those that look like numbers: put it in quotes",
        ),
        (
            {"identity": "crm_id", "op": "in", "value": ["1", 2]},
            "value: is no text; identities are text, also those that look like numbers: put it in quotes",
        ),
    ],
)
def test_a_mistake_is_told_once_with_its_path(document: object, told: str) -> None:
    assert problems(document) == [told]


def test_all_mistakes_are_told_at_once() -> None:
    document = {
        "all": [
            {"attribute": "a", "op": "before", "value": "soon"},
            {"not": {"any": [{"segment": "A"}, 7]}},
            {"attribute": "a.", "op": "equals", "value": 1},
        ]
    }
    assert [line.partition(":")[0] for line in problems(document, "segments.vips.rule")] == [
        "segments.vips.rule.all.0.value",
        "segments.vips.rule.all.1.not.any.0.segment",
        "segments.vips.rule.all.1.not.any.1",
        "segments.vips.rule.all.2.attribute",
        "segments.vips.rule.all.2.op",
    ]


def test_depth_is_limited() -> None:
    document: dict[str, Any] = {"segment": "a"}
    for _ in range(19):
        document = {"not": document}
    parse_rule(document)
    assert [line.rpartition(": ")[2] for line in problems({"not": document})] == [
        "is nested 21 levels deep; at most 20 are read"
    ]
    for _ in range(5_000):
        document = {"not": document}
    assert len(problems(document)) == 1


def test_size_is_limited() -> None:
    parse_rule({"any": [{"segment": "a"}] * 499})
    assert problems({"any": [{"segment": "a"}] * 5_000}) == [
        "any.499: is part 501 of the rule; at most 500 fit: use 'in', or a list segment"
    ]


def person(**identities: str) -> ProfileView:
    """Somebody who has spent 120 and been seen yesterday."""
    return ProfileView(UUID(int=1), {"spent": 120, "seen": "2026-11-20"}, identities)


@pytest.mark.parametrize(
    ("profile", "memberships", "fits"),
    [
        (person(email="a@example.com"), (), True),
        (person(phone="+332"), (), True),
        (person(phone="+333"), (), False),
        (person(), (), False),
        (person(email="a@example.com"), ("employees", "others"), False),
    ],
)
def test_a_profile_fits_or_does_not(profile: ProfileView, memberships: tuple[str, ...], fits: bool) -> None:
    assert matches(parse_rule(DOCUMENT), profile, memberships, NOW) is fits


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"identity": "email", "op": "eq", "value": "Ann@example.com"}, True),
        ({"identity": "email", "op": "eq", "value": "ann@example.com"}, False),
        ({"identity": "email", "op": "contains", "value": "@example."}, True),
        ({"identity": "email", "op": "contains", "value": "@EXAMPLE."}, False),
        ({"identity": "phone", "op": "contains", "value": ""}, False),
        ({"not": {"identity": "phone", "op": "eq", "value": "1"}}, True),
    ],
)
def test_identities_compare_by_code_point(rule: dict[str, Any], fits: bool) -> None:
    assert matches(parse_rule(rule), person(email="Ann@example.com"), (), NOW) is fits
