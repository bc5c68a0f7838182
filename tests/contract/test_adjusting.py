"""Light changes stand beside the versions: what is called what, how fast profiles start, which content is sent."""

from datetime import timedelta

import pytest

from tests.support.world import AWAIT_CLICK, DAY, LINK, MAIL, TEXT, World
from wend.errors import InvalidDocument, NotFound
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.adjusting import adjust, choose_message
from wend.lifecycle.publishing import IllegalTransition, restore_draft
from wend.runs.ledger import Claim
from wend.storage.database import Database
from wend.storage.tables import audit, journeys, sent_messages

A_SECOND = timedelta(seconds=1)
CLUB = {"segment": "club", "rate": "20/s", "schedule": {"start": {"at": "2026-12-01T09:00"}}}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def choose(world: World, number: int, message: str = "hello") -> int:
    with world.database.write() as connection:
        return choose_message(connection, "trip", message, number, world.now, by="ada")


def change(world: World, **changes: object) -> None:
    with world.database.write() as connection:
        adjust(connection, "trip", world.now, by="ada", **changes)  # type: ignore[arg-type]


def mail(subject: str, *links: str) -> dict[str, str]:
    """Content for the message ``hello``."""
    anchors = "".join(f'<a data-link="{link}" href="https://example.com/{link}">x</a>' for link in links)
    return {"channel": "email", "subject": subject, "from": "Wend <news@example.com>", "html": f"<p>{anchors}</p>"}


def sent_versions(world: World) -> list[int]:
    rows = sorted(world.rows(sent_messages), key=lambda row: row.claimed_at)
    return [row.message_version for row in rows]


def test_another_content_is_sent_from_the_next_send_on(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK, TEXT)
    ada, ben = (world.enter(world.person(name)) for name in ("ada", "ben"))
    world.send(ada)
    world.message("hello", mail("Corrected", LINK))

    assert choose(world, 2) == 1

    world.later(A_SECOND)
    claim = world.claimed(ben)
    assert claim.message.subject == "Corrected"  # type: ignore[union-attr]
    assert sent_versions(world) == [1, 2]
    assert world.click(ada).counted  # what was sent keeps its links


def test_a_message_alone_changes_nothing_until_it_is_chosen(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.message("hello", mail("Corrected", LINK))
    assert isinstance(world.claim(run_id), Claim)
    assert sent_versions(world) == [1]


def test_a_version_that_is_published_later_sends_what_was_ready_then(world: World) -> None:
    world.journey(MAIL, DAY)
    ada = world.enter(world.person("ada"))
    world.message("hello", mail("Second", LINK))
    choose(world, 2)
    world.message("hello", mail("Third", LINK))
    world.journey(MAIL)
    ben = world.enter(world.person("ben"))
    for run_id in (ada, ben):
        world.later(A_SECOND)
        world.send(run_id)
    assert sent_versions(world) == [2, 3]

    choose(world, 1)  # and back, on every version
    cleo = world.enter(world.person("cleo"))
    world.later(A_SECOND)
    world.send(cleo)
    assert sent_versions(world) == [2, 3, 1]


def test_a_send_that_is_tried_again_has_the_content_chosen_meanwhile(world: World) -> None:
    from wend.channels.port import NotAccepted

    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, NotAccepted("busy", "later"))
    world.message("hello", mail("Corrected", LINK))
    choose(world, 2)
    world.send(run_id)
    assert [(row.state, row.message_version) for row in world.rows(sent_messages)] == [("accepted", 2)]


def test_a_choice_is_refused_where_a_wait_of_any_version_listens_to_a_link_that_is_gone(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK)
    world.journey(MAIL, AWAIT_CLICK | {"link": "other"})
    world.message("hello", mail("Only one", LINK))
    world.message("hello", mail("None at all"))
    with pytest.raises(InvalidDocument) as refused:
        choose(world, 2)
    assert [problem.path for problem in refused.value.problems] == ["version 2, steps.look.link"]
    with pytest.raises(InvalidDocument) as refused:
        choose(world, 3)
    assert [problem.path for problem in refused.value.problems] == [
        "version 1, steps.look.link",
        "version 2, steps.look.link",
    ]
    assert [row.message_choices for row in world.rows(journeys)] == [None]


def test_a_choice_is_refused_for_what_is_not_there(world: World) -> None:
    world.journey(MAIL)
    with pytest.raises(InvalidDocument, match="no version 7"):
        choose(world, 7)
    with pytest.raises(InvalidDocument, match="no published version of the journey sends 'ping'"):
        choose(world, 1, "ping")
    with pytest.raises(NotFound), world.database.write() as connection:
        choose_message(connection, "nowhere", "hello", 1, world.now)


def test_what_is_over_is_not_changed(world: World) -> None:
    world.journey(MAIL)
    world.stop()
    with pytest.raises(IllegalTransition):
        choose(world, 1)
    with pytest.raises(IllegalTransition):
        change(world, name="Other")


def test_another_rate_holds_for_profiles_that_start_from_then_on(world: World) -> None:
    """A fifth of a second's worth starts at once: 4 at 20/s, 20 at 100/s."""
    people = world.people([f"p{number}" for number in range(60)])
    world.listed("club", people)
    world.journey(DAY, entry=CLUB)
    entry = world.desk.open("trip", Occurrence("2026-12-01T09:00", world.now), world.now)
    assert entry is not None
    assert len(world.starter.claim(entry.id, world.now)) == 4
    change(world, rate=100)
    assert len(world.starter.claim(entry.id, world.later(A_SECOND))) == 20
    world.journey(DAY, TEXT, entry=CLUB)  # its own rate comes in the place of the other
    assert len(world.starter.claim(entry.id, world.later(A_SECOND))) == 4


def test_publishing_puts_the_versions_own_in_place_of_what_was_changed(world: World) -> None:
    world.journey(DAY)
    change(world, name="Voyage", description="Far away", rate=7)
    world.journey(DAY)  # no version comes of it, and nothing of it is changed
    (row,) = world.rows(journeys)
    assert (row.name, row.description, row.rate) == ("Voyage", "Far away", 7)
    world.journey(DAY, TEXT)
    (row,) = world.rows(journeys)
    assert (row.name, row.description, row.rate) == ("Trip", None, None)


def test_each_change_is_written_down_with_who_made_it(world: World) -> None:
    world.journey(MAIL)
    change(world, name="Voyage")
    change(world)  # nothing was asked for
    choose(world, 1)
    with world.database.write() as connection:
        restore_draft(connection, "trip", 1, world.now, by="ben")
    noted = [(row.by, row.action, row.detail) for row in world.rows(audit) if row.action != "publish"]
    assert noted == [
        ("ada", "adjust", {"changed": ["name"], "rate": None}),
        ("ada", "adjust", {"message": "hello", "message_version": 1}),
        ("ben", "restore_draft", {}),
    ]
