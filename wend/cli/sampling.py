"""Loads the samples: people, segments, messages and journeys, each only where it is not there yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from wend.cli.people import Invented, invent
from wend.documents import parse_definition, read_document
from wend.errors import NotFound
from wend.journeys.definition import JourneyDefinition
from wend.journeys.model import load_zone
from wend.lifecycle.publishing import publish, put_draft
from wend.messages import store as message_store
from wend.messages.context import MessageContext, ProfileContext, RunContext
from wend.profiles import store as profile_store
from wend.segments import lists
from wend.segments import store as segment_store
from wend.segments.lists import Listed
from wend.segments.rules import parse_rule
from wend.storage.database import Database, chunks, lock_journey

REFERENCE = "product-launch"
"""The reference journey."""

TO_TRY = "product-launch-now"
"""The journey that one person is sent through by hand."""

SEGMENT = "most-valuable-customers"
EMPLOYEES = "employees"
MESSAGES = ("product-announcement", "product-launched")

LAUNCH_AHEAD = timedelta(days=9)
"""How far the launch day of the sample journey stands ahead of the day on which it is loaded."""


PEOPLE_INSIDE, PEOPLE_OUTSIDE = 240, 60
"""Sample profiles: members of the segment, and others."""


@dataclass(frozen=True)
class Loaded:
    """What was not there before: how many profiles, and the keys of everything else."""

    profiles: int
    things: tuple[str, ...]


def load_samples(database: Database, now: datetime) -> Loaded:
    """Load everything that a newcomer finds."""
    with database.write() as connection:
        loaded = load_audience(connection, list(invent(PEOPLE_INSIDE, PEOPLE_OUTSIDE)), now)
        journeys = load_journeys(connection, sample_journeys(now), now)
    return Loaded(loaded.profiles, (*loaded.things, *journeys))


def read_sample(name: str) -> dict[str, Any]:
    """Return the document of a sample, such as ``product-launch.journey``."""
    text = files("wend.cli").joinpath("samples", f"{name}.yaml").read_bytes()
    document: dict[str, Any] = read_document(text, f"The sample {name}")
    return document


def load_audience(connection: Connection, people: Sequence[Invented], now: datetime) -> Loaded:
    """Load people, both segments and both messages."""
    things = []
    added = _load_people(connection, people, now)
    if _is_absent(segment_store.get, connection, SEGMENT):
        document = read_sample(f"{SEGMENT}.segment")
        segment_store.put_rule(connection, SEGMENT, document["name"], parse_rule(document["rule"]), now)
        things.append(SEGMENT)
    if _is_absent(segment_store.get, connection, EMPLOYEES):
        segment_store.put_list(connection, EMPLOYEES, read_sample(f"{EMPLOYEES}.segment")["name"], now)
        employees = [_external_id(person) for person in people if person.employee]
        lists.add_members(connection, EMPLOYEES, Listed(external_ids=employees), now)
        things.append(EMPLOYEES)
    for key in MESSAGES:
        if _is_absent(message_store.get, connection, key):
            document = read_sample(f"{key}.message")
            content = message_store.parse_content(document["content"], key)
            message_store.put(connection, key, document["name"], content, now)
            message_store.make_ready(connection, key, _somebody(people[0]), now)
            things.append(key)
    return Loaded(added, tuple(things))


def load_journeys(connection: Connection, definitions: Iterable[JourneyDefinition], now: datetime) -> tuple[str, ...]:
    """Publish those journeys that are not there yet; return their keys."""
    published = []
    for definition in definitions:
        if lock_journey(connection, definition.key) is None:
            put_draft(connection, definition, now)
            publish(connection, definition.key, now)
            published.append(definition.key)
    return tuple(published)


def sample_journeys(now: datetime) -> list[JourneyDefinition]:
    """Return the reference journey, its launch day ahead of ``now``, and the one to try out."""
    reference = read_sample(f"{REFERENCE}.journey")
    day = now.astimezone(load_zone(reference["time_zone"])).date() + LAUNCH_AHEAD
    step(reference, "launch-day")["at"] = f"{day}T09:00"
    return [parse_definition(reference), parse_definition(read_sample(f"{TO_TRY}.journey"))]


def step(document: dict[str, Any], id: str) -> dict[str, Any]:
    """Return a step of a journey's document, to be changed there."""
    found: dict[str, Any] = next(each for each in document["steps"] if each["id"] == id)
    return found


def _load_people(connection: Connection, people: Sequence[Invented], now: datetime) -> int:
    added = 0
    for some in chunks(people):
        known = profile_store.find_external(connection, [_external_id(person) for person in some])
        absent = [person.profile for person in some if person.profile.external_id not in known]
        profile_store.upsert(connection, absent, now)
        added += len(absent)
    return added


def _external_id(person: Invented) -> str:
    assert person.profile.external_id is not None
    return person.profile.external_id


def _is_absent(get: Any, connection: Connection, key: str) -> bool:
    try:
        get(connection, key)
    except NotFound:
        return True
    return False


def _somebody(person: Invented) -> MessageContext:
    identities = {namespace: value for namespace, value in person.profile.identities.items() if value is not None}
    profile = ProfileContext(UUID(int=0), person.profile.attributes, identities, person.profile.time_zone)
    return MessageContext(profile, RunContext(UUID(int=0), REFERENCE))
