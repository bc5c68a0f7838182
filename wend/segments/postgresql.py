"""Rules on PostgreSQL: JSON is ``jsonb``, and compared as such wherever that cannot fail.

A scalar in ``jsonb`` equals another of the same kind only, and numbers in it are compared as decimals: no cast, and
so no row that ends the query. Text is taken out to be compared by code point, whatever the database's collation.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from wend.journeys.comparison import ORDERINGS
from wend.journeys.dates import EARLIEST, ISO_DATE, LATEST
from wend.journeys.values import Op, Scalar
from wend.segments.dialect import Condition, certain, text
from wend.storage.tables import profiles

_WHOLE: Final[sa.ColumnElement[Any]] = sa.literal_column("'{}'::text[]")
_INSTANT: Final = sa.DateTime(timezone=True)


class PostgresqlAttribute:
    """An attribute as a ``jsonb`` value."""

    def __init__(self, value: sa.ColumnElement[Any]) -> None:
        self._value = value
        self._kind = sa.func.jsonb_typeof(value, type_=sa.Text)
        self._text = sa.collate(value.op("#>>", return_type=sa.Text())(_WHOLE), "C")

    def exists(self) -> Condition:
        return certain(self._kind != "null")

    def equals(self, value: Scalar) -> Condition:
        return certain(self._value == _json(value))

    def differs(self, value: Scalar) -> Condition:
        return certain(sa.and_(self._is_like(value), self._value != _json(value)))

    def is_ordered(self, op: Op, value: float | str) -> Condition:
        if isinstance(value, str):
            return certain(sa.and_(self._is_like(value), ORDERINGS[op](self._text, text(value))))
        return certain(sa.and_(self._is_like(value), ORDERINGS[op](self._value, _json(value))))

    def is_one_of(self, values: Sequence[Scalar]) -> Condition:
        # A select that stands for itself is hashed once, where a list would be walked for every row.
        return certain(self._value.in_(sa.select(sa.func.jsonb_array_elements(_json(list(values)), type_=JSONB))))

    def contains(self, value: Scalar) -> Condition:
        among = sa.and_(self._kind == "array", self._value.op("@>", is_comparison=True)(_json([value])))
        if not isinstance(value, str):
            return certain(among)
        within = sa.and_(self._kind == "string", sa.func.strpos(self._text, text(value)) > 0)
        return certain(sa.or_(within, among))

    def is_before(self, at: datetime) -> Condition:
        return self._if_date(lambda date: sa.and_(date >= _instant(EARLIEST), date < _instant(at)))

    def is_after(self, at: datetime) -> Condition:
        return self._if_date(lambda date: sa.and_(date <= _instant(LATEST), date > _instant(at)))

    def _if_date(self, compare: Any) -> Condition:
        # The cast would end the query at text that is no date: CASE alone promises to look at the guard first.
        complete = sa.case(
            (sa.func.length(self._text) == 10, self._text + text("T00:00Z")),
            (self._text.regexp_match(text("(Z|[+-]..:..)$")), self._text),
            else_=self._text + text("Z"),
        )
        is_date = sa.and_(self._kind == "string", self._text.regexp_match(text(f"^({ISO_DATE})$")))
        return sa.case((is_date, compare(sa.cast(complete, _INSTANT))), else_=sa.false())

    def _is_like(self, value: Scalar) -> sa.ColumnElement[bool]:
        match value:
            case bool():
                return self._kind == "boolean"
            case str():
                return self._kind == "string"
            case _:
                return self._kind == "number"


class Postgresql:
    """PostgreSQL's way to read JSON and text."""

    def attribute(self, path: Sequence[str]) -> PostgresqlAttribute:
        # Step by step: #> with a whole path, and a subscript too, would take a name of digits for an array's index.
        value: sa.ColumnElement[Any] = profiles.c.attributes
        for name in path:
            value = value.op("->", return_type=JSONB())(text(name))
        return PostgresqlAttribute(value)

    def has_text(self, column: sa.ColumnElement[str], value: str) -> Condition:
        return sa.func.strpos(sa.collate(column, "C"), text(value)) > 0

    def texts(self, values: Sequence[str]) -> sa.Select[Any]:
        each = sa.func.jsonb_array_elements_text(_json(list(values))).table_valued(sa.column("value", sa.Text))
        return sa.select(each.c.value)

    def ids(self, values: Sequence[UUID]) -> sa.Select[Any]:
        texts = self.texts([str(id) for id in values]).subquery()
        return sa.select(sa.cast(texts.c.value, sa.Uuid).label("value"))


def _json(value: Scalar | list[Scalar] | list[str]) -> sa.ColumnElement[Any]:
    return sa.literal(value, JSONB)


def _instant(at: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(at, _INSTANT)
