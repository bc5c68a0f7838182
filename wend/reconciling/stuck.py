"""The stuck-run detector: runs whose next move is overdue, found by rows alone.

A run that is parked until an instant is to be decided on at that instant, one that listens to something soon after it
has happened, one that was held soon after its journey goes on, and one that sends is to be tried. Where rows say that
this should have been and was not, the run is stuck: its workflow has not heard, or has nobody to run it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.facts import Happening
from wend.journeys.results import Send
from wend.journeys.serial import load_plan
from wend.journeys.simulation import listens_to
from wend.reconciling.port import Passage
from wend.storage.database import CHUNK, chunks
from wend.storage.tables import events, journeys, outbox, runs, sent_messages

LATE: Final = timedelta(minutes=1)
"""How late a run may be decided on; more is not a busy moment any more."""

SEND_LATE: Final = timedelta(hours=2)
"""How long nobody may try to send a run's message: a provider that is away is tried again every hour at last."""

MOST_FOUND: Final = 10_000
"""Of each kind, at once: after an outage a whole journey may be late."""

StuckKind = Literal["run_overdue", "bell_lost", "hold_left", "send_stalled"]

STUCK: Final[tuple[StuckKind, ...]] = ("run_overdue", "bell_lost", "hold_left", "send_stalled")


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run whose next move is overdue.

    Attributes:
        run_id: The run.
        passage: Whose, and the how manieth.
        kind: Which move it is.
        cause: Why, as far as rows tell.
        waits_in_outbox: It is woken when that row of the outbox is delivered.
    """

    run_id: UUID
    passage: Passage
    kind: StuckKind
    cause: str
    waits_in_outbox: bool = False


def count_overdue(connection: Connection, now: datetime) -> dict[str, int]:
    """Return by journey how many runs should have been woken more than a minute ago; an index has them."""
    query = (
        sa.select(runs.c.journey_key, sa.func.count())
        .where(*_PARKED, runs.c.parked_until <= now - LATE)
        .group_by(runs.c.journey_key)
    )
    return dict(connection.execute(query).all())


def find_stuck(connection: Connection, journey: str, now: datetime) -> list[Stuck]:
    """Return a journey's stuck runs, each once; of each kind no more than ``MOST_FOUND``.

    Args:
        connection: One snapshot.
        journey: The journey's key.
        now: The instant, by the worker's clock.
    """
    told = _waking(connection, journey)
    found: dict[UUID, Stuck] = {}
    for kind in (_overdue, _unheard, _held, _unsent):
        for each in islice(kind(connection, journey, now, told), MOST_FOUND):
            found.setdefault(each.run_id, each)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Waking:
    """What the outbox still has to tell runs of a journey."""

    runs: Collection[str]
    all_held: bool


def _waking(connection: Connection, journey: str) -> _Waking:
    undelivered = sa.select(outbox.c.kind, outbox.c.subject).where(outbox.c.done_at.is_(None))
    rows = connection.execute(undelivered.where(outbox.c.kind.in_(("wake_run", "wake_held_runs")))).all()
    subjects = {row.subject for row in rows if row.kind == "wake_run"}
    return _Waking(subjects, any(row.kind == "wake_held_runs" and row.subject == journey for row in rows))


# The condition of the index, in its own words.
_PARKED = (runs.c.parked_until.is_not(None), runs.c.held_at.is_(None), runs.c.ended_at.is_(None))

_NAMED = (runs.c.id, runs.c.profile_id, runs.c.entry_number)


def _stuck(row: Any, kind: StuckKind, cause: str, told: _Waking) -> Stuck:
    waits = str(row.id) in told.runs
    said = f"{cause}; a wake waits in the outbox" if waits else cause
    return Stuck(row.id, (row.profile_id, row.entry_number), kind, said, waits)


def _say(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _overdue(connection: Connection, journey: str, now: datetime, told: _Waking) -> Iterator[Stuck]:
    """Yield runs that were parked until an instant that has passed."""
    query = sa.select(*_NAMED, runs.c.parked_until).where(
        runs.c.journey_key == journey, *_PARKED, runs.c.parked_until <= now - LATE, _has_workflow(now)
    )
    for row in connection.execute(query.order_by(runs.c.parked_until).limit(MOST_FOUND)):
        cause = f"it was to be woken at {_say(row.parked_until)}, and was not decided on"
        yield _stuck(row, "run_overdue", cause, told)


def _unheard(connection: Connection, journey: str, now: datetime, told: _Waking) -> Iterator[Stuck]:
    """Yield runs that listen to something that has happened since their last decision."""
    happened = (events.c.id, events.c.name, events.c.at, events.c.properties, events.c.message_id, events.c.link)
    theirs = sa.and_(events.c.profile_id == runs.c.profile_id, events.c.at > runs.c.decided_at)
    query = (
        sa.select(*_NAMED, runs.c.answer, runs.c.woken, *(column.label(f"event_{column.name}") for column in happened))
        .join(events, theirs)
        .where(
            runs.c.journey_key == journey,
            runs.c.ended_at.is_(None),
            runs.c.parked_until.is_not(None),
            events.c.counted,
            events.c.at <= now - LATE,
            _has_workflow(now),
        )
    )
    # Some at a time: of whoever waits for a year, most of what happens is nothing that the run listens to.
    with connection.execute(query.execution_options(yield_per=CHUNK)) as rows:
        for row in rows:
            happening = Happening(
                row.event_id,
                row.event_name,
                row.event_at,
                row.event_properties,
                row.event_message_id,
                row.event_link,
            )
            if str(row.id) in told.runs or not listens_to(load_plan(row.answer), happening):
                continue
            how = "its bell was rung, and nobody has decided since" if row.woken else "nothing rings its bell"
            yield _stuck(row, "bell_lost", f"event {row.event_id} came at {_say(row.event_at)}; {how}", told)


def _held(connection: Connection, journey: str, now: datetime, told: _Waking) -> Iterator[Stuck]:
    """Yield runs that are held though nobody holds them any more."""
    if told.all_held:
        return
    query = (
        sa.select(*_NAMED, runs.c.held_at)
        .join(journeys, journeys.c.key == runs.c.journey_key)
        .where(
            runs.c.journey_key == journey,
            runs.c.ended_at.is_(None),
            runs.c.held_at.is_not(None),
            runs.c.held_at <= now - LATE,
            journeys.c.state != "paused",
            journeys.c.updated_at <= now - LATE,
            _has_workflow(now),
        )
    )
    for row in connection.execute(query):
        yield _stuck(row, "hold_left", f"held since {_say(row.held_at)}, and its journey is not paused", told)


def _unsent(connection: Connection, journey: str, now: datetime, told: _Waking) -> Iterator[Stuck]:
    """Yield runs whose message nobody has tried to send for long.

    It may also wait in a queue whose rate is low, or for a worker of that queue: Temporal knows.
    """
    query = sa.select(*_NAMED, runs.c.answer, runs.c.decided_at).where(
        runs.c.journey_key == journey,
        runs.c.state == "running",
        runs.c.parked_until.is_(None),
        runs.c.decided_at <= now - SEND_LATE,
        _has_workflow(now),
    )
    for some in chunks(connection.execute(query).all()):
        plans = [(row, load_plan(row.answer)) for row in some]
        sends = [(row, plan) for row, plan in plans if isinstance(plan, Send)]
        ids = [plan.message_id for _, plan in sends]
        tried = sa.select(sent_messages.c.id, sent_messages.c.claimed_at).where(sent_messages.c.id.in_(ids))
        tries = dict(connection.execute(tried).all())
        for row, plan in sends:
            last = tries.get(plan.message_id)
            if last is None:
                since = f"since {_say(row.decided_at)}, when it was decided on"
            elif last <= now - SEND_LATE:
                since = f"since {_say(last)}"
            else:
                continue
            yield _stuck(row, "send_stalled", f"nobody has tried to send its message at {plan.step!r} {since}", told)


def _has_workflow(now: datetime) -> sa.ColumnElement[bool]:
    """Those that are just being started decide soon."""
    return sa.and_(runs.c.started_at.is_not(None), runs.c.started_at <= now - LATE)
