"""Pausing, moving and taking out at once with everything else: what was answered holds, and no deadlock is met."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend.channels.port import NotAccepted
from wend.events.recording import IncomingEvent
from wend.journeys.results import Park
from wend.lifecycle.moving import Moving, move
from wend.lifecycle.taking_out import RunHasEnded, take_out_profile, take_out_run
from wend.runs.erasing import erase_profile
from wend.runs.ledger import Claim
from wend.storage.database import Database
from wend.storage.tables import moves, runs, sent_messages

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def world(postgres_database: Database) -> World:
    return World(postgres_database)


def at_once(*calls: Callable[[], object]) -> None:
    """Make all calls at once, each in a thread; whatever one raises is raised."""
    begun = Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        begun.wait()
        call()

    with ThreadPoolExecutor(len(calls)) as threads:
        for future in [threads.submit(run, call) for call in calls]:
            future.result()


def entered(world: World, count: int) -> tuple[list[UUID], list[UUID]]:
    people = world.people([f"p{number}" for number in range(count)], vip=True)
    return people, [world.enter(person) for person in people]


def test_after_the_answer_of_a_pause_nothing_is_claimed(world: World) -> None:
    world.journey(MAIL)
    _, waiting = entered(world, 40)
    after_the_answer: list[int] = []

    def claims(mine: Sequence[UUID]) -> Callable[[], None]:
        def claim() -> None:
            for run_id in mine:
                world.ledger.claim(run_id, 1, uuid4(), T0)

        return claim

    def pauses() -> None:
        world.pause()
        after_the_answer.append(len(world.rows(sent_messages)))

    at_once(pauses, *(claims(waiting[place::6]) for place in range(6)))

    assert [len(world.rows(sent_messages))] == after_the_answer
    held = {row.id for row in world.rows(runs, runs.c.held_at.is_not(None))}
    claimed = {row.run_id for row in world.rows(sent_messages)}
    assert held | claimed == set(waiting)
    assert not held & claimed
    world.resume()
    for run_id in held:
        world.advance(run_id)
        assert isinstance(world.claim(run_id), Claim)


def test_a_move_among_advances_moves_each_once_and_none_is_lost(world: World) -> None:
    world.journey(DAY, TEXT)
    _, inside = entered(world, 24)
    world.journey(DAY | {"for": "PT1H"}, TEXT)

    def moving() -> None:
        with world.database.write() as connection:
            assert move(connection, "trip", Moving(2), T0 + 2 * AN_HOUR).count == 24

    def advances(mine: Sequence[UUID]) -> Callable[[], None]:
        def advance() -> None:
            for run_id in mine:
                world.advancer.advance(run_id, 1, T0 + 2 * AN_HOUR)

        return advance

    at_once(moving, *(advances(inside[place::4]) for place in range(4)))

    for run_id in inside:
        world.advance(run_id, now=T0 + 2 * AN_HOUR)
    assert {(row.version, row.step, row.held_at) for row in world.rows(runs)} == {(2, "text", None)}
    assert len(world.rows(moves, moves.c.why_kind == "moved_in")) == 24
    for run_id in inside:
        assert [move.number for move in world.path(run_id).moves] == [1, 2, 3, 4]
    for version in (None, 1, 2):
        world.figures(version=version)


def test_taking_people_out_among_clicks_and_advances(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK | {"on_click": "day"}, DAY)
    people, inside = entered(world, 24)
    for run_id in inside:
        world.send(run_id)

    def take_out() -> None:
        for place, (person, run_id) in enumerate(zip(people, inside, strict=True)):
            with world.database.write() as connection:
                if place % 2:
                    take_out_profile(connection, person, T0)
                else:
                    take_out_run(connection, run_id, T0)
        with world.database.write() as connection, pytest.raises(RunHasEnded):
            take_out_run(connection, inside[0], T0)

    def clicks() -> None:
        for run_id in reversed(inside):
            world.click(run_id)

    def advances() -> None:
        for run_id in inside:
            world.advancer.advance(run_id, 2, T0)

    at_once(take_out, clicks, advances)

    assert world.figures().outcomes == {"exited: taken_out": 24}
    assert world.figures().clicks == {"counted": 24}


def test_no_deadlock_between_stops_moves_deletions_and_events_of_many(world: World) -> None:
    """Who stores events or deletes a person holds no lock of the journey; all of them take runs by their ids.

    A deadlock, or a batch of events that writes runs in its own order, would raise Unavailable in one of them.
    """
    look = {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P9D"}
    for key in ("trip", "tour"):
        world.journey(look, key=key, reentry={"still_inside": "overlap"})
    people = world.people([f"p{number}" for number in range(24)])
    for person in people:
        for key in ("trip", "tour", "trip"):
            world.enter(person, key)
    world.journey(look | {"within": "P8D"}, key="trip", reentry={"still_inside": "overlap"})
    versions = [2, 1]

    def events(order: int) -> Callable[[], None]:
        def record() -> None:
            for _ in range(8):
                world.events.record([IncomingEvent(str(uuid4()), each, "bought") for each in people[6:][::order]])

        return record

    def moving() -> None:
        for number in range(8):
            with world.database.write() as connection:
                move(connection, "trip", Moving(versions[number % 2]), T0)
        world.stop("tour")
        world.stop("trip")

    def deletes() -> None:
        for person in people[:6]:
            with world.database.write() as connection:
                erase_profile(connection, person, T0)

    at_once(events(1), events(-1), moving, deletes)

    for key in ("trip", "tour"):
        assert world.figures(key).inside == 0


def test_no_deadlock_between_a_stop_and_a_deletion_with_a_send_to_be_tried_again(world: World) -> None:
    """One wrote the message and then the run, the other the run and then the message."""
    for number in range(4):
        key = f"trip-{number}"
        world.journey(MAIL, key=key)
        people = world.people([f"p{number}-{place}" for place in range(8)])
        for person in people:
            world.send(world.enter(person, key), NotAccepted("busy", "later"))

        def deletes(people: list[UUID] = people) -> None:
            for person in people:
                with world.database.write() as connection:
                    erase_profile(connection, person, T0)

        at_once(deletes, lambda key=key: world.stop(key))  # type: ignore[misc]
    assert {row.state for row in world.rows(sent_messages)} == {"refused"}


def test_a_held_run_that_is_asked_by_many_at_once_goes_on_once(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.pause()
    assert isinstance(world.claim(run_id).plan, Park)  # type: ignore[union-attr]
    sequence = world.row(run_id).sequence
    at_once(world.resume, *[lambda: world.advancer.advance(run_id, sequence, T0) for _ in range(4)])
    world.advance(run_id)
    assert world.row(run_id).sequence == sequence + 1
