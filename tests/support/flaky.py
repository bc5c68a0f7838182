"""A database that fails as it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import Connection

from wend.errors import Unavailable
from wend.storage.database import CommitUnknown, Database

Failure = Literal["away", "unheard"]
"""``away``: nothing is done. ``unheard``: the commit is made, and nobody hears of it."""


class FlakyDatabase(Database):
    """Another database, whose transactions fail as they are told to.

    Attributes:
        away: Every transaction fails until this is false again.
        failures: How the next writes fail, one by one; ``None`` is one that does not.
        refused: How many transactions failed.
    """

    def __init__(self, database: Database) -> None:
        self.__dict__ = database.__dict__.copy()
        self.away = False
        self.failures: list[Failure | None] = []
        self.refused = 0

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that cannot write."""
        self._fail_if(self.away)
        with super().read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block."""
        failure = self.failures.pop(0) if self.failures else None
        self._fail_if(self.away or failure == "away")
        with super().write() as connection:
            yield connection
        if failure == "unheard":
            self.refused += 1
            raise CommitUnknown("the connection was lost")

    def _fail_if(self, failing: bool) -> None:
        if failing:
            self.refused += 1
            raise Unavailable("The database", "it is not there")
