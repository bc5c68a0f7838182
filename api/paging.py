"""Lists: one envelope, and cursors that say where the next page begins."""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter

from api.model import Instant
from wend.errors import InvalidDocument, Problem
from wend.journeys.model import Key

MOST_ITEMS: Final = 1_000

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


IDS: Final = TypeAdapter(UUID)
KEYS: Final[TypeAdapter[str]] = TypeAdapter(Key)
NUMBERS: Final[TypeAdapter[int]] = TypeAdapter(Annotated[int, Field(ge=1, lt=2**31)])
SERIALS: Final[TypeAdapter[int]] = TypeAdapter(Annotated[int, Field(ge=1, lt=2**63)])
MOMENTS: Final[TypeAdapter[tuple[datetime, UUID]]] = TypeAdapter(
    Annotated[tuple[Instant, UUID], BeforeValidator(lambda place: tuple(place.split("/")))]
)
"""What positions in lists are; those of moments are written by ``moment``."""


def moment(at: datetime, id: UUID) -> str:
    """Return how a position in a list by time is written."""
    return f"{at.isoformat()}/{id}"


class Page(BaseModel, Generic[T]):
    """Part of a list."""

    items: list[T]
    next: str | None = Field(description="Pass it as `cursor` for the page behind this one; null: this was the last.")


class Pager:
    """The page that a request asks for."""

    def __init__(self, limit: int, cursor: str | None) -> None:
        self._cursor = cursor
        self.limit = limit
        self.more = limit + 1
        """How many rows to read: one more than asked for tells whether there is another page."""

    def after(self, kind: str, position: TypeAdapter[K]) -> K | None:
        """Return where the page begins: behind this; ``None``: at the beginning.

        Args:
            kind: Names the list; cursors of other lists are refused.
            position: What positions in it are.

        Raises:
            InvalidDocument: The cursor is not one of this list.
        """
        if self._cursor is None:
            return None
        try:
            written = base64.urlsafe_b64decode(self._cursor + "=" * (-len(self._cursor) % 4)).decode()
            named, _, place = written.partition(":")
            if named != kind:
                raise ValueError
            return position.validate_python(place)
        except ValueError as error:  # what base64, decoding and pydantic raise are all of this kind
            told = "is no cursor of this list; take the one that is called 'next' in the page before"
            raise InvalidDocument("The request", [Problem("query.cursor", told)]) from error

    def page(self, kind: str, rows: Sequence[V], place: Callable[[V], object], view: Callable[[V], T]) -> Page[T]:
        """Return the page made of ``more`` rows or less.

        Args:
            kind: Names the list.
            rows: What was read.
            place: Returns a row's position in the list.
            view: Returns how a row is shown.
        """
        shown = rows[: self.limit]
        last = f"{kind}:{place(shown[-1])}" if len(rows) > self.limit else None
        following = None if last is None else base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")
        return Page(items=[view(row) for row in shown], next=following)


async def _pager(
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS, description="The most items of a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=2_000, description="`next` of the page before.")] = None,
) -> Pager:
    return Pager(limit, cursor)


Paging = Annotated[Pager, Depends(_pager)]
