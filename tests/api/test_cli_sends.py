"""``wend messages --uncertain`` and what is done about them, against the real API, over SQLite."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from api.parts import ApiParts
from tests.support.commands import Ran, run_command, served
from tests.support.world import DAY, KEYS, MAIL, World
from wend.channels.port import Unknown
from wend.journeys.state import message_id
from wend.sends.provider_events import ProviderEvent, record_provider_events
from wend.storage.database import Database

Wend = Callable[..., Ran]


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


@pytest.fixture
def wend(world: World) -> Iterator[Wend]:
    """Runs a command against the API."""
    with served(ApiParts(world.database, KEYS, world.time, "https://wend.example")) as url:
        yield lambda *words, **more: run_command(*words, api=url, **more)


def uncertain(world: World, name: str) -> UUID:
    """Return a message of which nobody knows whether its provider took it."""
    run_id = world.enter(world.person(name))
    world.send(run_id, Unknown("timed_out", "content: no answer within 15 s"))
    return message_id(run_id, "mail", 1)


def test_uncertain_sends_are_listed_shown_settled_and_sent_again(
    wend: Wend, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEND_ACTOR", "ada")
    world.journey(MAIL, DAY)
    assert "No send is uncertain." in wend("messages", "--uncertain").said
    first, second = uncertain(world, "ada"), uncertain(world, "bob")

    listed = wend("messages", "--uncertain", "--journey", "trip")
    assert listed.exit_code == 0
    assert str(first) in listed.said
    assert "hello timed out 2026-12-01 09:00" in listed.said
    assert {each["id"] for each in wend("messages", "--uncertain", "--json").json} == {str(first), str(second)}
    assert wend("messages", "--uncertain", "--journey", "other").exit_code == 1

    with world.database.write() as connection:
        told = ProviderEvent("e-1", first, "rejected", world.now, "30005")
        record_provider_events(connection, [told], world.now)
    shown = wend("messages", "sent", first).said
    assert "refused (told by provider: timed_out: content: no answer within 15 s)" in shown
    assert "rejected 30005 e-1" in shown
    assert wend("messages", "settle", first, "--as", "accepted").exit_code == 1

    asks = wend("messages", "resend", second)
    assert asks.exit_code == 2
    assert "who may have it already? Nobody can answer that here" in asks.said
    assert f"Message {second} is sent again" in wend("messages", "resend", second, "--yes").said
    assert "is sent again" in wend("messages", "--uncertain").said
    assert wend("messages", "resend", second, "--yes").exit_code == 1

    settled = wend("messages", "settle", second, "--as", "accepted", "--reason", "she has it")
    assert "accepted (settled by operator: timed_out:" in settled.said
    audit = wend("audit", "trip").said
    assert f"settle trip 1 message {second} as accepted: she has it" in audit
    assert f"resend trip 1 message {second}" in audit


def test_what_cannot_be_meant_is_said(wend: Wend) -> None:
    assert "There is: --uncertain" in wend("messages", "--journey", "trip").said
    assert "a list of its own, without list" in wend("messages", "--uncertain", "list").said
    assert "Usage" in wend("messages").said
