"""What the sink has caught, in an SQLite file of its own.

One thread owns the one connection, so nothing here runs on the event loop and writers never meet. A message is
committed before its sender is answered, and survives the process being killed.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Channel = Literal["email", "sms"]
T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at TEXT NOT NULL,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    html TEXT NOT NULL,
    headers TEXT NOT NULL,
    message_id TEXT,
    raw BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS message_by_recipient ON message (recipient);
CREATE INDEX IF NOT EXISTS message_by_message_id ON message (message_id, channel);
"""
_COLUMNS = "id, received_at, channel, recipient, sender, subject, text, html, headers, message_id"


class Caught(BaseModel):
    """One message to one recipient, as it came in.

    Attributes:
        recipient: The envelope's recipient, or the number.
        headers: The e-mail's headers in order, decoded; the request's for a text message.
        message_id: The sender's own id of the message, from ``X-Wend-Message`` or the request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: Channel
    recipient: str
    sender: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    message_id: str | None = None


class Stored(Caught):
    """A message that was caught, with its place in the order of arrival."""

    id: int
    received_at: datetime


class Duplicate(BaseModel):
    """A message that came in more than once."""

    model_config = ConfigDict(frozen=True)

    channel: Channel
    message_id: str
    copies: int


class ChannelCounts(BaseModel):
    """How much came in on one channel.

    Attributes:
        messages: Everything, copies included.
        distinct: Different message ids.
        duplicates: Copies beyond the first of each message id.
        without_message_id: Messages from senders that give no id.
    """

    model_config = ConfigDict(frozen=True)

    messages: int = 0
    distinct: int = 0
    duplicates: int = 0
    without_message_id: int = 0


class Counts(BaseModel):
    """How much came in: ``messages`` = distinct + duplicates + without_message_id on each channel."""

    model_config = ConfigDict(frozen=True)

    messages: int
    email: ChannelCounts
    sms: ChannelCounts
    duplicated: tuple[Duplicate, ...]


class Filter(BaseModel):
    """Which messages are asked for; everything that is given must hold.

    Attributes:
        to: The recipient, in any case.
        like: Found anywhere in recipient, sender, subject or text, in any case.
        since: Only messages with a greater id.
        before: Only messages with a smaller id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str | None = None
    channel: Channel | None = None
    message_id: str | None = None
    like: str | None = None
    since: int | None = None
    before: int | None = None


class Store:
    """Keeps messages in a file, or in memory where there is no path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink-store")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, made with its directory if it is not there."""
        await self._run(self._open)

    async def close(self) -> None:
        """Close the file; a store is not opened again."""
        await self._run(self._close)
        self._thread.shutdown()

    async def add(self, messages: list[Caught], raw: bytes) -> list[int]:
        """Return the ids of the messages, committed together."""
        return await self._run(lambda: self._add(messages, raw))

    async def find(self, chosen: Filter, *, limit: int, newest_first: bool = False) -> list[Stored]:
        """Return at most ``limit`` messages in the order of their ids."""
        return await self._run(lambda: self._find(chosen, limit, newest_first))

    async def get(self, id: int) -> Stored | None:
        """Return one message, None where there is none with this id."""
        found = await self.find(Filter(since=id - 1, before=id + 1), limit=1)
        return found[0] if found else None

    async def raw(self, id: int) -> bytes | None:
        """Return what came over the wire, None where there is no message with this id."""
        return await self._run(lambda: self._raw(id))

    async def counts(self, *, duplicated: int = 100) -> Counts:
        """Return how much came in, and at most ``duplicated`` of the messages with copies."""
        return await self._run(lambda: self._counts(duplicated))

    async def clear(self) -> int:
        """Delete every message and return how many there were; ids go on where they were."""
        return await self._run(self._clear)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self._path or ":memory:")
        # In WAL, normal is enough to survive the death of the process.
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;" + _SCHEMA
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the store is not open")
        return self._connection

    def _add(self, messages: list[Caught], raw: bytes) -> list[int]:
        received_at = datetime.now(UTC).isoformat()
        ids: list[int] = []
        with self._database as connection:
            for message in messages:
                row = message.model_dump(exclude={"headers"}) | {
                    "received_at": received_at,
                    "headers": json.dumps(message.headers),
                    "raw": raw,
                }
                names = ", ".join(row)
                places = ", ".join(f":{name}" for name in row)
                inserted = connection.execute(f"INSERT INTO message ({names}) VALUES ({places}) RETURNING id", row)
                ids.append(int(inserted.fetchone()[0]))
        return ids

    def _find(self, chosen: Filter, limit: int, newest_first: bool) -> list[Stored]:
        wanted = chosen.model_dump(exclude_none=True)
        conditions = {
            "to": "recipient = :to COLLATE NOCASE",
            "channel": "channel = :channel",
            "message_id": "message_id = :message_id",
            "like": "instr(lower(recipient || char(10) || sender || char(10) || subject || char(10) || text),"
            " lower(:like)) > 0",
            "since": "id > :since",
            "before": "id < :before",
        }
        where = " AND ".join(conditions[name] for name in wanted) or "TRUE"
        order = "DESC" if newest_first else "ASC"
        statement = f"SELECT {_COLUMNS} FROM message WHERE {where} ORDER BY id {order} LIMIT :limit"
        rows = self._database.execute(statement, wanted | {"limit": limit})
        return [_stored(row) for row in rows]

    def _raw(self, id: int) -> bytes | None:
        row = self._database.execute("SELECT raw FROM message WHERE id = ?", (id,)).fetchone()
        return None if row is None else bytes(row[0])

    def _counts(self, duplicated: int) -> Counts:
        channels: dict[str, ChannelCounts] = {}
        for channel, messages, identified, distinct in self._database.execute(
            "SELECT channel, count(*), count(message_id), count(DISTINCT message_id) FROM message GROUP BY channel"
        ):
            channels[channel] = ChannelCounts(
                messages=messages,
                distinct=distinct,
                duplicates=identified - distinct,
                without_message_id=messages - identified,
            )
        copies = self._database.execute(
            "SELECT channel, message_id, count(*) FROM message WHERE message_id IS NOT NULL"
            " GROUP BY message_id, channel HAVING count(*) > 1 ORDER BY min(id) LIMIT ?",
            (duplicated,),
        )
        return Counts(
            messages=sum(counts.messages for counts in channels.values()),
            email=channels.get("email", ChannelCounts()),
            sms=channels.get("sms", ChannelCounts()),
            duplicated=tuple(Duplicate(channel=row[0], message_id=row[1], copies=row[2]) for row in copies),
        )

    def _clear(self) -> int:
        with self._database as connection:
            return connection.execute("DELETE FROM message").rowcount


def _stored(row: tuple[int, str, Channel, str, str, str, str, str, str, str | None]) -> Stored:
    return Stored(
        id=row[0],
        received_at=datetime.fromisoformat(row[1]),
        channel=row[2],
        recipient=row[3],
        sender=row[4],
        subject=row[5],
        text=row[6],
        html=row[7],
        headers=tuple((name, value) for name, value in json.loads(row[8])),
        message_id=row[9],
    )
