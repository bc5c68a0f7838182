"""One run of many steps under many signals, on a server that skips time: what its histories come to."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from tests.support.histories import chain
from tests.support.world import AWAIT_CLICK, DAY, MAIL, TEXT, Serving, serving
from tools.lost_tasks import without_lost_tasks
from wend import wire
from wend.storage.database import Database

MOST_EVENTS = 10_240
"""In one history: from there on the server warns; at five times as many it ends the workflow."""

CYCLE = 4
"""Steps: mail, a wait for the click on it, a day's wait, a text message."""

AT_ONCE = 32
LATENESS = timedelta(minutes=2)
"""How much later a wait may end: a clock that is skipped goes on while the server works."""

PATIENCE = timedelta(minutes=2)


@dataclass(frozen=True)
class LongRun:
    """What became of it.

    Attributes:
        state: The run's, at its end.
        clicked: Waits that ended by their click, of as many as there were.
        waits: Waits for a click.
        sent: How often each message was sent, by its provider's record.
        messages: How many there were to send.
        signalled: Signals that were acknowledged.
        signals: Signals that stand in the histories.
        histories: Events of each, in order; all but the last continue as new.
    """

    state: str
    clicked: int
    waits: int
    sent: tuple[int, ...]
    messages: int
    signalled: int
    signals: int
    histories: tuple[int, ...]

    @property
    def continuations(self) -> int:
        """How often it continued as new."""
        return len(self.histories) - 1

    def check(self) -> None:
        """Return if nothing was lost or done twice, and no history grew too long.

        Raises:
            AssertionError: Something was, or one did.
        """
        assert self.state == "completed", self
        assert self.clicked == self.waits, self
        assert self.sent == (1,) * self.messages, self
        assert self.signals == self.signalled, self
        assert max(self.histories) < MOST_EVENTS, self


async def long_run(database: Database, environment: WorkflowEnvironment, steps: int, signals: int) -> LongRun:
    """Take one person through so many steps, under so many signals, and say what came of it.

    At every wait for a click, bells ring as fast as the server takes them, and the click comes in among them: so it
    meets every stage of a continuation. For one wait in the middle the worker is away, and gets half of all signals
    when it comes back. A click that was lost would leave the run at its wait, since no time passes there.

    Args:
        database: Migrated and empty.
        environment: Skips time.
        steps: At least eight, in fours.
        signals: At most 20,000, for no run takes in more than 10,000 without a worker.
    """
    cycles = steps // CYCLE
    key = f"long-{uuid4().hex[:12]}"
    async with serving(database, environment.client, key) as trip:
        world = trip.world
        world.journey(*(step for number in range(cycles) for step in _cycle(number)), key=key)
        bells = _Bells(trip)
        middle = cycles // 2
        each = signals // 2 // (cycles - 1)
        working = trip.working(runner=UnsandboxedWorkflowRunner())
        await working.__aenter__()
        try:
            with environment.with_time_skipping_disabled():
                run_id = await trip.start(world.person("ada"), key)
            handle = trip.handle(run_id)
            for number in range(cycles):
                look, day = f"look{number}", f"day{number}"
                await trip.until(lambda look=look: world.row(run_id).step == look, PATIENCE)  # type: ignore[misc]
                if number == middle:
                    await working.__aexit__(None, None, None)
                    await bells.ring(handle, signals - each * (cycles - 1), world.path(run_id).messages[-1].id)
                    working = trip.working(runner=UnsandboxedWorkflowRunner())
                    await working.__aenter__()
                else:
                    await bells.ring(handle, each, world.path(run_id).messages[-1].id)
                await trip.until(lambda day=day: world.row(run_id).step == day, PATIENCE)  # type: ignore[misc]
                await environment.fast_forward(handle, timedelta(days=1, seconds=1))
            path = await trip.ended(run_id)
        finally:
            await working.__aexit__(None, None, None)
        sent = [message.message_id for message in trip.email.begun] + [message.message_id for message in trip.sms.begun]
        times = [sent.count(message.id) for message in path.messages]
        histories = [[event.event_type for event in events] for events in await chain(trip.client, handle)]
        return LongRun(
            path.run.state,
            sum(move.why_kind == "clicked" for move in path.moves),
            cycles,
            tuple(times),
            2 * cycles,
            bells.acknowledged,
            sum(kinds.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) for kinds in histories),
            tuple(map(len, histories)),
        )


@dataclass(frozen=True)
class LongWait:
    """What became of a run that waits for a long time, and then mails.

    Attributes:
        state: The run's, at its end.
        late: By how much it went on after its time.
        timers: How many its workflow started, and how many fired.
        mails: Sent.
        events: Of its history.
    """

    state: str
    late: timedelta
    timers: tuple[int, int]
    mails: int
    events: int

    def check(self) -> None:
        """Return if it woke once, at its time.

        Raises:
            AssertionError: It did not.
        """
        assert self.state == "completed", self
        assert timedelta(0) <= self.late < LATENESS, self
        assert (self.timers, self.mails) == ((1, 1), 1), self
        assert self.events < 40, self


async def long_wait(
    database: Database, environment: WorkflowEnvironment, days: int, *, until: bool = False
) -> LongWait:
    """Have one person wait for so many days, and say what came of it.

    Args:
        database: Migrated.
        environment: Skips time.
        days: So many.
        until: Wait until that date, not for that length.
    """
    key = f"wait-{uuid4().hex[:12]}"
    async with serving(database, environment.client, key) as trip:
        due = (trip.world.time() + timedelta(days=days)).replace(microsecond=0)
        wait = {"type": "wait_until", "at": due.isoformat()} if until else {"type": "wait", "for": f"P{days}D"}
        trip.world.journey({"id": "long", **wait}, MAIL, key=key)
        async with trip.working(runner=UnsandboxedWorkflowRunner()):
            run_id = await trip.start(trip.world.person("ada"), key)
            path = await trip.ended(run_id)
        (events,) = await chain(trip.client, trip.handle(run_id))
    kinds = [event.event_type for event in without_lost_tasks(events)]
    came, gone = path.moves[0].at, path.moves[1].at
    timers = (EventType.EVENT_TYPE_TIMER_STARTED, EventType.EVENT_TYPE_TIMER_FIRED)
    over = due if until else came + timedelta(days=days)
    started, fired = map(kinds.count, timers)
    return LongWait(path.run.state, gone - over, (started, fired), len(trip.email.begun), len(kinds))


def _cycle(number: int) -> list[dict[str, Any]]:
    mail, look, day, text = (step | {"id": f"{step['id']}{number}"} for step in (MAIL, AWAIT_CLICK, DAY, TEXT))
    return [mail, look | {"sent_by": mail["id"], "on_click": day["id"], "on_timeout": "exit"}, day, text]


class _Bells:
    """Rings a run's bells."""

    def __init__(self, trip: Serving) -> None:
        self._trip = trip
        self._numbers = count(1)
        self.acknowledged = 0

    async def ring(self, handle: WorkflowHandle[Any, Any], signals: int, message: Any) -> None:
        """Signal so many times, the click on the message in the middle of them."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(place: int) -> None:
            async with slots:
                if place == signals // 2:
                    click = await asyncio.to_thread(self._trip.world.events.record_click, message, 1, None)
                    assert click is not None
                    await self._trip.relay.deliver_all()
                else:
                    notice = wire.EventNotice(f"bell-{next(self._numbers)}", "rings")
                    await handle.signal(wire.RECORD_EVENT, notice)
                self.acknowledged += 1

        await asyncio.gather(*(one(place) for place in range(max(signals, 1))))
