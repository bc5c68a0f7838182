"""Clocks that disagree: this host's is compared with the database's and with Temporal's.

Stamps hold whatever the clocks do, so a wrong clock contradicts no decision. But it makes events count later than they
came, claims grow old too soon, and instants that people read wrong, and so it is an alarm.
"""

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog

from wend.errors import Unavailable
from wend.storage.database import Database
from wend.telemetry import Against, Telemetry

MOST_SKEW: Final = timedelta(seconds=1)

LOOK_EVERY: Final = timedelta(minutes=1)

log = structlog.get_logger()


def ahead_of_database(database: Database, telemetry: Telemetry) -> timedelta | None:
    """Return by how much this host's clock is ahead of the database's, at least; below zero if it is behind.

    Zero where the question's way there and back may explain the difference. ``None`` for SQLite, which has no clock of
    its own.

    Raises:
        Unavailable: The database does not answer now.
    """
    if database.dialect == "sqlite":
        return None
    with database.read() as connection:
        asked_at = telemetry.clock()
        shown: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        answered_at = telemetry.clock()
    if shown < asked_at:
        return asked_at - shown
    return min(answered_at - shown, timedelta(0))


class Seldom:
    """Tells whether it is time to complain again: once a minute at most."""

    def __init__(self) -> None:
        self._last: float | None = None

    def is_time(self) -> bool:
        """Return whether nobody was told so for a minute."""
        now = time.monotonic()
        if self._last is not None and now - self._last < LOOK_EVERY.total_seconds():
            return False
        self._last = now
        return True


class ClockWatch:
    """Compares clocks, and says so where they disagree.

    Args:
        database: Whose clock is asked.
        telemetry: Has this host's clock, has heard Temporal's, and is told what was found.
    """

    def __init__(self, database: Database, telemetry: Telemetry) -> None:
        self._database = database
        self._telemetry = telemetry

    def look(self) -> None:
        """Compare once.

        Raises:
            Unavailable: The database does not answer now.
        """
        self._found("temporal", self._telemetry.take_temporal_lag())
        self._found("database", ahead_of_database(self._database, self._telemetry))

    async def run(self, stopping: asyncio.Event) -> None:
        """Compare every minute until told to stop."""
        while not stopping.is_set():
            try:
                await asyncio.to_thread(self.look)
            except Unavailable as error:
                log.warning("clocks wait to be compared", error=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), LOOK_EVERY.total_seconds())
            except TimeoutError:
                continue

    def _found(self, against: Against, by: timedelta | None) -> None:
        if by is None:
            return
        self._telemetry.skewed(against, by)
        if abs(by) > MOST_SKEW:
            log.warning("clocks disagree", against=against, ahead_by_seconds=round(by.total_seconds(), 3))
