"""One run, or all runs of a person, ended where they are; and the record of who did what."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend.channels.port import NotAccepted
from wend.errors import NotFound
from wend.journeys.results import Finish
from wend.lifecycle import audit
from wend.lifecycle.taking_out import RunHasEnded, TakenOut, take_out_profile, take_out_run
from wend.storage.database import Database
from wend.storage.tables import runs, sent_messages

OUT = Finish("exited", "taken_out")
A_DAY = timedelta(days=1)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def take_out(world: World, run_id: UUID) -> TakenOut:
    with world.database.write() as connection:
        return take_out_run(connection, run_id, world.now, by="ada")


def take_out_all(world: World, person: UUID, journey: str | None = None) -> TakenOut:
    with world.database.write() as connection:
        return take_out_profile(connection, person, world.now, journey=journey, by="ada")


def test_a_run_is_taken_out_of_its_wait_and_a_later_click_changes_nothing(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK, TEXT)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.send(run_id)
    world.deliver_nothing()

    assert take_out(world, run_id) == TakenOut(ada, (run_id,))

    assert world.waiting("wake_ended_runs") == ["trip"]
    world.click(run_id)
    assert world.waiting("wake_run") == []
    assert world.advance(run_id).plan == OUT
    assert world.figures().outcomes == {"exited: taken_out": 1}
    with pytest.raises(RunHasEnded, match="is exited already"):
        take_out(world, run_id)


def test_a_message_that_waits_to_be_tried_again_is_dropped(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, NotAccepted("busy", "later"))
    take_out(world, run_id)
    assert [(row.state, row.reason) for row in world.rows(sent_messages)] == [("refused", "taken_out")]
    assert world.claim(run_id, held=1) == world.advance(run_id)


def test_a_message_that_a_provider_has_already_is_settled(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    take_out(world, run_id)
    assert world.settle(claim).plan == OUT  # type: ignore[union-attr]
    assert [row.state for row in world.rows(sent_messages)] == ["accepted"]


def test_who_has_not_begun_never_begins(world: World) -> None:
    world.journey(DAY)
    run_id = world.request(world.person("ada"))
    take_out(world, run_id)
    assert world.starter.claim_one(run_id, world.now) is None
    assert world.figures().outcomes == {"exited: taken_out": 1}


def test_a_person_is_taken_out_of_one_journey_or_of_all_of_them(world: World) -> None:
    for key in ("trip", "tour", "walk"):
        world.journey(DAY, key=key)
    ada, ben = world.person("ada"), world.person("ben")
    theirs = {key: world.enter(ada, key) for key in ("trip", "tour", "walk")}
    other = world.enter(ben, "trip")

    assert take_out_all(world, ada, "tour").runs == (theirs["tour"],)
    assert set(take_out_all(world, ada).runs) == {theirs["trip"], theirs["walk"]}
    assert take_out_all(world, ada).runs == ()

    inside = world.rows(runs, runs.c.ended_at.is_(None))
    assert [row.id for row in inside] == [other]
    for key in theirs:
        world.figures(key)


def test_nobody_is_taken_out_of_what_is_not_there(world: World) -> None:
    world.journey(DAY)
    ada = world.person("ada")
    with pytest.raises(NotFound, match="profile"):
        take_out_all(world, uuid4())
    with pytest.raises(NotFound, match="journey"):
        take_out_all(world, ada, "nowhere")
    with pytest.raises(NotFound, match="run"):
        take_out(world, uuid4())


def test_who_was_held_is_not_counted_as_held_any_more(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.pause()
    world.claim(run_id)
    assert world.figures().held == 1
    take_out(world, run_id)
    assert world.figures().held == 0
    assert world.row(run_id).held_at is None


def test_records_are_told_the_latest_first_of_a_journey_or_of_a_person(world: World) -> None:
    world.journey(DAY)
    world.journey(DAY, key="tour")
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.later(A_DAY)
    take_out(world, run_id)
    take_out_all(world, ada)
    world.stop()

    with world.database.read() as connection:
        every = audit.page_audit(connection)
        of_trip = audit.page_audit(connection, journey="trip")
        of_ada = audit.page_audit(connection, profile_id=ada)
        page = audit.page_audit(connection, before=every[1].id, limit=2)

    assert [record.action for record in of_trip] == ["stop", "exit", "publish"]
    assert (of_trip[1].by, of_trip[1].run_id, of_trip[1].profile_id, of_trip[1].at) == ("ada", run_id, ada, T0 + A_DAY)
    assert (of_trip[0].by, of_trip[0].detail) == ("wend", {"inside": 0})
    assert [record.run_id for record in of_ada] == [None, run_id]
    assert page == every[2:4]
