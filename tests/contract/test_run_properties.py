"""What a run was started with, in the database: it decides, is printed and is written down, and goes no further."""

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.support.world import DAY, T0, World
from wend.channels.port import OutgoingEmail
from wend.journeys.results import Finish, Park
from wend.journeys.serial import load_listens
from wend.profiles import store as profile_store
from wend.runs.instructing import instruct
from wend.storage.database import Database
from wend.storage.tables import runs

HOUR = timedelta(hours=1)
CANARY = "canary-7c2d"

CHOICE = {
    "id": "choice",
    "type": "if",
    "cases": [{"when": {"property": "order.code", "op": "eq", "value": CANARY}, "next": "note"}],
    "else": "exit",
}
NOTE = {"id": "note", "type": "update_profile", "set_from": {"code": {"property": "order.code"}}}
SHIPPED = {
    "id": "shipped",
    "type": "wait_for_event",
    "event": "shipped",
    "within": "P7D",
    "where": [{"attribute": "order", "op": "eq", "value": {"property": "order.code"}}],
}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def attributes(world: World, person: UUID) -> object:
    with world.database.read() as connection:
        profile = profile_store.get(connection, person)
    return profile.attributes if profile else None


def test_properties_decide_and_are_written_down_and_their_values_stay_in_the_database(world: World) -> None:
    world.journey(CHOICE, NOTE, SHIPPED)
    ada = world.person("ada")
    run_id = world.request(ada, properties={"order": {"code": CANARY}})
    assert world.starter.claim_one(run_id, T0) is not None

    answer = world.advance(run_id, 0)
    world.later(HOUR)
    world.happen(ada, "shipped", properties={"order": CANARY})
    last = world.advance(run_id)

    assert world.steps(run_id) == [
        ("choice", "entered"),
        ("note", "matched"),
        ("shipped", "updated"),
        ("exit", "happened"),
    ]
    assert attributes(world, ada) == {"code": CANARY}
    assert world.path(run_id).moves[1].why == {"case": 1, "values": {"property order.code": CANARY}}
    assert CANARY not in f"{instruct(answer)}{instruct(last)}{answer.plan}{last.plan}"


def test_each_of_two_runs_goes_on_by_the_event_of_its_own_order(world: World) -> None:
    world.journey(SHIPPED, reentry={"still_inside": "overlap"})
    ada = world.person("ada")
    one, other = (world.enter(ada, properties={"order": {"code": code}}) for code in ("A-17", "A-18"))
    world.later(HOUR)
    world.happen(ada, "shipped", properties={"order": "A-18"})

    assert isinstance(world.advance(one).plan, Park)
    assert world.advance(other).plan == Finish("completed")
    assert load_listens(world.row(one).listens) is not None

    world.later(HOUR)
    world.happen(ada, "shipped", properties={"order": "A-17"})
    assert world.advance(one).plan == Finish("completed")


def test_a_message_prints_what_the_run_was_started_with(world: World) -> None:
    html = '<p>{{ run.properties.order.code }} {{ run.properties.order.lines | map: "name" | join: ", " }}</p>'
    world.message(
        "order",
        {"channel": "email", "subject": "Order {{ run.properties.order.code }}", "from": "a@e.com", "html": html},
    )
    world.journey({"id": "tell", "type": "send_email", "message": "order"})
    lines = [{"name": "tea"}, {"name": "milk"}]
    run_id = world.enter(world.person("ada"), properties={"order": {"code": "A-17", "lines": lines}})

    message = world.claimed(run_id).message

    assert isinstance(message, OutgoingEmail)
    assert message.subject == "Order A-17"
    assert "<p>A-17 tea, milk</p>" in message.html


@pytest.mark.parametrize(
    ("joined_at", "until"),
    [(T0 - timedelta(days=5), T0 + timedelta(days=2)), (None, T0 + timedelta(days=7))],
    ids=["known", "not known"],
)
def test_a_wait_counts_from_when_the_profile_joined(world: World, joined_at: object, until: object) -> None:
    world.journey({"id": "week", "type": "wait", "for": "P7D", "since": "joined"}, DAY)
    run_id = world.request(world.person("ada"))
    with world.database.write() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(joined_at=joined_at))
    assert world.starter.claim_one(run_id, T0) is not None

    assert world.advance(run_id, 0).plan == Park(until, "waits")  # type: ignore[arg-type]
