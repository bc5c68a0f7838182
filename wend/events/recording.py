"""Taking events in: stored, stamped and announced in one transaction.

The stamp is given after locking, as the later of the clock and the last decision of the runs concerned plus a
microsecond. So nothing that is stored after a decision is ever stamped before it, whatever the clocks do, and a park
and an event cannot miss each other: one of the two transactions sees the other's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection

from wend import outbox
from wend.clocks import MOST_SKEW, Seldom
from wend.errors import Conflict, NotFound
from wend.journeys.facts import Happening
from wend.journeys.freezes import elapse
from wend.journeys.results import Park
from wend.journeys.serial import load_plan
from wend.journeys.simulation import listens_to
from wend.journeys.state import CLICK
from wend.runs.facts import read_freezes
from wend.storage.database import Database, insert_ignoring, lock_profile
from wend.storage.tables import events, journeys, moves, runs, sent_links, sent_messages

Clock = Callable[[], datetime]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecordedClick:
    """Where to send the person who clicked, and what became of the click."""

    destination: str
    event_id: UUID | None
    counted: bool
    late_by: timedelta | None


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """Something that happened to a profile.

    Attributes:
        key: The source's own id of the event: the same one again changes nothing.
        profile_id: To whom.
        name: What.
        occurred_at: The sender's own time; kept and shown, decides nothing.
        properties: JSON.
    """

    key: str
    profile_id: UUID
    name: str
    occurred_at: datetime | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The event as it is stored; ``new`` is false where it had been before."""

    key: str
    id: UUID
    at: datetime
    new: bool


class EventIdUsedOtherwise(Conflict):
    """The id of an event came before, with another profile, name or properties."""

    def __init__(self, key: str, differs: Sequence[str]) -> None:
        super().__init__(
            f"The event id {key!r} was used before, with another {' and '.join(differs)}; nothing was "
            "stored. Give each event its own id."
        )
        self.key = key
        self.differs = tuple(differs)


class EventLog:
    """Takes events in.

    Args:
        database: Where they are stored.
        clock: The host's clock, asked inside the transaction.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._complaint = Seldom()

    def record_click(self, message_id: UUID, number: int, note: str | None) -> RecordedClick:
        """Store a click on link ``number`` of a sent message.

        Args:
            message_id: From the link's token.
            number: From the link's token.
            note: Why the click does not count, if it does not: it is stored all the same.

        Raises:
            NotFound: No such message was sent, or it has no such link.
        """
        with self._database.write() as connection:
            link = connection.execute(
                _LINK.where(sent_links.c.message_id == message_id, sent_links.c.number == number)
            ).one_or_none()
            if link is None:
                raise NotFound("link", f"{message_id}/{number}")
            lock_profile(connection, link.profile_id)
            run = connection.execute(_RUN.where(runs.c.id == link.run_id)).one()
            stamp = self._stamp([run])
            happening = Happening(uuid4(), CLICK, stamp, {}, message_id, link.name)
            late_by = _late_by(connection, run, happening) if note is None else None
            connection.execute(
                sa.insert(events).values(
                    id=happening.id,
                    profile_id=link.profile_id,
                    name=CLICK,
                    at=stamp,
                    properties={},
                    counted=note is None,
                    note=note,
                    run_id=link.run_id,
                    message_id=message_id,
                    link=link.name,
                    late_microseconds=None if late_by is None else late_by // timedelta(microseconds=1),
                )
            )
            if note is None:
                _announce(connection, [run], happening, stamp)
            return RecordedClick(link.destination, happening.id, note is None, late_by)

    def record(self, incoming: Sequence[IncomingEvent]) -> list[RecordedEvent]:
        """Store events, all or none, in the order given; those stored before are left as they are.

        Raises:
            EventIdUsedOtherwise: A key came before, for another event; nothing was stored.
            NotFound: A profile does not exist; nothing was stored.
        """
        with self._database.write() as connection:
            people = sorted({each.profile_id for each in incoming})
            for profile_id in people:
                if lock_profile(connection, profile_id) is None:
                    raise NotFound("profile", profile_id)
            by_person: dict[UUID, list[Any]] = {person: [] for person in people}
            # By id, as whoever ends or moves many runs takes them, without these people's locks.
            theirs = runs.c.profile_id.in_(people)
            inside = sa.select(runs.c.id).where(theirs, runs.c.ended_at.is_(None)).order_by(runs.c.id)
            connection.execute(inside.with_for_update(key_share=True))
            for row in connection.execute(_RUN.where(theirs)):
                by_person[row.profile_id].append(row)
            return [self._record(connection, each, by_person[each.profile_id]) for each in incoming]

    def _record(self, connection: Connection, incoming: IncomingEvent, concerned: Sequence[Any]) -> RecordedEvent:
        happening = Happening(uuid4(), incoming.name, self._stamp(concerned), incoming.properties)
        inserted = connection.execute(
            insert_ignoring(connection, events).values(
                id=happening.id,
                key=incoming.key,
                profile_id=incoming.profile_id,
                name=incoming.name,
                at=happening.at,
                occurred_at=incoming.occurred_at,
                properties=dict(incoming.properties),
                counted=True,
            )
        )
        if inserted.rowcount == 0:
            known = connection.execute(_KNOWN.where(events.c.key == incoming.key)).one()
            _check_the_same(known, incoming)
            return RecordedEvent(incoming.key, known.id, known.at, new=False)
        _announce(connection, concerned, happening, happening.at)
        return RecordedEvent(incoming.key, happening.id, happening.at, new=True)

    def _stamp(self, concerned: Sequence[Any]) -> datetime:
        clock = self._clock()
        decided: datetime | None = max(
            (run.decided_at for run in concerned if run.decided_at is not None), default=None
        )
        if decided is None or clock > decided:
            return clock
        if decided - clock > MOST_SKEW and self._complaint.is_time():
            log.warning("clocks disagree", behind_by_seconds=(decided - clock).total_seconds())
        return decided + timedelta(microseconds=1)


_KNOWN = sa.select(events.c.id, events.c.at, events.c.profile_id, events.c.name, events.c.properties)

_LINK = sa.select(sent_links.c.name, sent_links.c.destination, sent_messages.c.run_id, sent_messages.c.profile_id).join(
    sent_messages, sent_messages.c.id == sent_links.c.message_id
)

_RUN = sa.select(
    runs.c.id,
    runs.c.journey_key,
    runs.c.profile_id,
    runs.c.answer,
    runs.c.sequence,
    runs.c.woken,
    runs.c.decided_at,
    runs.c.ended_at,
)


def _check_the_same(known: Any, incoming: IncomingEvent) -> None:
    """Raise ``EventIdUsedOtherwise`` unless the stored event is this one; the sender's time may differ."""
    compared = {
        "profile": known.profile_id == incoming.profile_id,
        "name": known.name == incoming.name,
        "properties": _equal(known.properties, dict(incoming.properties)),
    }
    if differs := [part for part, same in compared.items() if not same]:
        raise EventIdUsedOtherwise(incoming.key, differs)


def _equal(one: Any, other: Any) -> bool:
    """Return whether JSON values are equal: 1 is 1.0 (PostgreSQL does not keep them apart), and neither is true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _announce(connection: Connection, concerned: Sequence[Any], happening: Happening, now: datetime) -> None:
    """Have every run woken that listens to this and is not being woken already."""
    waking = [
        run
        for run in concerned
        if run.ended_at is None and run.answer is not None and listens_to(load_plan(run.answer), happening)
    ]
    if not waking:
        return
    ids = [run.id for run in waking]
    fresh = connection.scalars(
        sa.update(runs).where(runs.c.id.in_(ids), ~runs.c.woken).values(woken=True).returning(runs.c.id)
    )
    notice = {"event_id": str(happening.id), "name": happening.name}
    outbox.put_all(connection, "wake_run", [(str(run_id), notice) for run_id in fresh], now)


def _late_by(connection: Connection, run: Any, click: Happening) -> timedelta | None:
    """Return by how much a click missed the deadline of the wait that was for it; ``None`` if it missed none."""
    if run.answer is not None and isinstance(plan := load_plan(run.answer), Park) and listens_to(plan, click):
        return max(click.at - _until(connection, run, plan), timedelta(0)) or None
    step = connection.scalar(sa.select(sent_messages.c.step).where(sent_messages.c.id == click.message_id))
    missed = connection.scalars(
        sa.select(moves.c.why)
        .where(moves.c.run_id == run.id, moves.c.why_kind == "timed_out")
        .order_by(moves.c.number.desc())
    )
    for why in missed:
        if why.get("sent_by") == step and why.get("link") in (None, click.link):
            return max(click.at - datetime.fromisoformat(why["deadline"]), timedelta(microseconds=1))
    return None


def _until(connection: Connection, run: Any, park: Park) -> datetime:
    """Return the end of a park, moved by the time that its journey's waits have not passed since it was answered."""
    document: Any = connection.scalar(sa.select(journeys.c.freezes).where(journeys.c.key == run.journey_key))
    if not document:
        return park.until
    decided_at: datetime = run.decided_at
    return elapse(decided_at, park.until - decided_at, read_freezes(document))
