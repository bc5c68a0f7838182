"""A click around its deadline, brought in every order with the timer: one branch only, the one that the stamp says."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.worker import UnsandboxedWorkflowRunner

from tests.chaos.lines.inprocess import (
    Sent,
    Server,
    TooSlow,
    click_at,
    delivered,
    ended,
    has_event,
    piece,
    quiet,
    rows_of,
    waiting_runs,
)
from tests.chaos.ring import Line, OutOfTime, Ring
from tests.support.world import AWAIT_CLICK, MAIL, Serving, host_clock
from wend.storage.tables import events, moves

CLOCKS = {
    "-1ms": timedelta(milliseconds=-1),
    "0": timedelta(0),
    "+1ms": timedelta(milliseconds=1),
    "long after": timedelta(hours=1),
}
"""What the clock says when the click is stored, by how far that is from the deadline."""

Orders = tuple[str, str, str]

AWAKE: Orders = ("bell before the timer", "relay away until the end", "after the end")
ASLEEP: Orders = (
    "bell and timer in one task",
    "timer and bell in one task",
    "relay and workers away over the deadline",
)
AWAY: Orders = (
    "server away, click before",
    "server away, click in the outage",
    "server away, click after the deadline",
)
ORDERS = (*AWAKE, *ASLEEP, *AWAY)

FIRED = EventType.EVENT_TYPE_TIMER_FIRED


@dataclass(frozen=True)
class Case:
    """One run's click: in which order it comes with the timer, and what the clock says then."""

    order: str
    clock: str
    sent: Sent

    @property
    def at(self) -> datetime:
        """What the clock says."""
        return self.sent.deadline + CLOCKS[self.clock]


@dataclass(frozen=True)
class Seen:
    """What became of one case.

    Attributes:
        order: As it was planned.
        clock: As it was planned.
        as_planned: Whether it came to pass in this order: the machine may have been too slow for it.
        branches: Why the run left the wait, each time that it did.
        stamp: Of the click.
        asked: What the clock said.
        deadline: Of the wait.
        late: By how much it is recorded as late.
        decided_at: When the run left the wait.
        closed: How the workflow ended, and how the row did.
    """

    order: str
    clock: str
    as_planned: bool
    branches: tuple[str, ...]
    stamp: datetime
    asked: datetime
    deadline: datetime
    late: timedelta | None
    decided_at: datetime
    closed: tuple[str, str]

    @property
    def is_in_time(self) -> bool:
        """What the stamp says."""
        return self.stamp <= self.deadline


async def awake(served: Serving, within: timedelta) -> list[Seen]:
    """Play the orders that need a worker over the deadline."""
    async with served.working(runner=UnsandboxedWorkflowRunner()):
        cases = await _waiting(served, AWAKE, within)
        await _click(served, _of(cases, AWAKE[0]))
        await delivered(served)
        await _click(served, _of(cases, AWAKE[1]))
        in_time = host_clock()
        await ended(served, [case.sent.run_id for case in cases])
        await delivered(served)
        await _click(served, _of(cases, AWAKE[2]))
        await delivered(served)
        return await _seen(served, cases, {case.sent.run_id for case in cases if in_time < case.sent.deadline})


async def asleep(served: Serving, within: timedelta) -> list[Seen]:
    """Play the orders in which no worker is up over the deadline."""
    async with served.working(runner=UnsandboxedWorkflowRunner()):
        cases = await _waiting(served, ASLEEP, within)
        for case in cases:
            await has_event(served, case.sent.run_id, EventType.EVENT_TYPE_TIMER_STARTED)
    await _click(served, _of(cases, ASLEEP[0]))
    await delivered(served)
    for case in cases:
        await has_event(served, case.sent.run_id, FIRED)
    await _click(served, _of(cases, ASLEEP[1]))
    await delivered(served)
    as_planned = set()
    for case in cases:
        if case.order == ASLEEP[2] or await _in_one_task(served, case):
            as_planned.add(case.sent.run_id)
    await _click(served, _of(cases, ASLEEP[2]))
    async with served.working(runner=UnsandboxedWorkflowRunner()):
        await ended(served, [case.sent.run_id for case in cases])
        await delivered(served)
        return await _seen(served, cases, as_planned)


async def away(served: Serving, server: Server, within: timedelta) -> list[Seen]:
    """Play the orders in which the Temporal server is killed before the deadline and comes back after it."""
    async with served.working(runner=UnsandboxedWorkflowRunner()):
        cases = await _waiting(served, AWAY, within)
        await _click(served, _of(cases, AWAY[0]))
        server.kill()
        try:
            in_time = host_clock()
            await _click(served, _of(cases, AWAY[1]))
            over = max(case.sent.deadline for case in cases) + timedelta(milliseconds=100)
            await asyncio.sleep(max((over - host_clock()).total_seconds(), 0))
            await _click(served, _of(cases, AWAY[2]))
        finally:  # the worker does not end without it
            await asyncio.to_thread(server.start)
        await delivered(served)
        await ended(served, [case.sent.run_id for case in cases])
        return await _seen(served, cases, {case.sent.run_id for case in cases if in_time < case.sent.deadline})


async def _waiting(served: Serving, orders: Sequence[str], within: timedelta) -> list[Case]:
    """Return a run for each order, and each clock, all of them waiting."""
    yes = {"id": "yes", "type": "exit", "reason": "clicked"}
    no = {"id": "no", "type": "exit", "reason": "timed_out"}
    look = AWAIT_CLICK | {"within": f"PT{within.total_seconds()}S", "on_click": "yes", "on_timeout": "no"}
    served.world.journey(MAIL, look, yes, no)
    plan = [(order, clock) for order in orders for clock in CLOCKS]
    people = await asyncio.to_thread(served.world.people, [f"p{number}" for number in range(len(plan))])
    sent = await waiting_runs(served, people)
    return [Case(order, clock, each) for (order, clock), each in zip(plan, sent, strict=True)]


def _of(cases: Sequence[Case], order: str) -> list[Case]:
    return [case for case in cases if case.order == order]


async def _click(served: Serving, cases: Sequence[Case]) -> None:
    def all_of_them() -> None:
        for case in cases:
            click_at(served, case.sent.message_id, case.at)

    await asyncio.to_thread(all_of_them)


async def _in_one_task(served: Serving, case: Case) -> bool:
    """Whether the bell and the timer wait for the same workflow task, in the order that the case names."""
    history = await served.handle(case.sent.run_id).fetch_history()
    kinds = [event.event_type for event in history.events]
    signalled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    if signalled not in kinds or FIRED not in kinds:
        return False
    first, second = kinds.index(signalled), kinds.index(FIRED)
    if case.order == ASLEEP[1]:
        first, second = second, first
    return first < second and EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED not in kinds[first:]


async def _seen(served: Serving, cases: Sequence[Case], as_planned: set[UUID]) -> list[Seen]:
    ids = [case.sent.run_id for case in cases]
    left: dict[UUID, list[Any]] = {}
    for move in sorted(rows_of(served, moves, ids), key=lambda row: int(row.number)):
        if move.from_step == "look":
            left.setdefault(move.run_id, []).append(move)
    clicks = {row.run_id: row for row in rows_of(served, events, ids)}
    seen = []
    for case in cases:
        moved, click = left[case.sent.run_id], clicks[case.sent.run_id]
        late = click.late_microseconds
        end = await served.handle(case.sent.run_id).result()
        row = served.world.row(case.sent.run_id)
        seen.append(
            Seen(
                case.order,
                case.clock,
                case.sent.run_id in as_planned,
                tuple(move.why_kind for move in moved),
                click.at,
                case.at,
                case.sent.deadline,
                None if late is None else timedelta(microseconds=late),
                moved[0].at,
                (str(end["reason"]), str(row.reason)),
            )
        )
    return seen


# -- the line -----------------------------------------------------------------------------------------------------


MORE_ROUNDS = 4
"""How often those orders are tried once more, with longer waits, for which a machine was too slow."""


async def _play(ring: Ring, rounds: int, within: timedelta) -> list[Seen]:
    """Play every order with every clock, on the installation's server and on one that is killed in every round."""
    seen: list[Seen] = []
    with TemporaryDirectory(prefix="wend-chaos-") as directory, Server(Path(directory)) as dying:
        for number in range(rounds + MORE_ROUNDS):
            wanted: Sequence[Orders] = (AWAKE, ASLEEP, AWAY)
            if number >= rounds:
                late = {order for order, _ in _missing(seen)}
                wanted = [orders for orders in wanted if not late.isdisjoint(orders)]
                within *= 2
            if not wanted:
                break
            if time.monotonic() > ring.deadline:
                raise OutOfTime("the ring's time is up")
            played = await _play_once(ring, wanted, dying, within)
            for each in played:
                if each.as_planned:
                    ring.site.faults.write(each.order)
            seen += played
            ring.say(f"{number + 1}/{rounds}")
    return seen


async def _play_once(ring: Ring, wanted: Sequence[Orders], dying: Server, within: timedelta) -> list[Seen]:
    """Play these orders at the same time, each group in a world of its own."""
    async with AsyncExitStack() as stack:
        worlds: dict[Orders, Serving] = {}
        for orders in wanted:
            url = await asyncio.to_thread(ring.site.another_database)
            address = dying.address if orders is AWAY else ring.site.temporal_address
            worlds[orders] = await stack.enter_async_context(piece(url, address))
        if AWAY in worlds:
            ring.site.faults.write("kill temporal")
        async with asyncio.TaskGroup() as group:  # where one breaks off, all end before their servers do
            playing = [group.create_task(_act(orders, served, dying, within)) for orders, served in worlds.items()]
        return [each for act in playing for each in act.result()]


async def _act(orders: Orders, served: Serving, dying: Server, within: timedelta) -> list[Seen]:
    """Return what these orders show: nothing, if their runs did not all wait at once."""
    try:
        if orders is AWAY:
            return await away(served, dying, within)
        return await (awake if orders is AWAKE else asleep)(served, within)
    except TooSlow:
        return []


def _missing(seen: Sequence[Seen]) -> set[tuple[str, str]]:
    """Return the orders that have not come to pass, with the clocks that they lack."""
    every = {(order, clock) for order in ORDERS for clock in CLOCKS}
    return every - {(each.order, each.clock) for each in seen if each.as_planned}


def run(ring: Ring) -> None:
    rounds, within = ring.pick((1, timedelta(seconds=5)), (ring.share(40), timedelta(seconds=4)))
    ring.planned(f"{rounds} × {len(ORDERS)} orders with {len(CLOCKS)} clocks each")
    with quiet():
        seen = asyncio.run(_play(ring, rounds, within))
    _judge(ring, seen)


def _judge(ring: Ring, seen: Sequence[Seen]) -> None:
    ring.count("runs", len(seen))
    missing = _missing(seen)
    ring.check(
        "every order came to pass with every clock", not missing, f"{len(missing)} did not: {sorted(missing)[:3]}"
    )
    torn = [each for each in seen if len(each.branches) != 1 or each.closed[0] != each.closed[1]]
    ring.check("one branch only, and the workflow took the same", not torn, f"{len(torn)} of {len(seen)}: {torn[:1]}")
    wrong = [each for each in seen if each.branches != (("clicked",) if each.is_in_time else ("timed_out",))]
    ways = Counter(each.branches for each in seen)
    ring.check(
        "the branch is the one that the stamp says", not wrong, f"{len(wrong)} wrong of {dict(ways)}: {wrong[:1]}"
    )
    amiss = [each for each in seen if each.late != (None if each.is_in_time else each.stamp - each.deadline)]
    late = sum(each.late is not None for each in seen)
    ring.check(
        "late clicks are recorded as late, and by how much", not amiss, f"{len(amiss)} amiss of {late}: {amiss[:1]}"
    )
    misstamped = [each for each in seen if not _is_stamped_as_it_should(each)]
    ring.check(
        "a click has its clock's stamp, or one after the decision that it missed",
        not misstamped,
        f"{len(misstamped)} amiss: {misstamped[:1]}",
    )


def _is_stamped_as_it_should(each: Seen) -> bool:
    """Whether the stamp is the clock's own, unless a decision had been made that is not before it."""
    return each.stamp == each.asked or (each.asked <= each.decided_at < each.stamp)


LINE = Line("deadline", "clicks around their deadlines, in every order with the timer, over outages too", run)
