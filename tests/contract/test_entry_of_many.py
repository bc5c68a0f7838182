"""Five thousand members, every reason to be left out among them: each has one verdict, and it is the right one."""

from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.support.world import MAIL, T0, World
from wend.entries.opening import OpenedEntry
from wend.entries.verdicts import REASONS
from wend.journeys.occurrences import Occurrence
from wend.storage.database import Database
from wend.storage.tables import exclusions, identities, profiles, runs, segment_members

MEMBERS = 5_000
SOME = 40
A_MINUTE = timedelta(minutes=1)
ENTRY = {
    "segment": ["club", "gold"],
    "exclude": ["employees"],
    "namespace": "email",
    "frequency": "once_and_joiners",
    "backfill": False,
    "schedule": {"start": {"at": "2026-12-01T09:00"}},
}


@pytest.fixture
def world(database: Database) -> World:
    world = World(database)
    for key in ("club", "employees"):
        world.listed(key)
    world.rule("gold", {"attribute": "level", "op": "eq", "value": "gold"})
    return world


def load(world: World, count: int, *, listed: bool, with_email: bool = True) -> list[UUID]:
    """Load members in bulk: put on the list, or such that the rule takes them in."""
    ids = [uuid4() for _ in range(count)]
    level = {} if listed else {"level": "gold"}
    now = world.now
    with world.database.write() as connection:
        connection.execute(
            sa.insert(profiles), [{"id": id, "attributes": level, "created_at": now, "updated_at": now} for id in ids]
        )
        if with_email:
            rows = [{"profile_id": id, "namespace": "email", "value": f"{id}@example.com"} for id in ids]
            connection.execute(sa.insert(identities), rows)
    if listed:
        put_on(world, "club", ids)
    return ids


def put_on(world: World, key: str, ids: list[UUID]) -> None:
    rows = [{"segment_key": key, "profile_id": id, "added_at": world.now} for id in ids]
    with world.database.write() as connection:
        connection.execute(sa.insert(segment_members), rows)


def have_run(world: World, ids: list[UUID], times: int = 1, *, ended: bool = True) -> None:
    for _ in range(times):
        for id in ids:
            world.request(id)
        if ended:
            with world.database.write() as connection:
                ending = {"state": "completed", "ended_at": world.now}
                connection.execute(sa.update(runs).where(runs.c.profile_id.in_(ids)).values(**ending))


def verdicts(world: World, entry: OpenedEntry | None) -> dict[UUID, str | None]:
    """Return what each member got, read from the rows one by one: a second one for the same member fails."""
    assert entry is not None
    given: dict[UUID, str | None] = {}
    for row in world.rows(runs, runs.c.entry_id == entry.id):
        assert given.setdefault(row.profile_id, None) is None
    for row in world.rows(exclusions, exclusions.c.entry_id == entry.id):
        assert row.profile_id not in given
        given[row.profile_id] = row.reason
    return given


def look(world: World) -> OpenedEntry | None:
    now = world.later(A_MINUTE)
    return world.desk.look_for_joiners("trip", now, now)


def test_a_large_entry_adds_up_to_the_last_member(world: World) -> None:
    there = load(world, SOME, listed=False)
    world.journey(MAIL, entry=ENTRY)
    start = world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0)
    assert verdicts(world, start) == dict.fromkeys(there, "before_start")
    early = load(world, SOME, listed=True)
    assert verdicts(world, look(world)) == dict.fromkeys(early)
    world.unlist("club", early)
    look(world)
    world.pause(entries="drop")
    dropped = load(world, SOME, listed=True)
    meanwhile = look(world)
    assert verdicts(world, meanwhile) == dict.fromkeys(dropped, "paused")
    world.resume()

    expected: dict[UUID, str | None] = dict.fromkeys(early, "already_entered")
    put_on(world, "club", early)
    expected |= dict.fromkeys(load(world, SOME, listed=True, with_email=False), "no_identity")
    employees = load(world, SOME, listed=False)
    put_on(world, "employees", employees)
    expected |= dict.fromkeys(employees, "excluded_segment")
    for reason, times, ended in (("still_inside", 1, False), ("entry_limit", 3, True), ("too_soon", 1, True)):
        people = load(world, SOME, listed=True)
        have_run(world, people, times, ended=ended)
        expected |= dict.fromkeys(people, reason)
    world.journey(MAIL, entry=ENTRY, reentry={"after": "P1D", "limit": 3})
    both = load(world, SOME, listed=False)  # in both segments: one verdict
    put_on(world, "club", both)
    expected |= dict.fromkeys(both)
    rest = MEMBERS - len(expected)
    expected |= dict.fromkeys(load(world, rest // 2, listed=True) + load(world, rest - rest // 2, listed=False))
    entry = look(world)

    assert verdicts(world, entry) == expected
    assert entry is not None
    assert (entry.members, entry.entered + entry.excluded) == (MEMBERS, MEMBERS)
    told = sum((Counter(verdicts(world, each).values()) for each in (start, meanwhile, entry)), Counter())
    assert {reason for reason in told if reason is not None} == set(REASONS)
    assert all(told[reason] == SOME for reason in REASONS)
    assert look(world) is None
    world.figures()
