"""Calls that wait behind a lock."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import sqlalchemy as sa

from wend.storage.database import Database

PATIENCE_SECONDS = 60


class Queue:
    """Calls that wait for a lock of a database's, one behind the other."""

    def __init__(self, database: Database, threads: ThreadPoolExecutor) -> None:
        self._database = database
        self._threads = threads
        self._waiting = 0

    def add(self, call: Callable[[], object]) -> "Future[object]":
        """Have a call made in a thread, and return when it waits for its lock."""
        future = self._threads.submit(call)
        self._waiting += 1
        deadline = monotonic() + PATIENCE_SECONDS
        while self._blocked() < self._waiting:
            assert not future.done(), future.result()
            assert monotonic() < deadline, "it waits for no lock"
        return future

    def _blocked(self) -> int:
        turns = self._database._turns
        if turns is not None:
            return len(turns._waiting)
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with self._database.read() as connection:
            return int(connection.execute(sa.text(query)).scalar_one())
