"""What a database has to say about JSON for rules to be evaluated in it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa

from wend.journeys.values import Op, Scalar

Condition = sa.ColumnElement[bool]


class Attribute(Protocol):
    """An attribute of the profile at hand. Every answer is true or false; of what is missing, false."""

    def exists(self) -> Condition:
        """It is there and is not null."""

    def equals(self, value: Scalar) -> Condition:
        """It is of the value's kind and equal to it."""

    def differs(self, value: Scalar) -> Condition:
        """It is of the value's kind and not equal to it."""

    def is_ordered(self, op: Op, value: float | str) -> Condition:
        """It is of the value's kind and ``lt``, ``lte``, ``gt`` or ``gte`` it; strings by code point."""

    def is_one_of(self, values: Sequence[Scalar]) -> Condition:
        """It equals one of the values."""

    def contains(self, value: Scalar) -> Condition:
        """It is a string with this text within, or an array with this element."""

    def is_before(self, at: datetime) -> Condition:
        """It is a date before the instant."""

    def is_after(self, at: datetime) -> Condition:
        """It is a date after the instant."""


class SqlDialect(Protocol):
    """How one database reads JSON and text."""

    def attribute(self, path: Sequence[str]) -> Attribute:
        """Return the attribute at the path in the row of ``profiles`` at hand."""

    def has_text(self, column: sa.ColumnElement[str], text: str) -> Condition:
        """The column has this text within."""

    def texts(self, values: Sequence[str]) -> sa.Select[Any]:
        """Return a select of one column ``value``: these texts, given to the database as one parameter."""

    def ids(self, values: Sequence[UUID]) -> sa.Select[Any]:
        """Return a select of one column ``value``: these ids, given to the database as one parameter."""


def certain(condition: sa.ColumnElement[Any]) -> Condition:
    """Return the condition with false in place of NULL."""
    return sa.func.coalesce(condition, sa.false(), type_=sa.Boolean)


def text(value: str) -> sa.ColumnElement[str]:
    """Return text as a parameter, typed so that neither database has to guess."""
    return sa.literal(value, sa.Text)
