"""Who would enter, and when: what is told ahead is what then happens."""

from datetime import timedelta
from typing import Any

from tests.support.world import DAY, T0, World
from wend.documents import parse_definition
from wend.entries.audience import Audience, read_audience
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.publishing import put_draft, read_draft
from wend.runs.erasing import erase_profile
from wend.storage.database import Database


def audience(world: World, sample: int = 10) -> Audience:
    """Return the draft's audience, read on a connection that cannot write."""
    with world.database.read() as connection:
        return read_audience(connection, read_draft(connection, "trip"), world.time(), sample)


def put(world: World, entry: dict[str, Any], **more: Any) -> None:
    """Save a draft."""
    definition = parse_definition({"key": "trip", "name": "Trip", "entry": entry, "steps": [DAY], **more})
    with world.database.write() as connection:
        put_draft(connection, definition, world.time())


def enter(world: World) -> dict[str, int]:
    """Have the published journey's segments enter now; return the figures of that entry, exclusions by reason."""
    at = world.time()
    opened = world.desk.open("trip", Occurrence(f"{at:%Y-%m-%dT%H:%M:%SZ}", at), at)
    assert opened is not None
    figures = world.figures()
    return {"members": opened.members, "entered": opened.entered, **figures.excluded}


def test_what_is_told_ahead_is_what_happens(database: Database) -> None:
    world = World(database)
    people = [*world.people(["ada", "bob", "cem"]), world.person("dee", email=None)]
    world.listed("gold", people)
    world.listed("silver", people[:2])
    world.listed("staff", people[:1])
    put(world, {"segment": ["gold", "silver"], "exclude": ["staff"], "namespace": "email"})
    told = audience(world)
    assert (told.members, told.entering, set(told.sample)) == (4, 2, set(people[1:3]))
    assert told.excluded == {"excluded_segment": 1, "no_identity": 1}
    assert len(audience(world, sample=1).sample) == 1
    assert audience(world, sample=0).sample == []
    world.journey(DAY, entry={"segment": ["gold", "silver"], "exclude": ["staff"], "namespace": "email"})
    assert enter(world) == {"members": told.members, "entered": told.entering, **told.excluded}


def test_of_a_journey_that_looks_for_joiners_everybody_is_told(database: Database) -> None:
    world = World(database)
    ada, bob, cem = world.people(["ada", "bob", "cem"])
    dee = world.person("dee", email=None)
    world.listed("gold", [ada, dee])
    entry = {"segment": "gold", "frequency": "once_and_joiners", "namespace": "email"}
    world.journey(DAY, entry=entry)
    enter(world)
    world.person("dee", email="dee@example.com")
    world.listed("gold", [bob, cem])
    told = audience(world)
    assert (told.members, told.entering, set(told.sample)) == (4, 2, {bob, cem})
    assert told.excluded == {"already_entered": 1, "judged": 1}


def test_the_erased_who_came_back_are_known(database: Database) -> None:
    """They were told as entering, and then did not enter: their pseudonyms are not to be found by SQL."""
    world = World(database)
    ada, bob = world.people(["ada", "bob"])
    world.listed("gold", [ada, bob])
    world.journey(DAY, entry={"segment": "gold"})
    enter(world)
    with database.write() as connection:
        erase_profile(connection, ada, world.later(timedelta(hours=1)))
    returned, cem = world.people(["ada", "cem"])
    world.listed("gold", [returned, cem])
    told = audience(world)
    assert (told.members, told.entering, told.sample) == (3, 1, [cem])
    assert told.excluded == {"already_entered": 2}
    assert audience(world, sample=1).sample == [cem]


def test_who_was_there_before_the_start_has_been_judged(database: Database) -> None:
    world = World(database)
    world.listed("gold", world.people(["ada", "bob"]))
    entry = {"segment": "gold", "frequency": "once_and_joiners", "backfill": False}
    world.journey(DAY, entry=entry)
    assert (audience(world).members, audience(world).excluded) == (2, {"before_start": 2})
    enter(world)
    world.listed("gold", world.people(["cem"]))
    told = audience(world)
    assert (told.members, told.entering, told.excluded) == (3, 1, {"judged": 2})


def test_a_start_that_has_passed_is_told_until_it_is_taken_in(database: Database) -> None:
    world = World(database)
    world.listed("gold", world.people(["ada"]))
    entry = {"segment": "gold", "schedule": {"start": {"at": "2026-11-30T09:00"}}}
    put(world, entry)
    (start,) = audience(world).coming
    assert (start.key, start.at) == ("2026-11-30T09:00", T0 - timedelta(days=1))
    world.journey(DAY, entry=entry)
    assert audience(world).coming == [start]
    assert world.desk.open("trip", start, T0) is not None
    assert audience(world).coming == []


def test_occurrences_outside_of_the_window_are_not_told(database: Database) -> None:
    world = World(database)
    world.listed("gold")
    daily = {
        "segment": "gold",
        "frequency": "repeating",
        "schedule": {"start": {"at": "2026-12-02T09:00"}, "every": "day"},
    }
    put(world, daily, window={"opens": "2026-12-04T00:00", "closes": "2026-12-06T09:00"})
    assert [each.key for each in audience(world).coming] == ["2026-12-04T09:00", "2026-12-05T09:00", "2026-12-06T09:00"]
    put(world, daily)
    assert len(audience(world).coming) == 10
    world.journey(DAY, entry=daily)
    world.close()
    assert audience(world).coming == []
