"""Rules on SQLite: JSON is text, and looked into with ``json_type``, ``json_extract`` and ``json_each``.

Both sides of a comparison of fractions are read from text by SQLite itself, whose reading of the last of 17 digits is
not everywhere the nearest double: the same text is then the same number.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from wend.journeys.comparison import ORDERINGS
from wend.journeys.dates import EARLIEST, LATEST
from wend.journeys.values import Op, Scalar
from wend.segments.dialect import Condition, certain, text
from wend.storage.tables import profiles

_NUMBERS: Final = ("integer", "real")
_BOOLEANS: Final = ("true", "false")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SqliteAttribute:
    """An attribute, by its path in SQLite's notation, or an element of an array."""

    def __init__(self, kind: sa.ColumnElement[Any], value: sa.ColumnElement[Any]) -> None:
        self._kind = kind
        self._value = value

    def exists(self) -> Condition:
        return certain(self._kind != "null")

    def equals(self, value: Scalar) -> Condition:
        return certain(self._equals(value))

    def differs(self, value: Scalar) -> Condition:
        if isinstance(value, bool):
            return self.equals(not value)
        return certain(sa.and_(self._is_like(value), self._value != _parameter(value)))

    def is_ordered(self, op: Op, value: float | str) -> Condition:
        return certain(sa.and_(self._is_like(value), ORDERINGS[op](self._value, _parameter(value))))

    def is_one_of(self, values: Sequence[Scalar]) -> Condition:
        texts = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if not isinstance(value, bool | str)]
        wanted = [self._equals(value) for value in values if isinstance(value, bool)]
        if texts:
            wanted.append(sa.and_(self._kind == "text", self._value.in_(_each(texts))))
        if numbers:
            wanted.append(sa.and_(self._kind.in_(_NUMBERS), self._value.in_(_each(numbers))))
        return certain(sa.or_(*wanted))

    def contains(self, value: Scalar) -> Condition:
        # json_each stops the query at text that is no JSON, so it is given arrays only.
        array = sa.case((self._kind == "array", self._value), else_=text("[]"))
        each = sa.func.json_each(array).table_valued("type", "value")
        element = SqliteAttribute(each.c.type, each.c.value)
        among = sa.select(sa.literal(1)).select_from(each).where(element._equals(value)).correlate(profiles).exists()
        if not isinstance(value, str):
            return among
        within = sa.and_(self._kind == "text", sa.func.instr(self._value, text(value)) > 0)
        return sa.or_(certain(within), among)

    def is_before(self, at: datetime) -> Condition:
        return certain(self._date().between(_microseconds(EARLIEST), _microseconds(at) - 1))

    def is_after(self, at: datetime) -> Condition:
        return certain(self._date().between(_microseconds(at) + 1, _microseconds(LATEST)))

    def _equals(self, value: Scalar) -> sa.ColumnElement[bool]:
        if isinstance(value, bool):
            return self._kind == ("true" if value else "false")
        return sa.and_(self._is_like(value), self._value == _parameter(value))

    def _is_like(self, value: float | str) -> sa.ColumnElement[bool]:
        return self._kind == "text" if isinstance(value, str) else self._kind.in_(_NUMBERS)

    def _date(self) -> sa.ColumnElement[int]:
        return DateMicroseconds(sa.case((self._kind == "text", self._value)))


class Sqlite:
    """SQLite's way to read JSON and text."""

    def attribute(self, path: Sequence[str]) -> SqliteAttribute:
        # Names hold neither quotes nor backslashes, which SQLite would compare with the escaped JSON.
        where = text("$" + "".join(f'."{name}"' for name in path))
        return SqliteAttribute(
            sa.func.json_type(profiles.c.attributes, where, type_=sa.Text),
            sa.func.json_extract(profiles.c.attributes, where, type_=sa.types.NullType()),
        )

    def has_text(self, column: sa.ColumnElement[str], value: str) -> Condition:
        return sa.func.instr(column, text(value)) > 0

    def texts(self, values: Sequence[str]) -> sa.Select[Any]:
        return _each(values)

    def ids(self, values: Sequence[UUID]) -> sa.Select[Any]:
        each = _each([id.hex for id in values])  # as sa.Uuid keeps them here
        return sa.select(sa.type_coerce(each.selected_columns.value, sa.Uuid).label("value"))


def _each(values: Sequence[Scalar]) -> sa.Select[Any]:
    each = sa.func.json_each(text(json.dumps(list(values), ensure_ascii=False))).table_valued("value")
    return sa.select(each.c.value)


def _parameter(value: float | str) -> sa.ColumnElement[Any]:
    match value:
        case str():
            return text(value)
        case int():
            return sa.literal(value, sa.BigInteger)
        case _:
            return sa.cast(text(repr(value)), sa.REAL)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


class DateMicroseconds(FunctionElement[int]):
    """Microseconds since 1970 of a date in text, by the grammar of ``wend.journeys.dates``; NULL where it is none.

    SQLite's own functions read 30 February as 2 March, once made to count (``+0 days``), and keep milliseconds only.
    So the day is compared with what comes back, and the text is taken apart: ``s`` is all of it, ``z`` the length of
    its zone, ``n`` the length of what stands before. The limits keep SQLite from copying the inner selects into every
    place that uses them: half the time.
    """

    type = sa.BigInteger()
    inherit_cache = True


_DATE_SQL = """(
SELECT CASE
WHEN substr(s, 1, 4) = '0000' OR strftime('%Y-%m-%d', substr(s, 1, 10), '+0 days') IS NOT substr(s, 1, 10) THEN NULL
WHEN n = 10 AND z = 0 AND s GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' THEN strftime('%s', s) * 1000000
WHEN substr(s, 1, 16) GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-2][0-9]:[0-5][0-9]'
AND substr(s, 12, 2) < '24'
AND (z < 6 OR substr(s, -5, 2) < '15')
AND (n = 16 OR n = 19 OR n BETWEEN 21 AND 26)
AND (n = 16 OR substr(s, 17, 3) GLOB ':[0-5][0-9]')
AND (n < 20 OR (substr(s, 20, 1) = '.' AND substr(s, 21, n - 20) NOT GLOB '*[^0-9]*'))
THEN 1000000 * (
strftime('%s', substr(s, 1, min(n, 19)))
- CASE WHEN z < 6 THEN 0 WHEN substr(s, -6, 1) = '-' THEN -1 ELSE 1 END
* (3600 * CAST(substr(s, -5, 2) AS INTEGER) + 60 * CAST(substr(s, -2) AS INTEGER)))
+ CASE WHEN n > 20 THEN CAST(substr(substr(s, 21, n - 20) || '000000', 1, 6) AS INTEGER) ELSE 0 END
END
FROM (SELECT s, z, length(s) - z AS n FROM (SELECT s, CASE
WHEN s GLOB '*Z' THEN 1
WHEN s GLOB '*[-+][01][0-9]:[0-5][0-9]' THEN 6
ELSE 0 END AS z
FROM (SELECT {text} AS s LIMIT 1) LIMIT 1)))"""


@compiles(DateMicroseconds, "sqlite")
def _compile_date(element: DateMicroseconds, compiler: SQLCompiler, **options: Any) -> str:
    return _DATE_SQL.format(text=compiler.process(element.clauses, **options))
