"""An entry gives every member one verdict, once; its pending runs get one workflow each, whoever starts them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.support.world import DAY, MAIL, T0, World
from wend.entries.opening import OpenedEntry
from wend.errors import NotFound
from wend.journeys.occurrences import Occurrence
from wend.journeys.results import Finish, Park, Send
from wend.lifecycle.versions import Versions
from wend.runs.requesting import StillInside
from wend.runs.starting import CLAIM_LASTS, Starter
from wend.segments import store as segment_store
from wend.storage.database import Database
from wend.storage.tables import entries, exclusions, journeys, profiles, runs

A_DAY = timedelta(days=1)
A_SECOND = timedelta(seconds=1)
EVERYBODY = {"segment": "everybody", "schedule": {"start": {"at": "2026-12-01T09:00"}}}
EVERY_DAY = EVERYBODY | {"frequency": "repeating", "schedule": EVERYBODY["schedule"] | {"every": "day"}}  # type: ignore[operator]


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    world.rule("everybody", {"attribute": "member", "op": "eq", "value": True})
    return world


def members(world: World, *names: str) -> list[UUID]:
    return world.people(names, member=True)


def open_entry(world: World, day: int = 0, key: str = "trip") -> OpenedEntry:
    at = T0 + day * A_DAY
    opened = world.desk.open(key, Occurrence(f"{at:%Y-%m-%dT%H:%M}", at), max(at, world.now))
    assert opened is not None
    return opened


def reasons(world: World, entry: OpenedEntry) -> dict[UUID, str]:
    rows = world.rows(exclusions, exclusions.c.entry_id == entry.id)
    return {row.profile_id: row.reason for row in rows}


def entered(world: World, entry: OpenedEntry) -> set[UUID]:
    return {row.profile_id for row in world.rows(runs, runs.c.entry_id == entry.id)}


def start_all(world: World, entry: OpenedEntry) -> None:
    orders = world.starter.claim(entry.id, world.now, 1000)
    world.starter.mark_started([order.run_id for order in orders], world.now)


# -- verdicts -----------------------------------------------------------------------------------------------------


def test_every_member_gets_one_verdict_and_the_first_reason_that_fits(world: World) -> None:
    ada, ben, cleo, dora, egon = members(world, "ada", "ben", "cleo", "dora", "egon")
    (outsider,) = world.people(["outsider"])
    no_email = world.person("no-email", email=None, attributes={"member": True})
    neither = world.person("neither", email=None, attributes={"member": True})
    world.listed("employees", [ben, neither, outsider])
    world.listed("banned", [cleo, ben])
    world.journey(DAY, entry={**EVERYBODY, "exclude": ["employees", "banned"], "namespace": "email"})
    world.request(dora)

    entry = open_entry(world)

    assert entered(world, entry) == {ada, egon}
    assert reasons(world, entry) == {
        ben: "excluded_segment",
        cleo: "excluded_segment",
        no_email: "no_identity",
        neither: "no_identity",
        dora: "still_inside",
    }
    with world.database.read() as connection:
        counted = segment_store.count(connection, "everybody", T0)
    assert (entry.members, entry.entered, entry.excluded) == (counted, 2, 5) == (7, 2, 5)
    assert world.figures().members == counted + 1


def test_the_same_occurrence_again_changes_nothing(world: World) -> None:
    members(world, "ada", "ben")
    world.journey(DAY, entry=EVERYBODY)
    first = open_entry(world)
    start_all(world, first)
    members(world, "late")
    before = (world.rows(runs), world.rows(entries), world.rows(exclusions))

    assert open_entry(world) == first

    assert (world.rows(runs), world.rows(entries), world.rows(exclusions)) == before
    assert world.starter.left(first.id) == 0


def test_ten_that_open_the_same_occurrence_at_once_open_one_entry(world: World) -> None:
    people = members(world, *(f"p{number}" for number in range(20)))
    world.journey(DAY, entry=EVERYBODY)
    begun = Barrier(10)

    def fire(_: int) -> OpenedEntry:
        begun.wait()
        return open_entry(world)

    with ThreadPoolExecutor(10) as threads:
        opened = list(threads.map(fire, range(10)))

    assert len({entry.id for entry in opened}) == 1
    assert len(world.rows(entries)) == 1
    assert sorted(row.profile_id for row in world.rows(runs)) == sorted(people)


def test_an_entry_and_starts_through_the_api_at_once_take_everybody_in_once(world: World) -> None:
    people = members(world, *(f"p{number}" for number in range(12)))
    world.journey(DAY, entry=EVERYBODY)
    begun = Barrier(2)

    def start_one_by_one() -> int:
        begun.wait()
        refused = 0
        for person in people:
            try:
                world.request(person)
            except StillInside:
                refused += 1
        return refused

    def fire() -> OpenedEntry:
        begun.wait()
        return open_entry(world)

    with ThreadPoolExecutor(2) as threads:
        refused, entry = threads.submit(start_one_by_one), threads.submit(fire)

    assert entry.result().entered == refused.result()
    assert sorted(row.profile_id for row in world.rows(runs)) == sorted(people)
    assert world.figures().entered == 12


def test_once_means_once_ever_over_versions_and_occurrences(world: World) -> None:
    ada, ben = members(world, "ada", "ben")
    world.journey(MAIL, entry=EVERYBODY)
    first = open_entry(world)
    start_all(world, first)
    for row in world.rows(runs):
        world.send(row.id)
    (cleo,) = members(world, "cleo")
    world.journey(DAY, entry={**EVERYBODY, "schedule": {"start": {"at": "2026-12-02T09:00"}}})

    second = open_entry(world, 1)

    assert entered(world, second) == {cleo}
    assert reasons(world, second) == {ada: "already_entered", ben: "already_entered"}


def test_repeating_takes_earlier_participants_in_again_but_nobody_who_is_inside(world: World) -> None:
    ada, ben = members(world, "ada", "ben")
    world.journey(MAIL, entry=EVERY_DAY)
    start_all(world, open_entry(world))
    (adas,) = world.rows(runs, runs.c.profile_id == ada)
    world.send(adas.id)

    second = open_entry(world, 1)

    assert entered(world, second) == {ada}
    assert reasons(world, second) == {ben: "still_inside"}
    assert [row.entry_number for row in world.rows(runs, runs.c.entry_id == second.id)] == [2]


def test_an_empty_segment_is_an_entry_of_nobody(world: World) -> None:
    world.journey(DAY, entry=EVERYBODY)
    entry = open_entry(world)
    assert (entry.members, entry.entered, entry.excluded) == (0, 0, 0)
    assert world.starter.left(entry.id) == 0
    assert world.desk.finish(entry.id, T0).state == "done"


@pytest.mark.parametrize("how", ["close", "stop"])
def test_a_journey_that_takes_nobody_in_any_more_opens_no_entry(world: World, how: str) -> None:
    members(world, "ada")
    world.journey(DAY, entry=EVERYBODY)
    getattr(world, how)()
    assert world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0) is None
    assert world.rows(entries) == []


def test_there_is_no_entry_into_a_journey_that_does_not_exist(world: World) -> None:
    with pytest.raises(NotFound):
        world.desk.open("nowhere", Occurrence("2026-12-01T09:00", T0), T0)


def test_the_first_entry_makes_the_journey_live(world: World) -> None:
    members(world, "ada")
    world.journey(DAY, entry=EVERYBODY)
    assert [row.state for row in world.rows(journeys)] == ["scheduled"]
    open_entry(world)
    assert [row.state for row in world.rows(journeys)] == ["live"]


# -- starting -----------------------------------------------------------------------------------------------------


def test_the_first_answer_is_decided_with_the_claim_and_travels_with_the_start(world: World) -> None:
    (ada,) = members(world, "ada")
    world.journey(MAIL, entry=EVERYBODY)
    entry = open_entry(world)

    (order,) = world.starter.claim(entry.id, T0)

    assert order.answer is not None
    assert isinstance(order.answer.plan, Send)
    assert (order.profile_id, order.entry_number, order.answer.sequence) == (ada, 1, 1)
    row = world.row(order.run_id)
    assert (row.state, row.step, row.claimed_at, row.started_at) == ("running", "mail", T0, None)


def test_what_is_claimed_is_nobody_elses_until_the_claim_has_lasted(world: World) -> None:
    """A starter dies between claim and start; whoever takes the run over starts it with the same answer."""
    members(world, "ada")
    world.journey(DAY, entry=EVERYBODY)
    entry = open_entry(world)
    (died,) = world.starter.claim(entry.id, T0)
    another = Starter(world.database, Versions())
    assert another.claim(entry.id, T0 + CLAIM_LASTS - A_SECOND) == []
    assert another.stranded(T0 + CLAIM_LASTS - A_SECOND) == []
    assert another.left(entry.id) == 1

    assert another.stranded(T0 + CLAIM_LASTS) == [died.run_id]
    (taken,) = another.claim(entry.id, T0 + CLAIM_LASTS)

    assert died.answer is not None
    assert taken.answer is not None
    assert (taken.answer.plan, taken.answer.sequence) == (died.answer.plan, 1)
    assert [step for step, _ in world.steps(died.run_id)] == ["day"]
    another.mark_started([taken.run_id], T0)
    assert another.left(entry.id) == 0
    assert another.claim(entry.id, T0 + A_DAY) == another.stranded(T0 + A_DAY) == []


def test_starters_at_once_share_the_runs_without_overlap(world: World) -> None:
    people = members(world, *(f"p{number}" for number in range(40)))
    world.journey(DAY, entry=EVERYBODY)
    entry = open_entry(world)
    begun = Barrier(4)

    def claim_all(_: int) -> list[UUID]:
        starter = Starter(world.database, Versions())
        begun.wait()
        mine: list[UUID] = []
        while world.rows(runs, runs.c.claimed_at.is_(None)):
            orders = starter.claim(entry.id, T0, 7)
            mine += [order.profile_id for order in orders]
            starter.mark_started([order.run_id for order in orders], T0)
        return mine

    with ThreadPoolExecutor(4) as threads:
        shares = list(threads.map(claim_all, range(4)))

    assert sorted(person for share in shares for person in share) == sorted(people)
    assert world.starter.left(entry.id) == 0


def test_a_run_that_was_asked_for_begins_by_asking(world: World) -> None:
    """So its first decision has the time of Temporal's server, as every later one."""
    world.journey(DAY)
    run_id = world.request(world.person("ada"))

    order = world.starter.claim_one(run_id, T0)

    assert order is not None
    assert order.answer is None
    assert world.starter.claim_one(run_id, T0) is None
    assert world.row(run_id).sequence == 0


def test_a_run_that_ended_before_anybody_claimed_it_needs_no_workflow(world: World) -> None:
    members(world, "ada", "ben")
    world.journey(DAY, entry=EVERYBODY)
    entry = open_entry(world)
    (claimed,) = world.starter.claim(entry.id, T0, 1)
    world.stop()

    assert world.starter.claim(entry.id, T0) == []
    assert world.starter.left(entry.id) == 1
    (promised,) = world.starter.claim(entry.id, T0 + CLAIM_LASTS)

    assert promised.run_id == claimed.run_id
    assert promised.answer is not None
    assert promised.answer.plan == Finish("stopped", "stopped")


def test_a_member_who_is_deleted_after_the_verdict_leaves_at_the_first_decision(world: World) -> None:
    (ada,) = members(world, "ada")
    world.journey(DAY, entry=EVERYBODY)
    entry = open_entry(world)
    with world.database.write() as connection:
        connection.execute(sa.delete(profiles).where(profiles.c.id == ada))

    (order,) = world.starter.claim(entry.id, T0)

    assert order.answer is not None
    assert order.answer.plan == Finish("exited", "profile_deleted")
    assert world.desk.finish(entry.id, T0).entered == 1


# -- the timetable ------------------------------------------------------------------------------------------------


def due(world: World, after: timedelta) -> str | None:
    occurrence = world.timetable.due("trip", T0 + after)
    return occurrence.key if occurrence else None


def test_a_firing_is_for_the_occurrence_of_its_instant_also_when_that_is_done(world: World) -> None:
    world.journey(DAY, entry=EVERY_DAY)
    open_entry(world)
    assert due(world, timedelta(0)) == "2026-12-01T09:00"
    assert due(world, A_DAY) == "2026-12-02T09:00"


def test_a_firing_by_hand_is_for_the_latest_that_nobody_took_in(world: World) -> None:
    world.journey(DAY, entry=EVERY_DAY)
    assert due(world, -A_SECOND) is None
    assert due(world, A_DAY + A_SECOND) == "2026-12-02T09:00"
    open_entry(world, 1)
    assert due(world, A_DAY + A_SECOND) is None


def test_the_only_occurrence_of_a_journey_is_found_however_late(world: World) -> None:
    world.journey(DAY, entry=EVERYBODY)
    years = timedelta(days=2000)
    assert due(world, years) == "2026-12-01T09:00"
    ahead = world.timetable.ahead("trip", T0 + years)
    assert ahead is not None
    assert (ahead.coming, ahead.only, ahead.overdue) == ([], "2026-12-01T09:00", True)

    open_entry(world)

    assert due(world, years) is None
    ahead = world.timetable.ahead("trip", T0 + years)
    assert ahead is not None
    assert not ahead.overdue


def test_a_new_version_does_not_repeat_the_start(world: World) -> None:
    world.journey(DAY, entry={"segment": "everybody"})
    first = world.timetable.ahead("trip", T0)
    world.later(timedelta(minutes=30))
    world.journey(DAY, MAIL, entry={"segment": "everybody"})
    second = world.timetable.ahead("trip", T0)

    assert first is not None
    assert second is not None
    assert first.coming == second.coming
    assert [occurrence.at for occurrence in first.coming] == [T0 + timedelta(hours=1)]


@pytest.mark.parametrize(
    ("now", "overdue"),
    [
        (timedelta(0), True),  # published at the very instant of an occurrence
        (timedelta(seconds=4), True),
        (timedelta(hours=1), True),
        (timedelta(hours=1, seconds=1), False),  # beyond the catch-up window
    ],
)
def test_an_occurrence_that_passed_while_the_schedule_was_being_written_is_overdue(
    world: World, now: timedelta, overdue: bool
) -> None:
    world.journey(DAY, entry=EVERY_DAY)
    ahead = world.timetable.ahead("trip", T0 + now)
    assert ahead is not None
    assert ahead.overdue is overdue
    open_entry(world)
    ahead = world.timetable.ahead("trip", T0 + now)
    assert ahead is not None
    assert not ahead.overdue


def test_what_passed_before_the_publication_is_not_overdue(world: World) -> None:
    world.now = T0 + timedelta(minutes=1)
    world.journey(DAY, entry=EVERY_DAY)
    ahead = world.timetable.ahead("trip", world.now + A_SECOND)
    assert ahead is not None
    assert not ahead.overdue


@pytest.mark.parametrize("entry", [None, EVERYBODY])
def test_a_journey_that_takes_nobody_in_by_itself_has_no_timetable(world: World, entry: dict[str, Any] | None) -> None:
    more: dict[str, Any] = {"entry": entry} if entry else {}
    world.journey(DAY, **more)
    if entry:
        world.close()
    assert world.timetable.ahead("trip", T0) is None
    assert world.timetable.due("trip", T0) is None


def test_at_most_two_hundred_occurrences_are_ahead(world: World) -> None:
    world.journey(DAY, entry=EVERY_DAY)
    ahead = world.timetable.ahead("trip", T0)
    assert ahead is not None
    assert len(ahead.coming) == 200
    assert ahead.only is None


def test_who_enters_parks_like_anybody_else(world: World) -> None:
    members(world, "ada")
    world.journey(DAY, entry=EVERYBODY)
    (order,) = world.starter.claim(open_entry(world).id, T0)
    assert order.answer is not None
    assert order.answer.plan == Park(T0 + A_DAY, "waits")
