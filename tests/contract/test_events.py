"""Events are stored, stamped and announced in one transaction; their stamps alone decide."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest

from tests.support.world import AWAIT_CLICK, DAY, LINK, MAIL, ONE_MICROSECOND, T0, TEXT, World
from wend.errors import NotFound
from wend.events.recording import IncomingEvent
from wend.journeys.results import Park
from wend.profiles import store as profile_store
from wend.storage.database import Database
from wend.storage.tables import events, outbox

A_DAY = timedelta(days=1)
A_MINUTE = timedelta(minutes=1)
BRANCHES = AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}
BOUGHT = {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P1D"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


# -- 3: stamps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "stamp"),
    [
        (-5 * A_MINUTE, ONE_MICROSECOND),
        (-ONE_MICROSECOND, ONE_MICROSECOND),
        (timedelta(0), ONE_MICROSECOND),
        (ONE_MICROSECOND, ONE_MICROSECOND),
        (5 * A_MINUTE, 5 * A_MINUTE),
    ],
    ids=["far behind", "just behind", "the same", "just ahead", "far ahead"],
)
def test_a_stamp_is_the_later_of_the_clock_and_the_last_decision(
    world: World, clock: timedelta, stamp: timedelta
) -> None:
    world.journey(MAIL, AWAIT_CLICK)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id)
    world.now = T0 + clock

    world.click(run_id)

    assert world.path(run_id).clicks[0].at == T0 + stamp
    assert world.happen(ada, "bought").at == T0 + stamp


def test_a_click_that_is_stored_after_the_timeout_was_decided_is_late_whatever_the_clock_says(world: World) -> None:
    """The clock of whoever stored it was an hour slow: by its own word the click was in time."""
    world.journey(MAIL, BRANCHES, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.advance(run_id, 2, T0 + A_DAY)
    world.now = T0 + A_DAY - timedelta(hours=1)

    click = world.click(run_id)

    assert click.destination == "https://example.com/a"
    assert click.late_by == ONE_MICROSECOND
    assert world.steps(run_id)[-1] == ("exit", "timed_out")
    assert world.figures().clicks == {"late": 1}


@pytest.mark.parametrize(
    ("after_the_deadline", "goes_on_by"),
    [
        (timedelta(milliseconds=-1), "clicked"),
        (-ONE_MICROSECOND, "clicked"),
        (timedelta(0), "clicked"),
        (ONE_MICROSECOND, "timed_out"),
        (timedelta(milliseconds=1), "timed_out"),
    ],
)
@pytest.mark.parametrize("asked_after", [timedelta(0), timedelta(hours=3)], ids=["at once", "after an outage"])
def test_the_stamp_decides_and_not_the_moment_of_waking(
    world: World, after_the_deadline: timedelta, goes_on_by: str, asked_after: timedelta
) -> None:
    world.journey(MAIL, BRANCHES, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    clicked_at = world.later(A_DAY + after_the_deadline)

    click = world.click(run_id)
    world.advance(run_id, 2, max(clicked_at, T0 + A_DAY) + asked_after)

    assert world.steps(run_id)[2][1] == goes_on_by
    assert click.late_by == (after_the_deadline if goes_on_by == "timed_out" else None)


def test_clocks_that_disagree_by_more_than_a_second_are_an_alarm(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.journey(DAY)
    ada = world.person("ada")
    world.enter(ada)
    world.now = T0 - timedelta(seconds=1)
    world.happen(ada, "bought")
    assert "clocks disagree" not in capsys.readouterr().out

    world.now = T0 - timedelta(seconds=1.5)
    world.happen(ada, "bought")

    said = capsys.readouterr().out
    assert "clocks disagree" in said
    assert "behind_by_seconds=1.5" in said


def test_the_senders_own_time_is_kept_and_decides_nothing(world: World) -> None:
    world.journey(BOUGHT)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.later(2 * A_DAY)
    long_ago = T0 + A_MINUTE

    world.events.record([IncomingEvent("e1", ada, "bought", occurred_at=long_ago)])
    world.advance(run_id)

    (stored,) = world.rows(events)
    assert (stored.occurred_at, stored.at) == (long_ago, T0 + 2 * A_DAY)
    assert world.steps(run_id)[-1] == ("exit", "timed_out")


def test_what_happens_at_the_instant_of_arrival_counts(world: World) -> None:
    """It is stored after the arrival was decided, so it is stamped after it; what came before it does not count."""
    world.journey(BOUGHT)
    ada = world.person("ada")
    world.happen(ada, "bought")
    run_id = world.enter(ada)
    assert isinstance(world.advance(run_id).plan, Park)

    world.happen(ada, "bought")
    world.advance(run_id)

    assert world.steps(run_id)[-1] == ("exit", "happened")


# -- clicks -------------------------------------------------------------------------------------------------------


def test_a_click_before_the_wait_counts(world: World) -> None:
    world.journey(MAIL, DAY, BRANCHES, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.click(run_id)

    world.advance(run_id, 2, T0 + A_DAY)

    assert world.steps(run_id)[-1] == ("text", "clicked")


def test_a_click_while_the_provider_still_answers_counts(world: World) -> None:
    """The mail is there before the outcome is written: the claim, with the links, was committed before the call."""
    world.journey(MAIL, BRANCHES, TEXT)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    assert world.click(run_id).counted

    world.settle(claim)

    assert world.steps(run_id)[-1] == ("text", "clicked")


@pytest.mark.parametrize(
    ("number", "note", "clicks"), [(2, None, {"counted": 1}), (1, "head", {"head": 1}), (1, "bot", {"bot": 1})]
)
def test_another_link_and_a_machine_change_nothing(
    world: World, number: int, note: str | None, clicks: dict[str, int]
) -> None:
    world.journey(MAIL, AWAIT_CLICK)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.deliver_nothing()

    click = world.click(run_id, number, note)

    assert click.counted is (note is None)
    assert world.waiting("wake_run") == []
    assert isinstance(world.advance(run_id).plan, Park)
    assert world.figures().clicks == clicks


def test_a_click_from_another_run_of_the_same_person_changes_nothing(world: World) -> None:
    for key in ("trip", "tour"):
        world.journey(MAIL, AWAIT_CLICK, key=key)
    ada = world.person("ada")
    trip, tour = world.enter(ada, "trip"), world.enter(ada, "tour")
    for run_id in (trip, tour):
        world.send(run_id)
    world.deliver_nothing()

    world.click(tour)

    assert world.waiting("wake_run") == [str(tour)]
    assert isinstance(world.advance(trip).plan, Park)


def test_two_clicks_are_one_wake_and_one_move(world: World) -> None:
    world.journey(MAIL, BRANCHES, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.deliver_nothing()

    world.click(run_id)
    world.click(run_id)

    assert world.waiting("wake_run") == [str(run_id)]
    world.advance(run_id)
    world.advance(run_id)
    assert [why for _, why in world.steps(run_id)] == ["entered", "message_settled", "clicked"]
    assert world.figures().clicks == {"counted": 2}


def test_a_click_after_the_end_redirects_and_wakes_nobody(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.deliver_nothing()

    assert world.click(run_id).destination == "https://example.com/a"
    assert world.waiting("wake_run") == []


def test_a_click_of_a_deleted_person_redirects(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id)
    with world.database.write() as connection:
        profile_store.delete(connection, ada)

    assert world.click(run_id).destination == "https://example.com/a"
    world.advance(run_id)
    assert world.row(run_id).reason == "profile_deleted"


def test_a_link_that_was_never_sent_is_not_found(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    with pytest.raises(NotFound):
        world.click(run_id, number=3)
    with pytest.raises(NotFound):
        world.events.record_click(uuid4(), 1, None)
    assert world.rows(events) == []


def test_the_link_that_was_clicked_is_on_the_path(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.click(run_id)
    world.advance(run_id)
    path = world.path(run_id)
    assert path.moves[-1].why["link"] == LINK
    assert path.moves[-1].why["event_id"] == str(path.clicks[0].id)


# -- events -------------------------------------------------------------------------------------------------------


def test_the_same_event_again_changes_nothing(world: World) -> None:
    world.journey(BOUGHT)
    ada = world.person("ada")
    run_id = world.enter(ada)
    first = world.happen(ada, "bought", "order-7")
    world.advance(run_id)
    world.deliver_nothing()
    world.later(A_MINUTE)

    again = world.happen(ada, "bought", "order-7")

    assert (again.id, again.at, again.new) == (first.id, first.at, False)
    assert first.new
    assert len(world.rows(events)) == 1
    assert world.waiting("wake_run") == []


def test_the_same_event_twice_in_one_batch_is_one(world: World) -> None:
    ada = world.person("ada")
    one, other = world.events.record([IncomingEvent("e1", ada, "bought"), IncomingEvent("e1", ada, "bought")])
    assert (one.id, one.new, other.new) == (other.id, True, False)


def test_the_same_event_from_many_at_once_is_one(world: World) -> None:
    world.journey(BOUGHT)
    ada = world.person("ada")
    world.enter(ada)
    world.deliver_nothing()
    begun = Barrier(6)

    def tell(_: int) -> bool:
        begun.wait()
        return world.happen(ada, "bought", "order-7").new

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(tell, range(6))) == [False] * 5 + [True]
    assert len(world.rows(events)) == 1
    assert len(world.waiting("wake_run")) == 1


def test_a_batch_is_stored_as_a_whole_or_not_at_all(world: World) -> None:
    ada = world.person("ada")
    with pytest.raises(NotFound):
        world.events.record([IncomingEvent("e1", ada, "bought"), IncomingEvent("e2", uuid4(), "bought")])
    assert world.rows(events) == []


def test_an_event_wakes_every_run_that_listens_and_no_other(world: World) -> None:
    world.journey(BOUGHT, key="trip")
    world.journey(BOUGHT, key="tour")
    world.journey(BOUGHT | {"event": "left"}, key="other")
    ada, ben = world.person("ada"), world.person("ben")
    listening = {str(world.enter(ada, "trip")), str(world.enter(ada, "tour"))}
    world.enter(ada, "other")
    world.enter(ben, "trip")
    world.deliver_nothing()

    world.happen(ada, "bought")

    assert set(world.waiting("wake_run")) == listening


def test_a_bell_is_rung_again_after_the_next_decision(world: World) -> None:
    """While one is on its way a second is not needed; after a decision the run may need a new one."""
    condition = {"attribute": "price", "op": "gt", "value": 10}
    world.journey(BOUGHT | {"where": [condition]})
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.deliver_nothing()
    world.happen(ada, "bought", properties={"price": 5})
    world.happen(ada, "bought", properties={"price": 6})
    assert world.waiting("wake_run") == [str(run_id)]
    assert isinstance(world.advance(run_id).plan, Park)
    world.deliver_nothing()

    world.happen(ada, "bought", properties={"price": 11})

    assert world.waiting("wake_run") == [str(run_id)]
    world.advance(run_id)
    assert world.steps(run_id)[-1] == ("exit", "happened")


def test_what_travels_to_temporal_names_the_event_and_tells_nothing_of_it(world: World) -> None:
    world.journey(BOUGHT)
    ada = world.person("ada")
    world.enter(ada)
    world.deliver_nothing()

    event = world.happen(ada, "bought", "canary-key", {"what": "canary-value"})

    (row,) = world.rows(outbox, outbox.c.kind == "wake_run")
    assert row.payload == {"event_id": str(event.id), "name": "bought"}
