"""What the SQL of a rule looks like, where the answers of one server would not show it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from wend.errors import NotFound
from wend.segments.rules import parse_rule
from wend.segments.sql import members

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def sql_of(document: dict[str, Any], dialect: str) -> str:
    """The statement, with names in place of its parameters."""
    return str(members(parse_rule(document), NOW, dialect).compile(dialect=DIALECTS[dialect]))


DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}

COMPARISONS: list[dict[str, Any]] = [
    {"attribute": "O'Brien.x", "op": "eq", "value": "O'Brien"},
    {"attribute": "O'Brien", "op": "gt", "value": "O'Brien"},
    {"attribute": "O'Brien", "op": "in", "value": ["O'Brien", 1, True]},
    {"attribute": "O'Brien", "op": "contains", "value": "O'Brien"},
    {"attribute": "O'Brien", "op": "before", "value": "2026-12-10"},
    {"identity": "email", "op": "in", "value": ["O'Brien"]},
    {"identity": "email", "op": "contains", "value": "O'Brien"},
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("document", COMPARISONS, ids=lambda document: document.get("op"))
def test_nothing_that_a_rule_says_becomes_sql(document: dict[str, Any], dialect: str) -> None:
    assert "Brien" not in sql_of(document, dialect)


@pytest.mark.parametrize("op", ["lt", "lte", "gt", "gte"])
def test_strings_are_ordered_by_code_point_whatever_the_database_collates_by(op: str) -> None:
    """Not every PostgreSQL that the tests may find knows another order, so that answers alone do not show it."""
    assert 'COLLATE "C"' in sql_of({"attribute": "name", "op": op, "value": "m"}, "postgresql")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_segment_that_nobody_knows_is_an_error(dialect: str) -> None:
    with pytest.raises(NotFound, match="There is no segment 'vips'"):
        sql_of({"segment": "vips"}, dialect)
