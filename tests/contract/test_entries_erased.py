"""Once ever outlives a deleted profile."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from wend.documents import parse_definition
from wend.entries.opening import EntryDesk, OpenedEntry
from wend.journeys.occurrences import Occurrence
from wend.lifecycle.publishing import publish, put_draft
from wend.lifecycle.versions import Versions
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.runs.erasing import erase_profile
from wend.segments import store as segment_store
from wend.segments.rules import parse_rule
from wend.storage.database import Database
from wend.storage.tables import erased_entrants, exclusions, runs

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


def publish_journey(database: Database) -> None:
    document = {
        "key": "welcome",
        "name": "Welcome",
        "entry": {"segment": "everybody"},
        "steps": [{"id": "pause", "type": "wait", "for": "P1D"}],
    }
    with database.write() as connection:
        segment_store.put_rule(connection, "everybody", "Everybody", parse_rule({"identity": "email"}), NOW)
        put_draft(connection, parse_definition(document), NOW)
        publish(connection, "welcome", NOW)


def load(database: Database, *names: str) -> list[UUID]:
    people = [ProfileUpsert(external_id=name, identities={"email": f"{name}@example.com"}) for name in names]
    with database.write() as connection:
        return [result.id for result in profile_store.upsert(connection, people, NOW)]


def enter(database: Database, hours: int) -> OpenedEntry:
    at = NOW + timedelta(hours=hours)
    opened = EntryDesk(database, Versions()).open("welcome", Occurrence(f"{at:%H:%M}", at), at)
    assert opened is not None
    return opened


def test_who_entered_and_was_erased_does_not_enter_again_when_loaded_anew(database: Database) -> None:
    publish_journey(database)
    ada, _ = load(database, "ada", "ben")
    assert enter(database, 1).entered == 2
    with database.write() as connection:
        erase_profile(connection, ada, NOW + timedelta(hours=2))
    (returned,) = load(database, "ada")
    assert returned != ada

    again = enter(database, 3)

    assert (again.members, again.entered, again.excluded) == (2, 0, 2)
    with database.read() as connection:
        reasons = connection.execute(
            sa.select(exclusions.c.reason).where(exclusions.c.entry_id == again.id, exclusions.c.profile_id == returned)
        ).scalars()
        assert list(reasons) == ["already_entered"]


def test_who_was_erased_without_having_entered_may_enter(database: Database) -> None:
    publish_journey(database)
    (ada,) = load(database, "ada")
    with database.write() as connection:
        erase_profile(connection, ada, NOW)
    load(database, "ada")
    assert enter(database, 1).entered == 1


def test_what_is_kept_of_an_erased_entrant_is_a_keyed_hash(database: Database) -> None:
    publish_journey(database)
    (ada,) = load(database, "ada")
    enter(database, 1)
    with database.write() as connection:
        erase_profile(connection, ada, NOW + timedelta(hours=2))
    with database.read() as connection:
        (kept,) = connection.scalars(sa.select(erased_entrants.c.pseudonym))
        assert re.fullmatch("[0-9a-f]{64}", kept)
        assert kept != hashlib.sha256(b"ada").hexdigest()
        assert connection.scalar(sa.select(sa.func.count()).select_from(runs)) == 1
