"""Leaving by an event or by age, on events as they are stored; and what pauses and moves leave behind them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend.channels.port import Accepted, NotAccepted
from wend.journeys.results import Finish, Park, Send
from wend.lifecycle.moving import Moving, move
from wend.lifecycle.pausing import Pause, pause, resume
from wend.runs.erasing import erase_profile
from wend.storage.database import Database
from wend.storage.tables import journeys, sent_messages

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
BUSY = NotAccepted("busy", "later")
BOUGHT: dict[str, Any] = {"event": "bought", "reason": "is_customer"}
LARGE = BOUGHT | {"where": [{"attribute": "total", "op": "gte", "value": 100}]}
OURS = BOUGHT | {"where": [{"attribute": "order", "op": "eq", "value": {"property": "order"}}]}
LEFT = Finish("exited", "is_customer")
INSIST = MAIL | {"delivery": "at_least_once"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def states(world: World) -> list[tuple[str, str]]:
    rows = sorted(world.rows(sent_messages), key=lambda row: (row.claimed_at, row.step))
    return [(row.step, row.state) for row in rows]


def moved(world: World, to: int, **steps: str) -> None:
    with world.database.write() as connection:
        move(connection, "trip", Moving(to, steps=steps), world.now)


# -- by an event ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [DAY, AWAIT_CLICK], ids=["a wait", "a wait for a click"])
def test_the_event_wakes_whoever_waits_and_they_leave(world: World, step: dict[str, Any]) -> None:
    world.journey(MAIL, step, TEXT, exit_on=[BOUGHT])
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id)
    world.deliver_nothing()
    world.happen(ada, "looked")
    assert world.waiting("wake_run") == []
    world.happen(ada, "bought")
    assert world.waiting("wake_run") == [str(run_id)]
    assert world.advance(run_id).plan == LEFT
    assert world.figures().outcomes == {"exited: is_customer": 1}


def test_the_events_properties_are_looked_at(world: World) -> None:
    world.journey(DAY, exit_on=[LARGE])
    ada = world.person("ada")
    run_id = world.enter(ada)
    for total in (5, "500", None):
        world.happen(ada, "bought", properties={"total": total})
        assert isinstance(world.advance(run_id).plan, Park)
    world.happen(ada, "bought", properties={"total": 100})
    assert world.advance(run_id).plan == LEFT


def test_the_events_properties_are_compared_with_the_runs(world: World) -> None:
    world.journey(DAY, exit_on=[OURS], reentry={"still_inside": "overlap"})
    ada = world.person("ada")
    one, other = (world.enter(ada, properties={"order": number}) for number in (1, 2))
    world.happen(ada, "bought", properties={"order": 2})
    assert isinstance(world.advance(one).plan, Park)
    assert world.advance(other).plan == LEFT


def test_what_happened_before_the_entry_and_to_others_does_not_count(world: World) -> None:
    world.journey(DAY, exit_on=[BOUGHT])
    ada, ben = world.person("ada"), world.person("ben")
    world.happen(ada, "bought")
    run_id = world.enter(ada)
    world.happen(ben, "bought")
    assert isinstance(world.advance(run_id).plan, Park)


def test_who_leaves_while_a_provider_has_the_message_leaves_when_it_is_settled(world: World) -> None:
    world.journey(MAIL, TEXT, exit_on=[BOUGHT])
    ada = world.person("ada")
    run_id = world.enter(ada)
    claim = world.claimed(run_id)
    world.happen(ada, "bought")
    assert world.settle(claim).plan == LEFT  # type: ignore[union-attr]
    assert states(world) == [("mail", "accepted")]


def test_a_send_that_waits_to_be_tried_again_is_not_made_to_who_has_left(world: World) -> None:
    """The provider is away for an hour, and the person buys meanwhile: the next try asks before it sends."""
    world.journey(MAIL | {"once_per_address": "journey"}, exit_on=[BOUGHT])
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id, BUSY)
    world.happen(ada, "bought")
    world.later(AN_HOUR)
    assert world.claim(run_id).plan == LEFT  # type: ignore[union-attr]
    assert states(world) == [("mail", "refused")]
    assert [row.only_key for row in world.rows(sent_messages)] == [None]


def test_a_send_that_waits_to_be_tried_again_is_not_made_to_who_is_too_old(world: World) -> None:
    world.journey(MAIL, max_age="PT1H")
    run_id = world.enter(world.person("ada"))
    world.send(run_id, BUSY)
    world.later(AN_HOUR)
    assert world.claim(run_id).plan == Finish("exited", "max_age")  # type: ignore[union-attr]
    assert states(world) == [("mail", "refused")]


def test_a_send_that_is_tried_again_in_time_is_made(world: World) -> None:
    world.journey(MAIL, max_age="PT1H", exit_on=[BOUGHT])
    run_id = world.enter(world.person("ada"))
    world.send(run_id, BUSY)
    world.send(run_id)
    assert states(world) == [("mail", "accepted")]


def test_an_event_at_the_instant_of_a_click_is_the_stronger(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK, TEXT, exit_on=[BOUGHT])
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id)
    world.click(run_id)
    world.happen(ada, "bought")
    assert world.advance(run_id).plan == LEFT


# -- by age -----------------------------------------------------------------------------------------------------------


def test_nobody_is_inside_longer_than_the_greatest_age(world: World) -> None:
    world.journey(DAY | {"for": "P9D"}, max_age="P2D")
    run_id = world.enter(world.person("ada"))
    assert world.row(run_id).parked_until == T0 + 2 * A_DAY
    world.later(2 * A_DAY)
    assert world.advance(run_id).plan == Finish("exited", "max_age")


@pytest.mark.parametrize("waits", ["run", "freeze"])
def test_age_passes_during_a_pause_too(world: World, waits: Any) -> None:
    world.journey(MAIL, max_age="P2D")
    run_id = world.enter(world.person("ada"))
    world.pause(waits=waits)
    answer = world.claim(run_id)
    assert answer.plan.until == T0 + 2 * A_DAY  # type: ignore[union-attr]
    world.later(2 * A_DAY)
    assert world.advance(run_id).plan == Finish("exited", "max_age")
    assert world.row(run_id).held_at is None


# -- what is left behind ----------------------------------------------------------------------------------------------


def held_with_a_try(world: World, first: Any = BUSY, **more: Any) -> tuple[UUID, UUID]:
    """Have somebody held at a send that was tried before; return them and their run."""
    world.journey(MAIL | {"once_per_address": "journey"}, TEXT, **more)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id, first)
    world.pause()
    world.claim(run_id)
    assert states(world) == [("mail", "released")]
    return ada, run_id


def test_who_leaves_while_held_gives_the_address_free(world: World) -> None:
    """The send had been tried and not accepted; no attempt comes by any more to settle it."""
    ada, run_id = held_with_a_try(world, exit_on=[BOUGHT])
    world.happen(ada, "bought")
    assert world.advance(run_id).plan == LEFT
    assert [(row.state, row.reason, row.only_key) for row in world.rows(sent_messages)] == [
        ("refused", "run_went_on", None)
    ]


def test_whose_profile_is_deleted_while_held_leaves_no_send_open(world: World) -> None:
    ada, run_id = held_with_a_try(world)
    with world.database.write() as connection:
        erase_profile(connection, ada, world.now)
    assert world.advance(run_id).plan == Finish("exited", "profile_deleted")
    assert states(world) == [("mail", "refused")]


def test_a_send_that_was_tried_under_another_name_is_settled_when_the_run_goes_on(world: World) -> None:
    _, run_id = held_with_a_try(world)
    world.journey(MAIL | {"id": "greeting"}, TEXT)
    moved(world, 2, mail="greeting")
    world.resume()
    world.advance(run_id)
    assert states(world) == [("mail", "refused")]
    world.send(run_id)
    assert ("greeting", "accepted") in states(world)


def test_a_pause_does_not_free_what_another_attempt_may_have_sent(world: World) -> None:
    """An attempt is slow, the next one meets a pause; then the first one hears that the provider took the message."""
    world.journey(INSIST, TEXT)
    run_id = world.enter(world.person("ada"))
    slow = world.claimed(run_id)
    world.pause()
    assert isinstance(world.claim(run_id).plan, Park)  # type: ignore[union-attr]
    assert states(world) == [("mail", "claimed")]
    world.settle(slow, Accepted("r"))
    world.resume()
    assert isinstance(world.advance(run_id).plan, Send)
    assert world.claim(run_id).plan.message == "ping"  # type: ignore[union-attr]
    assert states(world) == [("mail", "accepted")]


def test_a_stop_settles_what_an_attempt_died_with_that_nobody_repeats(world: World) -> None:
    world.journey(INSIST)
    run_id = world.enter(world.person("ada"))
    world.claimed(run_id)
    world.pause()
    world.claim(run_id)
    world.stop()
    assert [(row.state, row.reason) for row in world.rows(sent_messages)] == [("uncertain", "attempt_lost")]


def test_a_step_that_takes_a_moved_ones_id_sends_its_own_message(world: World) -> None:
    """Ids of messages are made of a step and a visit: a new step of an old id must not find the old one's message."""
    world.journey(MAIL, DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.journey(MAIL | {"id": "first"}, DAY, MAIL, TEXT)
    moved(world, 2, mail="first")
    world.later(A_DAY)
    plan = world.advance(run_id).plan
    assert isinstance(plan, Send)
    assert (plan.step, plan.visit) == ("mail", 2)
    world.send(run_id)
    assert states(world) == [("mail", "accepted"), ("mail", "accepted")]
    assert world.row(run_id).step == "text"


def test_who_was_deleted_before_they_were_started_is_not_rung_for(world: World) -> None:
    """While the journey is paused their workflow does not come, and the bell would be tried for as long."""
    world.journey(DAY)
    world.pause(entries="queue")
    ada = world.person("ada")
    run_id = world.request(ada)
    with world.database.write() as connection:
        assert erase_profile(connection, ada, world.now) == 1
    assert world.waiting("wake_run") == []
    world.resume()
    assert world.starter.claim_one(run_id, world.now) is not None
    assert world.advance(run_id, 0).plan == Finish("exited", "profile_deleted")


def test_a_freeze_does_not_end_before_it_begins(world: World) -> None:
    """Two hosts whose clocks disagree: the one that resumes is behind the one that paused."""
    world.journey(DAY)
    run_id = world.enter(world.person("ada"))
    with world.database.write() as connection:
        pause(connection, "trip", Pause(waits="freeze"), T0 + 5 * AN_HOUR)
        resume(connection, "trip", T0 + 3 * AN_HOUR)
    world.later(4 * AN_HOUR)
    world.advance(run_id)
    assert world.row(run_id).parked_until == T0 + A_DAY
    (row,) = world.rows(journeys)
    assert [tuple(map(datetime.fromisoformat, each)) for each in row.freezes] == [(T0 + 5 * AN_HOUR,) * 2]


def test_a_stopped_journey_has_no_pause_and_nothing_to_go_on_at(world: World) -> None:
    world.journey(DAY)
    with world.database.write() as connection:
        pause(connection, "trip", Pause(), T0, resume_at=T0 + A_DAY)
    world.stop()
    (row,) = world.rows(journeys)
    assert (row.pause, row.resume_at) == (None, None)
