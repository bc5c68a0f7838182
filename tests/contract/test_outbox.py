"""The outbox is drained by marking: what is leased comes back, and nothing waits for clocks to agree."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from tests.support.world import DAY, T0, World
from wend import outbox
from wend.outbox import LEASE, Parcel
from wend.storage import tables
from wend.storage.database import Database

A_SECOND = timedelta(seconds=1)
A_DAY = timedelta(days=1)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def put(world: World, *subjects: str, hours: int = 0) -> None:
    with world.database.write() as connection:
        outbox.put_all(
            connection, "wake_run", [(subject, {"reason": "test"}) for subject in subjects], T0 + timedelta(hours=hours)
        )


def take(world: World, after: timedelta = timedelta(0), limit: int = 100) -> list[Parcel]:
    with world.database.write() as connection:
        due = outbox.anything_due(connection, T0 + after)
        found = outbox.take(connection, T0 + after, limit)
    assert due is bool(found)
    return found


def fail(world: World, parcel: Parcel, after: timedelta = timedelta(0)) -> None:
    with world.database.write() as connection:
        outbox.mark_failed(connection, parcel, "Temporal is away", T0 + after)


def due_after(world: World, parcel: Parcel) -> timedelta:
    (row,) = world.rows(tables.outbox, tables.outbox.c.id == parcel.id)
    return timedelta(seconds=(row.due_at - T0).total_seconds())


def test_what_was_put_together_is_taken_in_order(world: World) -> None:
    put(world, "a", "b", "c")
    first, second = take(world, limit=2)
    assert (first.subject, second.subject, first.attempts) == ("a", "b", 1)
    assert first.payload == {"reason": "test"}
    assert [parcel.subject for parcel in take(world)] == ["c"]


def test_what_nobody_ever_tried_is_due_whatever_the_clock_of_its_writer_said(world: World) -> None:
    """A click's bell was due five minutes later where the API's clock was five minutes ahead of the relay's."""
    put(world, "ahead", hours=7)
    assert [parcel.subject for parcel in take(world)] == ["ahead"]


def test_a_leased_row_is_nobody_elses_until_the_lease_is_over(world: World) -> None:
    put(world, "a")
    take(world)
    assert take(world, LEASE - A_SECOND) == []
    (again,) = take(world, LEASE)
    assert (again.subject, again.attempts) == ("a", 2)


def test_a_row_that_is_done_is_never_taken_again(world: World) -> None:
    put(world, "a", "b")
    taken = take(world)
    with world.database.write() as connection:
        outbox.mark_done(connection, [parcel.id for parcel in taken], T0)
        outbox.mark_done(connection, [], T0)
    assert take(world, A_DAY) == []


def test_a_row_that_failed_is_tried_later_and_later_and_for_ever(world: World) -> None:
    put(world, "a")
    now, pauses = timedelta(0), []
    for _ in range(12):
        (parcel,) = take(world, now)
        fail(world, parcel, now)
        pauses.append(due_after(world, parcel) - now)
        assert take(world, due_after(world, parcel) - A_SECOND / 10) == []
        now = due_after(world, parcel)

    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4)]
    assert pauses[-1] == timedelta(seconds=30)
    (row,) = world.rows(tables.outbox)
    assert row.error == "Temporal is away"


def test_a_row_that_failed_does_not_hold_up_the_others(world: World) -> None:
    put(world, "broken")
    (broken,) = take(world)
    fail(world, broken)
    put(world, "a", "b")
    assert [parcel.subject for parcel in take(world)] == ["a", "b"]


def test_relays_at_once_share_the_rows_without_overlap(world: World) -> None:
    put(world, *(str(number) for number in range(60)))
    begun = Barrier(4)

    def drain(_: int) -> list[str]:
        begun.wait()
        mine: list[str] = []
        while found := take_quietly(world, 7):
            mine += [parcel.subject for parcel in found]
        return mine

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(drain, range(4)))

    assert sorted(int(subject) for share in shares for subject in share) == list(range(60))


def take_quietly(world: World, limit: int) -> list[Parcel]:
    with world.database.write() as connection:
        return outbox.take(connection, T0, limit)


def test_old_deliveries_are_forgotten_and_what_waits_is_not(world: World) -> None:
    put(world, "delivered", "waits")
    delivered, _ = take(world)
    with world.database.write() as connection:
        outbox.mark_done(connection, [delivered.id], T0)
        assert outbox.prune(connection, T0) == 0
        assert outbox.prune(connection, T0 + A_SECOND) == 1
        assert outbox.waiting(connection) == (1, T0)


def test_a_start_is_promised_in_the_transaction_that_makes_the_run(world: World) -> None:
    world.journey(DAY)
    assert world.waiting("ensure_schedule") == ["trip"]
    run_id = world.request(world.person("ada"))
    assert world.waiting("start_run") == [str(run_id)]
