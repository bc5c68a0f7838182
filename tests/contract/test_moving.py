"""Runs are moved to another version with their past, each once, and their waits are timed anew."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.world import AWAIT_CLICK, DAY, LINK, MAIL, T0, TEXT, World
from wend.errors import InvalidDocument, NotFound
from wend.journeys.results import Park, Send
from wend.lifecycle.moving import MovedRuns, Moving, NothingToMove, move, preview_move
from wend.lifecycle.publishing import IllegalTransition
from wend.storage.database import Database
from wend.storage.tables import audit, moves, runs

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
LOOK = AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def moved(world: World, to: int = 2, **chosen: Any) -> MovedRuns:
    with world.database.write() as connection:
        return move(connection, "trip", Moving(to, **chosen), world.now, by="ada")


def preview(world: World, to: int = 2, **chosen: Any) -> MovedRuns:
    with world.database.read() as connection:
        return preview_move(connection, "trip", Moving(to, **chosen))


def waiting_for_a_day(world: World, *names: str) -> list[UUID]:
    world.journey(DAY, TEXT)
    return [world.enter(world.person(name)) for name in names]


def test_a_wait_is_timed_by_the_new_version_from_when_the_run_arrived(world: World) -> None:
    (ada,) = waiting_for_a_day(world, "ada")
    world.journey(DAY | {"for": "PT2H"}, TEXT)
    world.later(AN_HOUR)

    told = moved(world)

    assert (told.moving, told.sending, told.count) == (((1, "day", 1),), 0, 1)
    assert world.waiting("wake_held_runs") == ["trip"]
    assert (world.row(ada).version, world.row(ada).step) == (2, "day")
    answer = world.advance(ada)
    assert isinstance(answer.plan, Park)
    assert answer.plan.until == T0 + 2 * AN_HOUR
    assert world.row(ada).held_at is None
    world.later(AN_HOUR)
    assert isinstance(world.advance(ada).plan, Send)


def test_a_wait_that_is_over_by_the_new_version_is_gone_on_from_at_once(world: World) -> None:
    (ada,) = waiting_for_a_day(world, "ada")
    world.journey(DAY | {"for": "PT1M"}, TEXT)
    world.later(AN_HOUR)
    moved(world)
    assert isinstance(world.advance(ada).plan, Send)


def test_each_is_moved_once(world: World) -> None:
    waiting_for_a_day(world, "ada", "ben")
    world.journey(DAY | {"for": "PT2H"}, TEXT)
    assert moved(world).count == 2
    with pytest.raises(NothingToMove):
        moved(world)


def test_figures_of_both_versions_and_of_all_of_them_add_up(world: World) -> None:
    ada, _ = waiting_for_a_day(world, "ada", "ben")
    world.journey(DAY | {"for": "PT2H"}, TEXT)
    world.enter(world.person("cleo"))
    moved(world)
    world.later(2 * AN_HOUR)
    world.advance(ada)
    world.send(ada)

    first, second, both = world.figures(version=1), world.figures(version=2), world.figures()
    assert (first.entered, first.moved_out, first.inside, first.outcomes) == (2, 2, 0, {})
    assert (second.entered, second.moved_in, second.inside, second.outcomes) == (1, 2, 2, {"completed": 1})
    assert (both.entered, both.inside, both.outcomes) == (3, 2, {"completed": 1})
    assert [kind for _, kind in world.steps(ada)] == [
        "entered",
        "moved_out",
        "moved_in",
        "waited",
        "message_settled",
    ]


def test_a_preview_counts_by_version_and_step_and_changes_nothing(world: World) -> None:
    world.journey(MAIL, LOOK, TEXT)
    ada, ben, cleo = (world.enter(world.person(name)) for name in ("ada", "ben", "cleo"))
    for run_id in (ada, ben):
        world.send(run_id)
    world.journey(MAIL, LOOK | {"within": "PT1H"}, TEXT)
    before = (world.rows(runs), world.rows(moves))

    told = preview(world)

    assert (told.moving, told.sending) == (((1, "look", 2),), 1)
    assert (world.rows(runs), world.rows(moves)) == before
    assert moved(world) == told
    assert world.row(cleo).version == 1  # she was sending; once she waits she can be moved


def test_a_message_that_was_sent_is_known_to_the_new_version(world: World) -> None:
    world.journey(MAIL, LOOK, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.journey(MAIL | {"id": "greeting"}, LOOK | {"id": "await", "sent_by": "greeting", "within": "P2D"}, TEXT)

    moved(world, steps={"mail": "greeting", "look": "await"})
    world.advance(run_id)
    world.later(A_DAY)
    click = world.click(run_id)

    assert isinstance(world.advance(run_id).plan, Send)
    assert (click.counted, click.late_by) == (True, None)
    assert [step for step, _ in world.steps(run_id)] == ["mail", "look", "exit", "await", "text"]


def test_a_click_between_the_move_and_the_wake_counts_by_the_new_version(world: World) -> None:
    world.journey(MAIL, LOOK, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.journey(MAIL, LOOK | {"within": "P2D"}, TEXT)
    world.later(A_DAY + AN_HOUR)  # nobody has rung yet
    moved(world)
    world.click(run_id)
    world.advance(run_id)
    assert world.row(run_id).step == "text"


def test_only_those_at_or_before_a_step_are_moved(world: World) -> None:
    later = {"id": "later", "type": "wait", "for": "P1D"}
    world.journey(DAY, later, TEXT)
    ada = world.enter(world.person("ada"))
    world.later(A_DAY)
    world.advance(ada)
    ben = world.enter(world.person("ben"))
    world.journey(DAY, later | {"for": "PT1H"}, TEXT)

    assert preview(world, at_or_before="later").count == 2
    assert moved(world, at_or_before="day").moving == ((1, "day", 1),)
    assert (world.row(ada).version, world.row(ben).version) == (1, 2)


def test_a_step_that_nobody_can_be_before_is_told(world: World) -> None:
    waiting_for_a_day(world, "ada")
    world.request(world.person("ben"))
    world.journey(DAY | {"for": "PT1H"}, TEXT)
    with pytest.raises(InvalidDocument) as refused:
        moved(world, at_or_before="dey")
    assert [str(each) for each in refused.value.problems] == [
        "at_or_before: no version with runs inside has a step 'dey'; did you mean 'day'?"
    ]


def test_only_runs_of_the_versions_named_are_moved(world: World) -> None:
    (ada,) = waiting_for_a_day(world, "ada")
    world.journey(DAY | {"for": "P2D"}, TEXT)
    ben = world.enter(world.person("ben"))
    world.journey(DAY | {"for": "P3D"}, TEXT)
    moved(world, 3, from_versions=(2,))
    assert (world.row(ada).version, world.row(ben).version) == (1, 3)
    moved(world, 1, from_versions=(3,))  # and back
    assert world.row(ben).version == 1


def test_a_step_that_is_gone_has_to_be_mapped_to_one_that_is_there(world: World) -> None:
    (ada,) = waiting_for_a_day(world, "ada")
    world.journey(DAY | {"id": "days", "for": "P2D"}, TEXT)
    for ask in (preview, moved):
        with pytest.raises(InvalidDocument) as refused:
            ask(world)
        assert [str(each) for each in refused.value.problems] == [
            "steps.day: version 2 has no such step; did you mean 'days'?, and 1 run(s) stand there; "
            "say which takes its place"
        ]
    with pytest.raises(InvalidDocument, match="has no step 'dayz'"):
        moved(world, steps={"day": "dayz"})
    moved(world, steps={"day": "days"})
    assert isinstance(plan := world.advance(ada).plan, Park)
    assert (world.row(ada).step, plan.until) == ("days", T0 + 2 * A_DAY)


def test_who_has_not_begun_begins_on_the_new_version(world: World) -> None:
    world.journey(DAY, TEXT)
    ada = world.request(world.person("ada"))
    world.journey(MAIL)
    assert moved(world).moving == ((1, None, 1),)
    assert world.starter.claim_one(ada, world.now) is not None
    world.advance(ada, 0)
    assert (world.row(ada).step, world.row(ada).held_at) == ("mail", None)
    world.figures()
    world.figures(version=1)
    world.figures(version=2)


def test_what_is_held_by_a_pause_is_moved_and_goes_on_by_the_new_version(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.pause()
    world.claim(run_id)
    world.journey(DAY | {"id": "mail"})
    moved(world)
    world.resume()
    assert isinstance(world.advance(run_id).plan, Park)
    assert world.row(run_id).step == "mail"


def test_who_did_it_is_written_down(world: World) -> None:
    waiting_for_a_day(world, "ada")
    world.journey(DAY | {"for": "PT2H"}, TEXT)
    moved(world)
    (noted,) = world.rows(audit, audit.c.action == "move")
    assert (noted.by, noted.version, noted.detail["runs"]) == ("ada", 2, 1)


def test_nobody_is_moved_to_what_is_not_there_or_out_of_what_is_over(world: World) -> None:
    waiting_for_a_day(world, "ada")
    with pytest.raises(NotFound):
        moved(world, 7)
    world.stop()
    with pytest.raises(IllegalTransition):
        moved(world, 1)


def test_the_link_that_is_awaited_is_the_new_versions(world: World) -> None:
    world.journey(MAIL, LOOK, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.journey(MAIL, LOOK | {"link": "other"}, TEXT)
    moved(world)
    world.advance(run_id)
    assert world.row(run_id).listens["link"] == "other" != LINK
