"""What publishing sees only with the database at hand."""

from datetime import UTC, datetime
from typing import Any

import pytest

from wend.documents import parse_definition
from wend.errors import Problem
from wend.lifecycle.publishing import check_draft
from wend.messages import store as message_store
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.segments import store as segment_store
from wend.segments.rules import parse_rule
from wend.storage.database import Database

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


def put_message(database: Database, text: str) -> None:
    with database.write() as connection:
        message_store.put(connection, "hello", "Hello", message_store.parse_content(sms(text)), NOW)


def sms(text: str) -> dict[str, str]:
    return {"channel": "sms", "text": text}


@pytest.fixture
def world(database: Database) -> Database:
    with database.write() as connection:
        person = ProfileUpsert(external_id="ada", identities={"phone": "+12025550100"})
        profile_store.upsert(connection, [person], NOW)
        segment_store.put_rule(connection, "everybody", "Everybody", parse_rule({"identity": "phone"}), NOW)
    return database


def ready(database: Database) -> None:
    with database.write() as connection:
        message_store.make_ready(connection, "hello", None, NOW)


def check(database: Database, *, entry: bool = True, steps: list[dict[str, Any]] | None = None) -> list[Problem]:
    document: dict[str, Any] = {"key": "trial", "name": "Trial"}
    document["steps"] = steps or [{"id": "greet", "type": "send_sms", "message": "hello"}]
    if entry:
        document["entry"] = {"segment": "everybody"}
    with database.read() as connection:
        return check_draft(connection, parse_definition(document))


def test_a_property_that_segment_members_never_have_is_refused(world: Database) -> None:
    put_message(world, "From {{ run.properties.source }}")
    ready(world)
    (problem,) = check(world)
    assert problem.path == "steps.greet.message"
    assert "run.properties.source" in problem.message
    assert problem.severity == "error"


def test_a_journey_that_only_the_api_starts_may_print_properties(world: Database) -> None:
    put_message(world, "From {{ run.properties.source }}")
    ready(world)
    assert check(world, entry=False) == []


def test_a_property_with_a_default_may_be_sent_to_a_segment(world: Database) -> None:
    put_message(world, "From {{ run.properties.source | default: 'us' }}")
    ready(world)
    assert check(world) == []


def test_an_edited_message_is_told_and_passes(world: Database) -> None:
    put_message(world, "One")
    ready(world)
    put_message(world, "Two")
    (problem,) = check(world)
    assert problem.severity == "warning"
    assert "wend messages ready hello" in problem.message


@pytest.mark.parametrize(
    "step",
    [
        {"id": "greet", "type": "wait_for_event", "event": "click", "within": "P1D"},
        {"id": "greet", "type": "if", "cases": [{"when": {"event": "click", "within": "P1D"}, "next": "exit"}]},
    ],
    ids=["waited-for", "branched-by"],
)
def test_clicks_are_not_waited_for_as_events(world: Database, step: dict[str, Any]) -> None:
    (problem,) = check(world, steps=[step])
    assert "wait_for_click" in problem.message
