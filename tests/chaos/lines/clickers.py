"""People who follow the links in what they were sent, over HTTP, and a book of what they were answered."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from types import TracebackType
from typing import Any, Literal, Self
from uuid import UUID

import httpx2
import sqlalchemy as sa

from tests.chaos.site import Site
from wend.storage.tables import events, moves, runs, sent_messages

Kind = Literal["person", "head", "bot"]

PAUSE = 0.15
"""Seconds until somebody tries a link again that did not work."""

PATIENCE = timedelta(seconds=90)
"""How long somebody tries."""

_AGENTS: Mapping[Kind, str] = {
    "person": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "head": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/140.0",
    "bot": "Mozilla/5.0 (compatible; LinkScanner/1.0; bot)",
}


@dataclass(frozen=True)
class Try:
    """One request for a link.

    Attributes:
        status: Of the answer; ``None`` where there was none, because nobody listened or the connection broke.
        media: Its content type.
        at: When it was answered, in seconds since the epoch.
    """

    message_id: UUID
    kind: Kind
    status: int | None
    media: str
    at: float


@dataclass(frozen=True)
class Waiting:
    """A run that has sent its message and waits for a click."""

    run_id: UUID
    profile_id: UUID
    message_id: UUID
    deadline: datetime


class Clickers:
    """Clicks in the background; each click is tried again until the link leads on.

    Args:
        site: Where the links lead.
        at_once: How many people click at the same time.
    """

    def __init__(self, site: Site, at_once: int = 16) -> None:
        self._site = site
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="clicks")
        self._lock = threading.Lock()
        self._under_way: list[Future[None]] = []
        self.tries: list[Try] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def click(self, message_id: UUID, kind: Kind = "person") -> None:
        """Have somebody follow the link of a message."""
        self._under_way.append(self._threads.submit(self._follow, message_id, kind))

    def finish(self) -> None:
        """Return when everybody has been led on, or has given up."""
        for each in self._under_way:
            each.result()
        self._under_way.clear()

    def answered(self) -> Counter[UUID]:
        """Return how often people were led on, by message."""
        return Counter(each.message_id for each in self.tries if each.kind == "person" and each.status == 302)

    def tried(self) -> Counter[UUID]:
        """Return how often people tried, by message."""
        return Counter(each.message_id for each in self.tries if each.kind == "person")

    def answers(self) -> Counter[str]:
        """Return what was answered, with how often."""
        return Counter(f"{each.status} {each.media}".strip() if each.status else "nobody there" for each in self.tries)

    def _follow(self, message_id: UUID, kind: Kind) -> None:
        path = f"/c/{self._site.token(message_id)}"
        headers = {"user-agent": _AGENTS[kind], "accept": "text/html, application/problem+json"}
        method = "HEAD" if kind == "head" else "GET"
        until = time.monotonic() + PATIENCE.total_seconds()
        while time.monotonic() < until:
            status, media = None, ""
            with suppress(httpx2.TransportError):
                response = self._site.http.request(method, path, headers=headers, timeout=40)
                status, media = response.status_code, response.headers.get("content-type", "")
            with self._lock:
                self.tries.append(Try(message_id, kind, status, media, time.time()))
            if status == 302:
                return
            time.sleep(PAUSE)


def is_fair(answer: str) -> bool:
    """Whether an answer leads on, or says as it should that it cannot now."""
    return answer in ("nobody there", "302", "503 application/problem+json")


def waiting(site: Site, journey: str, step: str = "look") -> dict[UUID, Waiting]:
    """Return the runs of a journey that wait at a step, by profile."""
    query = (
        sa.select(runs.c.id, runs.c.profile_id, sent_messages.c.id, runs.c.parked_until)
        .join(sent_messages, sent_messages.c.run_id == runs.c.id)
        .where(runs.c.journey_key == journey, runs.c.step == step, runs.c.parked_until.is_not(None))
    )
    with site.read() as connection:
        return {row.profile_id: Waiting(*row) for row in connection.execute(query)}


@dataclass(frozen=True)
class Passed:
    """How a run came by its wait for a click.

    Attributes:
        came_at: When it began to wait.
        left: Every time that it left the wait: (when, why, the click's id, where to).
        clicks: Its counted clicks: (id, stamp, recorded lateness).
        others: How many clicks on its message do not count.
    """

    run_id: UUID
    profile_id: UUID
    message_id: UUID | None
    state: str
    came_at: datetime | None
    left: tuple[tuple[datetime, str, UUID | None, str], ...]
    clicks: tuple[tuple[UUID, datetime, timedelta | None], ...]
    others: int
    ordered: bool
    """Whether each move is no earlier than the one before it."""

    def in_time(self, within: timedelta) -> bool:
        """Whether a counted click is stamped no later than the deadline of the wait."""
        return self.came_at is not None and any(at <= self.came_at + within for _, at, _ in self.clicks)


def passages(site: Site, journey: str, step: str = "look") -> list[Passed]:
    """Return how every run of a journey came by its wait."""
    with site.read() as connection:
        of_journey = sa.select(runs.c.id).where(runs.c.journey_key == journey)
        found = connection.execute(
            sa.select(runs.c.id, runs.c.profile_id, runs.c.state).where(runs.c.id.in_(of_journey))
        )
        people = found.all()
        moved = _by_run(connection, sa.select(moves).where(moves.c.journey_key == journey).order_by(moves.c.number))
        clicked = _by_run(connection, sa.select(events).where(events.c.run_id.in_(of_journey)).order_by(events.c.at))
        sent = _by_run(connection, sa.select(sent_messages).where(sent_messages.c.journey_key == journey))
    return [_passed(row, moved[row.id], clicked[row.id], sent[row.id], step) for row in people]


def _passed(run: Any, moved: Sequence[Any], clicked: Sequence[Any], sent: Sequence[Any], step: str) -> Passed:
    came = [move.at for move in moved if move.to_step == step]
    left = [
        (move.at, move.why_kind, UUID(move.why["event_id"]) if "event_id" in move.why else None, move.to_step)
        for move in moved
        if move.from_step == step
    ]
    return Passed(
        run.id,
        run.profile_id,
        sent[0].id if sent else None,
        run.state,
        came[0] if came else None,
        tuple(left),
        tuple(
            (
                each.id,
                each.at,
                None if each.late_microseconds is None else timedelta(microseconds=each.late_microseconds),
            )
            for each in clicked
            if each.counted
        ),
        sum(not each.counted for each in clicked),
        all(one.at <= other.at for one, other in pairwise(moved)),
    )


def _lateness(click: Any) -> timedelta | None:
    return None if click.late_microseconds is None else timedelta(microseconds=click.late_microseconds)


def _by_run(connection: sa.Connection, query: sa.Select[Any]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.run_id].append(row)
    return found


def wrongly_late(passed: Iterable[Passed], within: timedelta) -> list[str]:
    """Return the clicks that are recorded as late and are not, or the other way round, or by another time."""
    wrong = []
    for each in passed:
        if each.came_at is None:
            continue
        for id, at, late in each.clicks:
            over = at - (each.came_at + within)
            if late != (over if over > timedelta(0) else None):
                wrong.append(f"{id}: {over} after the deadline, and recorded as {late}")
    return wrong


def wrong_branches(passed: Iterable[Passed], within: timedelta) -> list[str]:
    """Return the runs whose way contradicts the stamps of their clicks, with how."""
    wrong = []
    for each in passed:
        ways = [why for _, why, _, _ in each.left]
        expected = ["clicked"] if each.in_time(within) else ["timed_out"]
        if ways != expected:
            wrong.append(f"{each.run_id}: {ways}, and its clicks say {expected}")
    return wrong
