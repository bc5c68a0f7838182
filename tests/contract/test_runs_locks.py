"""Locks before reads: whatever happens at once happens one after the other, and nothing is missed between."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.support.queueing import Queue
from tests.support.world import DAY, MAIL, T0, TEXT, World
from wend.journeys.results import Finish, Park, Send
from wend.runs.decide import Answer
from wend.runs.ledger import Claim
from wend.storage.database import Database, lock_journey, lock_profile
from wend.storage.tables import events, journeys, runs, sent_messages

A_DAY = timedelta(days=1)
BOUGHT = {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P1D", "since": "entry"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@contextmanager
def held(
    world: World, *, profile: UUID | None = None, journey: str | None = None, share: bool = False
) -> Iterator[Queue]:
    """Hold a lock for the length of the block; who queues up behind it goes on afterwards, in order."""
    with ThreadPoolExecutor() as threads, world.database.write() as connection:
        if journey is not None:
            lock_journey(connection, journey, share=share)
        if profile is not None:
            lock_profile(connection, profile)
        yield Queue(world.database, threads)


@pytest.mark.parametrize("first", ["the park", "the event"])
def test_no_park_and_event_miss_each_other(world: World, first: str) -> None:
    world.journey(DAY, BOUGHT, TEXT)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.later(A_DAY)
    world.deliver_nothing()

    with held(world, profile=ada) as queue:
        calls: list[Callable[[], object]] = [lambda: world.advance(run_id, 1), lambda: world.happen(ada, "bought")]
        for call in calls if first == "the park" else reversed(calls):
            queue.add(call)

    rung = world.waiting("wake_run")
    plan = world.advance(run_id).plan
    assert isinstance(plan, Send)
    assert world.steps(run_id)[-1] == ("text", "happened")
    # Either the event saw the park and rings, or the advance saw the event and needs no bell.
    assert rung == ([str(run_id)] if first == "the park" else [])


def test_two_advances_at_once_move_once_and_answer_the_same(world: World) -> None:
    world.journey(DAY, TEXT)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.later(A_DAY)

    with held(world, profile=ada) as queue:
        answers = [queue.add(lambda: world.advance(run_id, 1)) for _ in range(2)]

    one, other = (future.result() for future in answers)
    assert isinstance(one, Answer)
    assert isinstance(other, Answer)
    assert (one.plan, one.sequence) == (other.plan, other.sequence)
    assert [step for step, _ in world.steps(run_id)] == ["day", "text"]


def test_two_claims_at_once_are_one_claim(world: World) -> None:
    """The second one takes the first for dead, and the first one's outcome settles the ledger and moves nothing."""
    world.journey(MAIL, DAY)
    ada = world.person("ada")
    run_id = world.enter(ada)

    with held(world, profile=ada) as queue:
        first, second = (queue.add(lambda: world.claim(run_id, held=1)) for _ in range(2))

    claim = first.result()
    assert isinstance(claim, Claim)
    assert isinstance(second.result(), Answer)
    assert [row.state for row in world.rows(sent_messages)] == ["uncertain"]
    settled = world.settle(claim)
    assert isinstance(settled, Answer)
    assert isinstance(settled.plan, Park)
    assert [(row.state, row.tries) for row in world.rows(sent_messages)] == [("accepted", 1)]
    assert world.steps(run_id) == [("mail", "entered"), ("day", "message_settled")]


def test_a_claim_behind_a_stop_finds_the_end(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))

    with held(world, journey="trip") as queue:
        stopped = queue.add(world.stop)
        claim = queue.add(lambda: world.claim(run_id, held=1))

    assert stopped.result()
    answer = claim.result()
    assert isinstance(answer, Answer)
    assert answer.plan == Finish("stopped", "stopped")
    assert world.rows(sent_messages) == []


def test_a_stop_behind_a_claim_lets_the_provider_answer_and_the_run_end(world: World) -> None:
    world.journey(MAIL, DAY)
    ada = world.person("ada")
    run_id = world.enter(ada)

    with held(world, profile=ada) as queue:
        claiming = queue.add(lambda: world.claim(run_id, held=1))
        stopping = None if world.database.dialect == "sqlite" else queue.add(world.stop)

    claim = claiming.result()
    assert isinstance(claim, Claim)
    assert stopping.result() if stopping else world.stop()
    answer = world.settle(claim)
    assert isinstance(answer, Answer)
    assert answer.plan == Finish("stopped", "stopped")
    assert [row.state for row in world.rows(sent_messages)] == ["accepted"]
    assert world.figures().outcomes == {"stopped": 1}


def test_a_claim_behind_a_pause_is_held(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))

    with held(world, journey="trip") as queue:
        paused = queue.add(world.pause)
        claim = queue.add(lambda: world.claim(run_id, held=1))

    assert paused.result()
    answer = claim.result()
    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)
    assert answer.plan.held
    assert world.rows(sent_messages) == []


def test_a_pause_behind_a_claim_is_answered_once_that_is_committed(world: World) -> None:
    world.journey(MAIL, TEXT)
    ada = world.person("ada")
    run_id = world.enter(ada)

    with held(world, profile=ada) as queue:
        claiming = queue.add(lambda: world.claim(run_id, held=1))
        pausing = None if world.database.dialect == "sqlite" else queue.add(world.pause)

    claim = claiming.result()
    assert isinstance(claim, Claim)
    assert pausing.result() if pausing else world.pause()
    answer = world.settle(claim)
    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)
    assert [(row.step, row.state) for row in world.rows(sent_messages)] == [("mail", "accepted")]


def test_after_the_answer_of_a_stop_nothing_is_claimed(world: World) -> None:
    """A stop among claims at full rate comes through, and what it answers is the end of them."""
    world.journey(MAIL)
    waiting = [world.enter(person) for person in world.people([f"p{number}" for number in range(32)])]
    begun = Barrier(5)

    def claim_on(mine: list[UUID]) -> None:
        begun.wait()
        for run_id in mine:
            world.ledger.claim(run_id, 1, uuid4(), T0)

    with ThreadPoolExecutor() as threads:
        claiming = [threads.submit(claim_on, waiting[place::4]) for place in range(4)]
        begun.wait()
        world.stop()
        after_the_answer = len(world.rows(sent_messages))
        for future in claiming:
            future.result()

    assert len(world.rows(sent_messages)) == after_the_answer
    assert world.figures().outcomes == {"stopped": 32}


def test_decisions_do_not_overtake_a_stop_that_waits(world: World) -> None:
    """A row lock that many share starves who wants it alone: each newcomer joins those that have it."""
    world.journey(DAY)
    run_id = world.enter(world.person("ada"))

    with held(world, journey="trip", share=True) as queue:
        stopped = queue.add(world.stop)
        answer = queue.add(lambda: world.advance(run_id, 1))

    assert stopped.result()
    advanced = answer.result()
    assert isinstance(advanced, Answer)
    assert advanced.plan == Finish("stopped", "stopped")


def test_who_waited_for_a_journeys_lock_reads_what_was_written_meanwhile(world: World) -> None:
    world.journey(DAY)

    def state() -> str:
        with world.database.write() as connection:
            journey = lock_journey(connection, "trip")
        assert journey is not None
        return str(journey.state)

    with ThreadPoolExecutor() as threads:
        with world.database.write() as connection:
            lock_journey(connection, "trip", share=False)
            connection.execute(sa.update(journeys).values(state="closed"))
            read = Queue(world.database, threads).add(state)
        assert read.result() == "closed"


def test_everything_at_once_meets_no_deadlock(world: World) -> None:
    """Locks come in one order: journey, profile, runs by id. A deadlock would raise Unavailable in one of them."""
    for key in ("trip", "tour"):
        world.journey(DAY, BOUGHT, key=key)
    people = world.people([f"p{number}" for number in range(12)])
    entered = {key: [world.enter(person, key) for person in people] for key in ("trip", "tour")}
    begun = Barrier(6)
    rounds = range(15)

    def in_step(call: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            begun.wait()
            for number in rounds:
                call(number)

        return run

    every = [*entered["trip"], *entered["tour"]]
    calls = [
        in_step(lambda number: world.advancer.advance(every[number], 1, T0)),
        in_step(lambda number: world.advancer.advance(every[-number], 1, T0 + A_DAY)),
        in_step(lambda number: world.happen(people[number % 12], "bought", f"a{number}")),
        in_step(lambda number: world.happen(people[-number % 12], "bought", f"b{number}")),
        in_step(lambda number: world.starter.mark_started(every[::-1], T0)),
        in_step(lambda number: world.stop("tour") if number == 7 else world.figures("tour")),
    ]
    with ThreadPoolExecutor() as threads:
        for future in [threads.submit(call) for call in calls]:
            future.result()

    assert len(world.rows(events)) == 2 * len(rounds)
    assert sum(world.figures("tour").outcomes.values()) == 12


def test_decisions_of_one_journey_do_not_wait_for_each_other(postgres_database: Database) -> None:
    """Two transactions of one journey are open at once: neither writes a row that the other needs."""
    world = World(postgres_database)
    world.journey(MAIL, DAY)
    ada, ben = world.people(["ada", "ben"])
    runs_of = {person: world.enter(person) for person in (ada, ben)}

    with postgres_database.write() as connection, ThreadPoolExecutor() as threads:
        lock_journey(connection, "trip")
        lock_profile(connection, ada)
        connection.execute(sa.update(runs).where(runs.c.id == runs_of[ada]).values(woken=True))
        answer = threads.submit(world.send, runs_of[ben]).result(timeout=60)

    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)
