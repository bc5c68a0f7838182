"""How fast profiles start is written down: it holds over entries, journeys and everybody who starts them."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest

from tests.support.world import DAY, T0, World
from wend.entries.pacing import Hold
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.versions import Versions
from wend.runs.starting import BATCH, CLAIM_LASTS, Starter
from wend.storage.database import Database
from wend.storage.tables import paces, runs

A_SECOND = timedelta(seconds=1)
AN_HOUR = timedelta(hours=1)
EVERY_DAY = {
    "segment": "everybody",
    "frequency": "repeating",
    "schedule": {"start": {"at": "2026-12-01T09:00"}, "every": "day"},
}
OVERLAPPING = {"still_inside": "overlap"}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    return world


def opened(world: World, members: int, key: str = "trip", day: int = 0, **entry: Any) -> UUID:
    """Publish a journey with this entry, and open it for an occurrence."""
    world.people([f"p{number}" for number in range(members)], member=True)
    world.journey(DAY, key=key, entry=EVERY_DAY | entry, reentry=OVERLAPPING, time_zone="Europe/Paris")
    return occurrence(world, key, day)


def occurrence(world: World, key: str = "trip", day: int = 0) -> UUID:
    at = T0 + timedelta(days=day)
    entry = world.desk.open(key, Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), at)
    assert entry is not None
    return entry.id


def start(starter: Starter, entry_id: UUID, now: datetime, limit: int = BATCH) -> int:
    orders = starter.claim(entry_id, now, limit)
    if orders:
        starter.mark_started([order.run_id for order in orders], now)
    return len(orders)


def start_as_told(starter: Starter, entries: Sequence[UUID], now: datetime) -> list[tuple[datetime, UUID, int]]:
    """Start all runs of some entries, each claim as soon as it is told that it may be made."""
    starts = []
    waiting = dict.fromkeys(entries, now)
    while waiting:
        entry_id = min(waiting, key=lambda each: waiting[each])
        at = waiting[entry_id]
        if count := start(starter, entry_id, at):
            starts.append((at, entry_id, count))
        elif (hold := starter.held(entry_id, at)) is None:
            del waiting[entry_id]
        else:
            waiting[entry_id] = max(hold.until, at + timedelta(milliseconds=1))
    return starts


def most_in_a_second(starts: Sequence[tuple[datetime, UUID, int]]) -> int:
    return max(sum(count for at, _, count in starts if begin <= at < begin + A_SECOND) for begin, _, _ in starts)


# -- rates --------------------------------------------------------------------------------------------------------


def test_two_fan_outs_of_one_journey_share_its_rate(world: World) -> None:
    first = opened(world, 50, rate="50/s")
    second = occurrence(world, day=1)

    starts = start_as_told(world.starter, [first, second], T0 + timedelta(days=1))

    assert sum(count for _, _, count in starts) == 100
    assert most_in_a_second(starts) <= 50 + 10  # and a fifth of a second's worth from before
    assert timedelta(seconds=1.7) <= starts[-1][0] - starts[0][0] <= timedelta(seconds=2.1)


def test_two_journeys_share_the_rate_of_the_installation(world: World) -> None:
    one, two = opened(world, 30, key="one"), opened(world, 30, key="two")
    starters = [Starter(world.database, Versions(), rate=40) for _ in range(2)]

    assert [start(starters[0], one, T0), start(starters[1], two, T0)] == [8, 0]
    hold = starters[1].held(two, T0)

    assert hold == Hold(T0 + timedelta(milliseconds=100), "the installation's rate of 40/s")
    starts = start_as_told(starters[1], [one, two], T0)
    assert most_in_a_second(starts) <= 40 + 8
    assert starts[-1][0] - T0 >= timedelta(seconds=1.2)


def test_a_high_rate_lets_batch_after_batch_through(world: World) -> None:
    entry_id = opened(world, 4 * BATCH, rate="5000/s")
    assert [start(world.starter, entry_id, T0) for _ in range(4)] == [BATCH] * 4


def test_starts_through_the_api_are_held_back_by_nothing(world: World) -> None:
    opened(world, 3, rate="1/s", ceiling={"per_day": 1})
    starter = Starter(world.database, Versions(), rate=1)
    runs_asked = [world.request(person) for person in world.people(["p0", "p1", "p2"], member=True)]
    assert all(starter.claim_one(run_id, T0) for run_id in runs_asked)
    assert world.rows(paces) == []


# -- ceilings -----------------------------------------------------------------------------------------------------


def test_a_ceiling_that_is_reached_says_so_and_when_the_next_window_begins(world: World) -> None:
    entry_id = opened(world, 5, ceiling={"per_day": 3})

    assert start(world.starter, entry_id, T0) == 3
    assert start(world.starter, entry_id, T0 + AN_HOUR) == 0

    midnight = T0 + timedelta(hours=14)  # in Paris
    why = "ceiling of 3 a day reached: goes on Wed 2 Dec 2026 00:00 CET"
    assert world.starter.held(entry_id, T0 + AN_HOUR) == Hold(midnight, why)
    assert start(world.starter, entry_id, midnight - timedelta(microseconds=1)) == 0
    assert start(world.starter, entry_id, midnight) == 2
    assert world.starter.held(entry_id, midnight) is None


def test_entries_of_one_journey_share_a_ceiling_and_those_of_another_do_not(world: World) -> None:
    first = opened(world, 4, ceiling={"per_hour": 6})
    second = occurrence(world, day=1)
    elsewhere = opened(world, 4, key="elsewhere", ceiling={"per_hour": 6})
    now = T0 + timedelta(days=1)
    assert [start(world.starter, each, now) for each in (first, second, elsewhere)] == [4, 2, 4]


def test_the_limits_are_those_of_the_version_that_the_entry_took(world: World) -> None:
    older = opened(world, 9, ceiling={"per_day": 2})
    newer = opened(world, 9, day=1, ceiling={"per_day": 5})
    now = T0 + timedelta(days=1)
    assert [start(world.starter, older, now), start(world.starter, newer, now)] == [2, 3]


def test_who_is_claimed_again_does_not_count_again(world: World) -> None:
    """Whoever claimed the first two died before anything was started."""
    entry_id = opened(world, 6, ceiling={"per_day": 4})
    died = {order.run_id for order in world.starter.claim(entry_id, T0, 2)}
    assert len(died) == 2

    later = T0 + CLAIM_LASTS
    taken = [order.run_id for order in world.starter.claim(entry_id, later)]

    assert len(taken) == 4
    assert set(taken[:2]) | set(taken[2:]) > died
    assert world.starter.claim(entry_id, later + CLAIM_LASTS - A_SECOND) == []
    assert len(world.starter.claim(entry_id, later + CLAIM_LASTS)) == 4  # all of them once more
    assert [row.day_count for row in world.rows(paces, paces.c.scope == "journey/trip")] == [4]


def test_a_dead_starters_claims_are_waited_for_although_the_ceiling_is_reached(world: World) -> None:
    """The fan-out must not sleep until tomorrow over a run that only has to be started again."""
    entry_id = opened(world, 6, ceiling={"per_day": 4})
    world.starter.claim(entry_id, T0)
    hold = world.starter.held(entry_id, T0 + A_SECOND)
    assert hold == Hold(T0 + 2 * A_SECOND, "somebody else starts the rest")


def test_nothing_is_left_of_a_fan_out_whose_journey_is_stopped_while_it_waits(world: World) -> None:
    entry_id = opened(world, 5, ceiling={"per_day": 3})
    start(world.starter, entry_id, T0)
    world.stop()
    assert world.starter.claim(entry_id, T0 + timedelta(days=1)) == []
    assert world.starter.held(entry_id, T0 + timedelta(days=1)) is None


def test_a_fan_out_whose_journey_is_closed_while_it_waits_goes_on(world: World) -> None:
    """They entered before the close; only nobody enters after it."""
    entry_id = opened(world, 5, ceiling={"per_day": 3})
    start(world.starter, entry_id, T0)
    world.close()
    assert start(world.starter, entry_id, T0 + timedelta(days=1)) == 2


# -- all at once --------------------------------------------------------------------------------------------------


def test_starters_at_once_exceed_neither_ceiling_nor_rate_and_lock_nobody_out(world: World) -> None:
    one = opened(world, 40, key="one", ceiling={"per_hour": 25})
    other = occurrence(world, "one", day=1)
    two = opened(world, 40, key="two", rate="150/s")
    now = T0 + timedelta(days=1)
    begun = Barrier(6)

    def claim_some(entry_id: UUID) -> int:
        starter = Starter(world.database, Versions(), rate=250)
        begun.wait()
        return sum(start(starter, entry_id, now, 7) for _ in range(8))

    with ThreadPoolExecutor(6) as threads:
        shares = list(threads.map(claim_some, [one, other, two] * 2))

    claimed = Counter(row.journey_key for row in world.rows(runs, runs.c.claimed_at.is_not(None)))
    assert sum(shares) == claimed.total() <= 50  # the installation's bucket
    assert claimed["one"] <= 25
    assert claimed["two"] <= 30
    counts = {row.scope: row.day_count for row in world.rows(paces)}
    assert (counts["journey/one"], counts["journey/two"]) == (claimed["one"], claimed["two"])
