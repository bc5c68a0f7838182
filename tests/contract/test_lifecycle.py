"""A journey's life: drafts, versions, close and stop; what is not allowed is a clear refusal and changes nothing."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from tests.support.world import DAY, MAIL, T0, TEXT, World
from wend.documents import parse_definition
from wend.errors import InvalidDocument, NotFound
from wend.journeys.occurrences import Occurrence
from wend.journeys.results import Finish
from wend.journeys.serial import load_plan
from wend.lifecycle.ending import finish_emptied
from wend.lifecycle.publishing import IllegalTransition, NoDraft, publish, put_draft, read_draft
from wend.storage.database import Database
from wend.storage.tables import entries, journeys, moves, outbox

A_DAY = timedelta(days=1)
ENTRY = {"segment": "everybody", "schedule": {"start": {"at": "2026-12-01T09:00"}}}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "exists"})
    return world


def state(world: World, key: str = "trip") -> str:
    (row,) = world.rows(journeys, journeys.c.key == key)
    return str(row.state)


def draft(world: World, *steps: Mapping[str, object]) -> int:
    document = {"key": "trip", "name": "Trip", "steps": [dict(step) for step in steps]}
    with world.database.write() as connection:
        return put_draft(connection, parse_definition(document), world.now)


# -- drafts and versions ------------------------------------------------------------------------------------------


def test_a_draft_counts_its_revisions_and_is_read_as_it_was_put(world: World) -> None:
    assert draft(world, DAY) == 1
    assert draft(world, DAY, MAIL) == 2
    with world.database.read() as connection:
        assert [step.id for step in read_draft(connection, "trip").steps] == ["day", "mail"]
    assert state(world) == "draft"


def test_drafts_of_a_new_journey_at_once_make_one_journey(world: World) -> None:
    begun = Barrier(5)

    def put(_: int) -> int:
        begun.wait()
        return draft(world, DAY)

    with ThreadPoolExecutor(5) as threads:
        assert sorted(threads.map(put, range(5))) == [1, 2, 3, 4, 5]


def test_there_is_nothing_to_publish_where_nothing_was_drafted(world: World) -> None:
    with world.database.write() as connection, pytest.raises(NotFound):
        publish(connection, "trip", T0)
    draft(world, DAY)
    with world.database.write() as connection:
        connection.execute(sa.update(journeys).values(draft=None))
    with world.database.write() as connection, pytest.raises(NoDraft):
        publish(connection, "trip", T0)


def test_publishing_a_draft_with_problems_reports_them_and_publishes_nothing(world: World) -> None:
    draft(world, MAIL | {"message": "unwritten"}, DAY | {"next": "nowhere"})
    with world.database.write() as connection, pytest.raises(InvalidDocument) as refused:
        publish(connection, "trip", T0)
    assert {problem.path for problem in refused.value.problems} >= {"steps.mail.message", "steps.day.next"}
    assert state(world) == "draft"
    assert world.rows(outbox) == []


def test_newcomers_take_the_new_version_and_those_inside_stay_on_theirs(world: World) -> None:
    assert world.journey(DAY).version == 1
    inside = world.enter(world.person("ada"))
    second = world.journey(MAIL)
    newcomer = world.enter(world.person("ben"))

    assert (second.version, second.new, second.state) == (2, True, "live")
    world.advance(inside, None, T0 + A_DAY)
    assert [step for step, _ in world.steps(inside)] == ["day", "exit"]
    assert world.row(newcomer).step == "mail"
    assert (world.figures(version=1).entered, world.figures(version=2).entered) == (1, 1)


def test_the_same_draft_again_is_no_new_version_and_another_content_of_its_messages_is_one(world: World) -> None:
    world.journey(MAIL)
    again = world.journey(MAIL)
    assert (again.version, again.new) == (1, False)

    world.message(
        "hello", {"channel": "email", "subject": "Other", "from": "news@example.com", "html": "<p>Other words</p>"}
    )
    changed = world.journey(MAIL)

    assert (changed.version, changed.new) == (2, True)


def test_a_run_sends_the_message_as_it_was_when_its_version_was_published(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.message(
        "hello", {"channel": "email", "subject": "Other", "from": "news@example.com", "html": "<p>Other words</p>"}
    )
    assert getattr(world.claimed(run_id).message, "subject", None) == "Hello"


# -- close --------------------------------------------------------------------------------------------------------


def test_a_closed_journey_takes_nobody_in_and_is_finished_when_the_last_has_left(world: World) -> None:
    world.journey(DAY)
    ada = world.person("ada")
    run_id = world.enter(ada)

    closed = world.close()

    assert (closed.state, closed.runs, state(world)) == ("closed", 1, "closed")
    assert world.waiting("remove_schedule") == ["trip"]
    with pytest.raises(IllegalTransition):
        world.request(world.person("ben"))
    with world.database.write() as connection:
        assert finish_emptied(connection, T0) == []
    world.advance(run_id, None, T0 + A_DAY)
    with world.database.write() as connection:
        assert finish_emptied(connection, T0 + A_DAY) == ["trip"]
    assert state(world) == "finished"


def test_closing_an_empty_journey_finishes_it(world: World) -> None:
    world.journey(DAY)
    assert world.close().state == state(world) == "finished"


# -- stop ---------------------------------------------------------------------------------------------------------


def test_figures_are_true_when_a_stop_answers(world: World) -> None:
    """Runs of every version, those that wait, those that send and those that nobody has started yet."""
    world.journey(DAY)
    waiting = world.enter(world.person("ada"))
    world.journey(MAIL, DAY)
    sending = world.enter(world.person("ben"))
    ended = world.enter(world.person("cleo"))
    world.send(ended)
    world.advance(ended, None, T0 + A_DAY)
    pending = world.request(world.person("dora"))
    stopped_at = world.later(timedelta(hours=1))

    stopped = world.stop()

    assert (stopped.state, stopped.runs, state(world)) == ("stopped", 3, "stopped")
    figures = world.figures()
    assert figures.outcomes == {"completed": 1, "stopped": 3}
    assert (figures.inside, figures.pending) == (0, 0)
    assert {step.step: step.left for step in figures.steps} == {
        "day": {"ended": 1, "waited": 1},
        "mail": {"ended": 1, "message_settled": 1},
    }
    for run_id, left in ((waiting, "day"), (sending, "mail"), (pending, None)):
        row = world.row(run_id)
        assert (row.state, row.step, row.ended_at, row.parked_until) == ("stopped", None, stopped_at, None)
        assert load_plan(row.answer) == Finish("stopped", "stopped")
        assert world.path(run_id).moves[-1].from_step == left
        assert row.moves == len(world.rows(moves, moves.c.run_id == run_id))
    assert world.row(ended).state == "completed"


def test_a_stop_leaves_it_to_the_outbox_to_wake_the_workflows(world: World) -> None:
    world.journey(DAY)
    world.enter(world.person("ada"))
    world.deliver_nothing()

    world.stop()

    assert world.waiting("remove_schedule") == world.waiting("wake_ended_runs") == ["trip"]
    (row,) = world.rows(outbox, outbox.c.kind == "wake_ended_runs")
    assert row.payload == {"since": T0.isoformat()}


def test_a_stopped_run_answers_with_its_end_to_whoever_asks(world: World) -> None:
    world.journey(DAY, MAIL)
    run_id = world.enter(world.person("ada"))
    world.stop()
    assert world.advance(run_id, 1, T0 + A_DAY).plan == Finish("stopped", "stopped")
    assert world.steps(run_id)[-1] == ("exit", "ended")


def test_a_stop_is_never_before_the_last_decision(world: World) -> None:
    """The host's clock is an hour behind the server's: what happens later is still stamped after the decision."""
    world.journey(DAY)
    ada = world.person("ada")
    run_id = world.enter(ada)
    world.now = T0 - timedelta(hours=1)
    world.stop()
    assert world.row(run_id).decided_at == T0
    assert world.happen(ada, "bought").at > T0


def test_a_stop_ends_the_entry_that_is_under_way(world: World) -> None:
    world.people(["ada", "ben"], member=True)
    world.journey(DAY, entry=ENTRY)
    entry = world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0)
    assert entry is not None
    world.stop()
    assert [row.state for row in world.rows(entries)] == ["done"]
    assert world.starter.claim(entry.id, T0) == []
    assert world.desk.finish(entry.id, T0) == world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0)


# -- what is not allowed ------------------------------------------------------------------------------------------


def be_draft(world: World) -> None:
    draft(world, DAY)


def be_closed(world: World) -> None:
    world.journey(DAY)
    world.enter(world.person("ada"))
    world.close()


def be_finished(world: World) -> None:
    world.journey(DAY)
    world.close()


def be_stopped(world: World) -> None:
    world.journey(DAY)
    world.stop()


def do_publish(world: World) -> None:
    world.journey(TEXT)


def do_close(world: World) -> None:
    world.close()


def do_stop(world: World) -> None:
    world.stop()


def do_enter(world: World) -> None:
    world.request(world.person("ben"))


@pytest.mark.parametrize(
    ("be", "do"),
    [
        (be_draft, do_close),
        (be_draft, do_stop),
        (be_draft, do_enter),
        (be_closed, do_publish),
        (be_closed, do_close),
        (be_closed, do_enter),
        (be_finished, do_publish),
        (be_finished, do_close),
        (be_finished, do_stop),
        (be_finished, do_enter),
        (be_stopped, do_publish),
        (be_stopped, do_close),
        (be_stopped, do_stop),
        (be_stopped, do_enter),
    ],
)
def test_what_the_state_does_not_allow_is_refused_and_changes_nothing(
    world: World, be: Callable[[World], None], do: Callable[[World], None]
) -> None:
    be(world)
    columns = [column for column in journeys.c if "draft" not in column.name and column.name != "updated_at"]

    def all_there_is() -> object:
        with world.database.read() as connection:
            return connection.execute(sa.select(*columns)).all(), world.rows(entries)

    before = all_there_is()

    with pytest.raises(IllegalTransition, match="Journey 'trip' is"):
        do(world)

    assert all_there_is() == before


@pytest.mark.parametrize("do", [do_close, do_stop])
def test_there_is_nothing_to_end_where_there_is_no_journey(world: World, do: Callable[[World], None]) -> None:
    with pytest.raises(NotFound):
        do(world)
