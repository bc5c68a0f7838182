"""The run's row is the authority: asked twice, asked late, asked by the wrong one, it answers what stands there."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.world import AWAIT_CLICK, DAY, LINK, MAIL, ONE_MICROSECOND, T0, TEXT, World
from wend.journeys.results import Finish, Park, Send
from wend.runs.advancing import RunBehind, RunGone
from wend.runs.decide import Answer
from wend.runs.facts import StoredFacts, read_profile
from wend.runs.instructing import instruct
from wend.runs.requesting import StillInside
from wend.storage.database import Database
from wend.storage.tables import journeys, moves, runs, sent_messages

HOUR = timedelta(hours=1)
LONG_AGO = T0 - timedelta(days=1)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


# -- 1: the row is the authority ----------------------------------------------------------------------------------


def test_a_stored_send_is_answered_verbatim(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    before = world.row(run_id)

    again = world.advance(run_id, 0)

    assert again == Answer(run_id, 1, again.plan, again.zone)
    assert isinstance(again.plan, Send)
    assert world.row(run_id) == before


def test_a_stored_end_is_answered_verbatim(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    before = world.row(run_id)

    again = world.advance(run_id, 0, T0 + HOUR)

    assert again.plan == Finish("completed")
    assert again.sequence == 2
    assert world.row(run_id) == before


def test_a_stored_park_is_evaluated_anew(world: World) -> None:
    world.journey(DAY)
    run_id = world.enter(world.person("ada"))

    assert world.advance(run_id, 0, T0 + timedelta(hours=23)).plan == Park(T0 + timedelta(days=1), "waits")
    assert world.advance(run_id, 0, T0 + timedelta(hours=24)).plan == Finish("completed")


def test_a_park_that_was_asked_again_and_still_waits_is_no_new_answer(world: World) -> None:
    world.journey(DAY)
    run_id = world.enter(world.person("ada"))

    again = world.advance(run_id, 1, T0 + HOUR)

    assert again.sequence == 1
    assert again.made == ()
    assert world.row(run_id).decided_at == T0 + HOUR


def test_a_park_until_another_instant_is_a_new_answer(world: World) -> None:
    step = {"id": "birthday", "type": "wait_until", "attribute": "birthday", "on_missing": "exit"}
    world.journey(step)
    ada = world.person("ada", attributes={"birthday": "2026-12-05T09:00:00Z"})
    run_id = world.enter(ada)
    world.person("ada", attributes={"birthday": "2026-12-06T09:00:00Z"})

    again = world.advance(run_id, 1, T0 + HOUR)

    assert again.sequence == 2
    assert isinstance(again.plan, Park)
    assert again.plan.until == T0 + timedelta(days=5) == world.row(run_id).parked_until


def test_an_answer_that_was_lost_on_its_way_is_given_again_and_moves_once(world: World) -> None:
    """A local activity commits and runs again: a signal during the last advance is enough."""
    world.journey(MAIL, DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    first = world.advance(run_id, 2, T0 + timedelta(days=1))

    second = world.advance(run_id, 2, T0 + timedelta(days=1, seconds=1))

    assert isinstance(first.plan, Send)
    assert (second.plan, second.sequence) == (first.plan, first.sequence)
    assert [step for step, _ in world.steps(run_id)] == ["mail", "day", "text"]


def test_it_starts_from_the_state_in_the_row_and_not_from_what_the_workflow_holds(world: World) -> None:
    world.journey(DAY, {**DAY, "id": "another"})
    run_id = world.enter(world.person("ada"))
    world.advance(run_id, 1, T0 + timedelta(days=1))

    held_long_ago = world.advance(run_id, 0, T0 + timedelta(days=1))

    assert held_long_ago.sequence == 2
    assert world.row(run_id).step == "another"


def test_a_send_with_an_outdated_plan_does_nothing_and_answers_with_the_rows(world: World) -> None:
    world.journey(MAIL, DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    parked = world.send(run_id)
    assert isinstance(parked, Answer)
    ledger = world.rows(sent_messages)

    outdated = world.claim(run_id, held=1)

    assert isinstance(outdated, Answer)
    assert (outdated.plan, outdated.sequence) == (parked.plan, 2)
    assert world.rows(sent_messages) == ledger


def test_a_row_behind_its_workflow_fails_visibly(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    before = world.row(run_id)

    with pytest.raises(RunBehind, match="stands at answer 1 in the database, and its workflow holds answer 7"):
        world.advance(run_id, 7)
    with pytest.raises(RunBehind):
        world.claim(run_id, held=7)

    assert world.row(run_id) == before
    assert world.rows(sent_messages) == []


def test_a_run_that_the_database_does_not_have_fails_visibly(world: World) -> None:
    with pytest.raises(RunGone):
        world.advancer.advance(uuid4(), 1, T0)
    with pytest.raises(RunGone):
        world.ledger.claim(uuid4(), 1, uuid4(), T0)


# -- 4: now -------------------------------------------------------------------------------------------------------


def test_now_is_never_before_the_last_decision(world: World) -> None:
    world.journey(DAY, DAY | {"id": "another"})
    run_id = world.enter(world.person("ada"))

    answer = world.advance(run_id, 1, LONG_AGO)

    assert answer.plan == Park(T0 + timedelta(days=1), "waits")
    assert world.row(run_id).decided_at == T0


def test_a_claim_is_never_before_the_last_decision(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.now = LONG_AGO

    claim = world.claimed(run_id)
    world.settle(claim)

    (sent,) = world.rows(sent_messages)
    assert sent.claimed_at == T0
    assert world.row(run_id).decided_at == T0
    assert {move.at for move in world.path(run_id).moves} == {T0}


def test_it_arrives_when_it_is_decided_and_not_at_the_deadline_that_led_there(world: World) -> None:
    world.journey(DAY, DAY | {"id": "another"})
    run_id = world.enter(world.person("ada"))
    woken_at = T0 + timedelta(days=3)

    answer = world.advance(run_id, 1, woken_at)

    assert answer.plan == Park(woken_at + timedelta(days=1), "waits")


@pytest.mark.parametrize("behind", [timedelta(0), ONE_MICROSECOND, timedelta(milliseconds=1), timedelta(hours=5)])
def test_a_wait_that_is_over_is_gone_on_from_at_the_first_question(world: World, behind: timedelta) -> None:
    """Whatever the workflow's clock says when it wakes, it is never told to park until an instant that it has."""
    world.journey(DAY, MAIL)
    run_id = world.enter(world.person("ada"))

    assert isinstance(world.advance(run_id, 1, T0 + timedelta(days=1) + behind).plan, Send)


@pytest.mark.parametrize("early", [ONE_MICROSECOND, timedelta(milliseconds=1)])
def test_a_wake_just_before_the_end_of_a_wait_parks_for_the_rest(world: World, early: timedelta) -> None:
    world.journey(DAY, MAIL)
    run_id = world.enter(world.person("ada"))

    assert world.advance(run_id, 1, T0 + timedelta(days=1) - early).plan == Park(T0 + timedelta(days=1), "waits")


# -- 7: walks end, and their effects happen once -----------------------------------------------------------------


def test_an_effect_is_applied_once_for_each_visit(world: World) -> None:
    world.journey({"id": "mark", "type": "update_profile", "set": {"seen": True, "trial": None}}, MAIL)
    ada = world.person("ada", attributes={"trial": 1, "kept": "as it is"})
    run_id = world.enter(ada)
    assert world.path(run_id).moves[-1].why == {"attributes": ["seen", "trial"]}
    world.person("ada", attributes={"seen": "changed by somebody else"})

    world.advance(run_id, 0)

    assert attributes(world, ada) == {"kept": "as it is", "seen": "changed by somebody else"}


def test_a_later_step_of_the_same_walk_sees_the_effect(world: World) -> None:
    world.journey(
        {"id": "mark", "type": "update_profile", "set": {"tier": "gold"}},
        {
            "id": "which",
            "type": "if",
            "cases": [{"when": {"attribute": "tier", "op": "eq", "value": "gold"}, "next": "text"}],
            "else": "mail",
        },
        MAIL,
        TEXT,
    )
    run_id = world.enter(world.person("ada", attributes={"tier": "none"}))
    assert world.row(run_id).step == "text"


def test_an_effect_and_its_move_are_undone_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are in one transaction: where it does not commit, the next attempt finds neither."""
    world.journey({"id": "mark", "type": "update_profile", "set": {"count": 1}}, MAIL)
    ada = world.person("ada")
    run_id = world.request(ada)
    assert world.starter.claim_one(run_id, T0)

    def lost(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr("wend.runs.decide._write", lost)
        with pytest.raises(ConnectionError):
            world.advance(run_id, 0)
    assert attributes(world, ada) == {}
    assert world.row(run_id).sequence == 0

    world.advance(run_id, 0)
    assert attributes(world, ada) == {"count": 1}


def test_a_loop_that_does_not_wait_fails_the_run_where_everybody_sees_it(world: World) -> None:
    """Publish refuses loops without a wait; where nothing could be sent there is nothing to wait for."""
    world.journey(MAIL, AWAIT_CLICK | {"on_click": "exit", "on_timeout": "mail"})
    run_id = world.enter(world.person("ada", email=None))
    world.claim(run_id)

    row = world.row(run_id)

    assert (row.state, row.reason) == ("failed", "endless_loop")
    assert world.figures().outcomes == {"failed: endless_loop": 1}


def test_a_defect_ends_the_run_as_failed_without_telling_what_it_knows(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.journey(DAY)
    ada = world.person("ada", attributes={"secret": "canary-1f3e"})
    run_id = world.request(ada)
    assert world.starter.claim_one(run_id, T0)

    def defect(_: object, __: object, facts: StoredFacts) -> None:
        assert facts.profile is not None
        raise ValueError(facts.profile.attributes["secret"])

    monkeypatch.setattr("wend.runs.decide.advance", defect)
    answer = world.advance(run_id, 0)

    assert answer.plan == Finish("failed", "internal_error", "ValueError")
    assert world.steps(run_id) == [("exit", "ended")]
    said = capsys.readouterr()
    assert "run failed by a defect" in said.out + said.err
    assert "canary" not in said.out + said.err


# -- starting -----------------------------------------------------------------------------------------------------


def test_a_profile_that_is_inside_does_not_start_again_and_later_does_by_the_next_number(world: World) -> None:
    world.journey(MAIL)
    ada = world.person("ada")
    run_id = world.enter(ada)
    with pytest.raises(StillInside) as inside:
        world.request(ada)
    assert inside.value.run_id == run_id
    world.send(run_id)

    second = world.request(ada)

    assert world.row(second).entry_number == 2
    assert world.figures().entered == world.figures().members == 2


def test_what_operators_read_has_no_value_of_the_persons(world: World) -> None:
    world.journey(
        {
            "id": "which",
            "type": "if",
            "cases": [{"when": {"attribute": "tier", "op": "eq", "value": "canary-77"}, "next": "mail"}],
        },
        MAIL,
        AWAIT_CLICK,
    )
    ada = world.person("ada", attributes={"tier": "canary-77"})
    run_id = world.request(ada, properties={"code": "canary-88"})
    order = world.starter.claim(world.row(run_id).entry_id, T0)[0]
    assert order.answer is not None
    said = repr(instruct(order.answer))
    settled = world.send(run_id)
    assert isinstance(settled, Answer)
    said += repr(instruct(settled))
    world.click(run_id)
    said += repr(instruct(world.advance(run_id)))

    assert "case 1" in said
    assert f"clicked {LINK}" in said
    assert "canary" not in said
    assert "example.com" not in said


# -- 10: nobody fights for a row -----------------------------------------------------------------------------------


def test_decisions_of_one_journey_write_no_row_that_they_share(world: World) -> None:
    """Everything that a run writes is its own: its row, its moves, its messages. The journey's row stays as it was."""
    world.journey(MAIL, AWAIT_CLICK)
    before = world.rows(journeys)
    for name in ("ada", "ben"):
        run_id = world.enter(world.person(name))
        world.send(run_id)
        world.click(run_id)
        world.advance(run_id, None, T0 + HOUR)

    assert world.rows(journeys) == before
    assert {row.state for row in world.rows(runs)} == {"completed"}
    assert len(world.rows(moves)) == 6


def attributes(world: World, person: UUID) -> dict[str, object]:
    with world.database.read() as connection:
        profile = read_profile(connection, person)
    assert profile is not None
    return dict(profile.attributes)
