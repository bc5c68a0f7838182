"""Paused: nothing is claimed after the answer, nothing is lost meanwhile, and everybody goes on where they were."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend.channels.port import Accepted, NotAccepted
from wend.documents import parse_definition
from wend.journeys.occurrences import Occurrence
from wend.journeys.results import Park, Send
from wend.lifecycle.pausing import Pause, ResumesInThePast, pause, resume_due
from wend.lifecycle.publishing import IllegalTransition, put_draft
from wend.runs.decide import Answer
from wend.runs.instructing import instruct
from wend.storage.database import Database
from wend.storage.tables import audit, entries, exclusions, journeys, runs, sent_messages

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
CLUB = {"segment": "club", "schedule": {"start": {"at": "2026-12-01T09:00"}}}
EVERY_DAY = CLUB | {"frequency": "repeating", "schedule": CLUB["schedule"] | {"every": "day"}}  # type: ignore[operator]
JOINERS = CLUB | {"frequency": "once_and_joiners"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def is_held(world: World, run_id: UUID) -> bool:
    return world.row(run_id).held_at is not None


def wake_held(world: World) -> list[UUID]:
    """Have the held runs ask, as the relay has them woken."""
    held = [row.id for row in world.rows(runs, runs.c.held_at.is_not(None), runs.c.ended_at.is_(None))]
    for run_id in held:
        world.advance(run_id)
    return held


# -- sends ----------------------------------------------------------------------------------------------------------


def test_after_the_answer_no_send_is_claimed_until_the_journey_goes_on(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK, TEXT)
    run_id = world.enter(world.person("ada"))
    world.pause()

    answer = world.claim(run_id)

    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)
    assert answer.plan.held
    assert instruct(answer).summary == "is held (the journey is paused)"
    assert (world.rows(sent_messages), is_held(world, run_id)) == ([], True)
    world.later(400 * A_DAY)
    assert world.advance(run_id).plan == answer.plan  # asked again: it is held still
    world.resume()
    assert isinstance(world.advance(run_id).plan, Send)
    assert is_held(world, run_id) is False
    world.send(run_id)
    assert world.row(run_id).step == "look"


def test_a_send_that_a_provider_has_already_is_settled_and_the_next_one_is_held(world: World) -> None:
    world.journey(MAIL, TEXT)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    world.pause()

    answer = world.settle(claim, Accepted("r"))

    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)
    assert [row.state for row in world.rows(sent_messages)] == ["accepted"]
    world.resume()
    assert wake_held(world) == [run_id]
    world.send(run_id)
    assert world.row(run_id).state == "completed"
    assert len(world.rows(sent_messages)) == 2


def test_a_send_that_is_to_be_tried_again_is_tried_again_after_the_pause(world: World) -> None:
    world.journey(MAIL, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, NotAccepted("busy", "later"))
    world.pause()
    assert isinstance(world.claim(run_id), Answer)
    world.resume()
    wake_held(world)
    world.send(run_id)
    assert [row.state for row in world.rows(sent_messages)] == ["accepted"]


def test_a_claim_whose_answer_was_never_heard_is_free_again_after_the_pause(world: World) -> None:
    """The commit of the claim was lost on the way; the attempt asks once more, and the journey is paused by then."""
    world.journey(MAIL, TEXT)
    run_id = world.enter(world.person("ada"))
    attempt, held = uuid4(), world.row(run_id).sequence
    world.claimed(run_id, attempt)
    world.pause()
    assert isinstance(world.ledger.claim(run_id, held, attempt, world.now), Answer)
    assert [row.state for row in world.rows(sent_messages)] == ["released"]
    world.resume()
    wake_held(world)
    world.send(run_id)
    assert [(row.state, row.step) for row in world.rows(sent_messages)] == [("accepted", "mail")]


# -- waits and events -------------------------------------------------------------------------------------------------


def test_a_wait_that_is_over_meanwhile_holds_at_the_next_send(world: World) -> None:
    world.journey(DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    world.pause()
    world.later(A_DAY)
    world.advance(run_id)
    assert (world.row(run_id).step, is_held(world, run_id), world.rows(sent_messages)) == ("text", True, [])
    world.resume()
    wake_held(world)
    world.send(run_id)
    assert world.row(run_id).state == "completed"


def test_a_frozen_wait_goes_on_where_it_stood(world: World) -> None:
    world.journey(DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    world.later(AN_HOUR)
    world.pause(waits="freeze")
    world.later(A_DAY)  # its timer rings
    frozen = world.advance(run_id)
    assert isinstance(frozen.plan, Park)
    assert (frozen.plan.held, world.row(run_id).step) == (True, "day")
    assert instruct(frozen).summary == "waits (frozen while the journey is paused)"
    world.later(9 * A_DAY)
    world.resume()
    assert wake_held(world) == [run_id]
    assert world.row(run_id).parked_until == T0 + 11 * A_DAY
    world.later(A_DAY - AN_HOUR)
    assert isinstance(world.advance(run_id).plan, Send)


@pytest.mark.parametrize(("waits", "late", "step"), [("run", True, None), ("freeze", False, "text")])
def test_a_click_after_the_old_deadline_counts_if_waits_are_frozen(
    world: World, waits: Any, late: bool, step: str | None
) -> None:
    world.journey(MAIL, AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.pause(waits=waits)
    world.later(2 * A_DAY)
    click = world.click(run_id)
    world.advance(run_id)
    assert (click.late_by is not None, world.row(run_id).step) == (late, step)


def test_a_click_meanwhile_is_taken_when_it_comes(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.pause()
    world.deliver_nothing()
    world.click(run_id)
    assert world.waiting("wake_run") == [str(run_id)]
    world.advance(run_id)
    assert (world.row(run_id).step, is_held(world, run_id)) == ("text", True)


def test_what_comes_after_the_resumption_sees_the_profile_as_it_is_then(world: World) -> None:
    vip = {"attribute": "vip", "op": "eq", "value": True}
    choice = {"id": "c", "type": "if", "cases": [{"when": vip, "next": "text"}], "else": "exit"}
    world.journey(DAY, choice, TEXT)
    run_id = world.enter(world.person("ada"))
    world.pause(waits="freeze")
    world.later(A_DAY)
    world.advance(run_id)
    world.person("ada", attributes={"vip": True})
    world.resume()
    world.later(A_DAY)
    assert isinstance(world.advance(run_id).plan, Send)


# -- entries ----------------------------------------------------------------------------------------------------------


def occur(world: World, day: int) -> Any:
    at = T0 + day * A_DAY
    world.now = max(world.now, at)
    return world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), world.now)


def test_entries_are_dropped_and_written_down(world: World) -> None:
    world.listed("club", world.people(["ada"]))
    world.journey(DAY, entry=EVERY_DAY)
    world.pause(entries="drop")
    assert occur(world, 0).state == "skipped"
    with pytest.raises(IllegalTransition, match="is paused and cannot be entered"):
        world.request(world.person("ben"))
    world.resume()
    assert occur(world, 1).entered == 1
    assert [(row.state, row.reason) for row in world.rows(entries, entries.c.state == "skipped")] == [
        ("skipped", "paused")
    ]
    assert [row.state for row in world.rows(journeys)] == ["live"]


def test_entries_are_queued_with_the_verdicts_of_their_time(world: World) -> None:
    ada, ben = world.people(["ada", "ben"])
    world.listed("club", [ada])
    world.journey(DAY, entry=EVERY_DAY)
    world.pause(entries="queue")
    entry = occur(world, 0)
    world.listed("club", [ben])
    asked_for = world.request(ben)

    assert world.starter.claim(entry.id, world.now) == []
    assert world.starter.claim_one(asked_for, world.now) is None
    hold = world.starter.held(entry.id, world.now)
    assert hold is not None
    assert hold.why == "the journey is paused"
    assert [row.state for row in world.rows(journeys)] == ["paused"]

    world.deliver_nothing()
    world.resume()
    assert world.waiting("start_run") == [str(asked_for)]
    assert world.waiting("enter") == world.waiting("wake_held_runs") == ["trip"]
    assert [order.profile_id for order in world.starter.claim(entry.id, world.now)] == [ada]
    assert world.starter.claim_one(asked_for, world.now) is not None
    assert [row.state for row in world.rows(journeys)] == ["live"]


def test_who_joins_while_entries_are_dropped_does_not_enter_later(world: World) -> None:
    ada, ben, cleo = world.people(["ada", "ben", "cleo"])
    world.listed("club", [ada])
    world.journey(DAY, entry=JOINERS)
    occur(world, 0)
    world.pause(entries="drop")
    world.listed("club", [ben])
    now = world.later(AN_HOUR)
    dropped = world.desk.look_for_joiners("trip", now, now)
    world.resume()
    world.listed("club", [cleo])
    now = world.later(AN_HOUR)
    taken = world.desk.look_for_joiners("trip", now, now)

    assert dropped is not None
    assert taken is not None
    assert [(row.profile_id, row.reason) for row in world.rows(exclusions)] == [(ben, "paused")]
    assert (dropped.entered, taken.entered) == (0, 1)


# -- states -----------------------------------------------------------------------------------------------------------


def test_a_scheduled_journey_is_scheduled_again_after_a_pause(world: World) -> None:
    world.listed("club")
    world.journey(DAY, entry=EVERY_DAY)
    world.pause()
    assert world.resume().state == "scheduled"


@pytest.mark.parametrize("how", ["pause", "close", "stop"])
def test_what_is_neither_scheduled_nor_live_cannot_be_paused(world: World, how: str) -> None:
    world.journey(DAY)
    world.enter(world.person("ada"))
    getattr(world, how)()
    with pytest.raises(IllegalTransition, match="cannot be paused"):
        world.pause()


def test_a_draft_cannot_be_paused(world: World) -> None:
    draft = parse_definition({"key": "trip", "name": "Trip", "steps": [DAY]})
    with world.database.write() as connection:
        put_draft(connection, draft, T0)
    with pytest.raises(IllegalTransition, match="is draft and cannot be paused"):
        world.pause()


def test_only_what_is_paused_is_resumed_and_a_paused_one_is_not_closed(world: World) -> None:
    world.journey(DAY)
    with pytest.raises(IllegalTransition, match="cannot be resumed"):
        world.resume()
    world.pause()
    with pytest.raises(IllegalTransition, match="is paused and cannot be closed"):
        world.close()


def test_a_stop_ends_those_who_are_held(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.pause()
    world.claim(run_id)
    world.stop()
    assert world.row(run_id).state == "stopped"
    with pytest.raises(IllegalTransition):
        world.resume()


def test_a_pause_ends_by_itself_when_that_was_asked_for(world: World) -> None:
    world.journey(DAY)
    with world.database.write() as connection:
        with pytest.raises(ResumesInThePast):
            pause(connection, "trip", Pause(), T0, resume_at=T0)
        pause(connection, "trip", Pause(), T0, resume_at=T0 + A_DAY, by="ada")
        assert resume_due(connection, T0 + A_DAY - timedelta(seconds=1)) == []
        assert resume_due(connection, T0 + A_DAY) == ["trip"]
        assert resume_due(connection, T0 + A_DAY) == []
    noted = [(row.by, row.action) for row in world.rows(audit) if row.action != "publish"]
    assert noted == [("ada", "pause"), ("wend", "resume")]


def test_a_version_that_is_published_meanwhile_is_for_newcomers(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.pause()
    assert world.journey(TEXT).state == "paused"
    world.resume()
    assert (world.row(run_id).version, world.row(world.request(world.person("ben"))).version) == (1, 2)
