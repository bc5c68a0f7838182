"""What providers tell of messages: stored once, folded into the ledger, and nothing else moves by it."""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend.channels.port import Accepted, NotAccepted, Refused, Unknown
from wend.journeys.state import message_id
from wend.runs.decide import Answer
from wend.sends.provider_events import Channel, ProviderEvent, record_provider_events
from wend.sends.reading import SentMessage, read_sent
from wend.sends.standing import KINDS, EventKind
from wend.storage.database import Database
from wend.storage.tables import events, provider_events

HOUR = timedelta(hours=1)
LOST = Unknown("connection_lost", "after the data")
INSIST = MAIL | {"delivery": "at_least_once"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def tell(world: World, *told: ProviderEvent) -> list[str]:
    """Have the provider tell something; return what became of each event."""
    with world.database.write() as connection:
        return [str(each.status) for each in record_provider_events(connection, told, world.time())]


def said(
    message: UUID | tuple[Channel, str], kind: EventKind, hours: float = 0, key: str | None = None
) -> ProviderEvent:
    return ProviderEvent(key or str(uuid4()), message, kind, T0 + hours * HOUR)


def sent(world: World, id: UUID) -> SentMessage:
    with world.database.read() as connection:
        return read_sent(connection, id).sent


def uncertain(world: World, *steps: Mapping[str, object]) -> tuple[UUID, UUID]:
    """Return a run and its message, of which nobody knows whether the provider took it."""
    world.journey(*(steps or (MAIL, DAY)))
    run_id = world.enter(world.person("ada"))
    world.send(run_id, LOST)
    return run_id, message_id(run_id, "mail", 1)


def standing(world: World, id: UUID) -> tuple[str, str | None]:
    row = sent(world, id)
    return row.state, row.reason


# -- what they settle ---------------------------------------------------------------------------------------------


def test_they_settle_an_uncertain_send_and_move_no_run(world: World) -> None:
    run_id, id = uncertain(world)
    before = world.row(run_id)
    told: list[tuple[EventKind, str]] = [("rejected", "refused"), ("delivered", "accepted"), ("bounced", "accepted")]
    for kind, state in told:
        assert tell(world, said(id, kind)) == ["recorded"]
        assert standing(world, id) == (state, "told_by_provider")
    assert sent(world, id).detail == "connection_lost: after the data"
    assert world.row(run_id) == before
    assert world.figures().messages == {"accepted": 1}
    assert world.waiting("wake_run") == []


def test_a_click_that_the_provider_counted_is_none_of_ours(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    run_id, id = uncertain(world, MAIL, AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}, TEXT)
    tell(world, said(id, "clicked"))
    assert sent(world, id).clicked_at == T0
    assert world.rows(events) == []
    assert world.row(run_id).step == "look"


@pytest.mark.parametrize("outcome", [Accepted("r-1"), Refused("recipient_refused")], ids=["accepted", "refused"])
def test_what_an_attempt_learned_itself_stands_and_what_was_told_is_shown(
    sqlite_database: Database, outcome: Accepted | Refused
) -> None:
    world = World(sqlite_database)
    world.journey(MAIL | {"on_failure": "day"}, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, outcome)
    id = message_id(run_id, "mail", 1)
    before = standing(world, id)
    tell(world, said(id, "rejected", 1), said(id, "delivered", 2))
    assert standing(world, id) == before
    assert (sent(world, id).rejected_at, sent(world, id).delivered_at) == (T0 + HOUR, T0 + 2 * HOUR)


def test_an_event_while_the_attempt_is_under_way_waits_for_how_that_ends(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    id = claim.message.message_id
    tell(world, said(id, "delivered"))
    assert standing(world, id) == ("claimed", None)

    answer = world.settle(claim, LOST)

    assert isinstance(answer, Answer)
    assert standing(world, id) == ("accepted", "told_by_provider")
    assert world.path(run_id).moves[-1].why["outcome"] == "accepted"


def test_a_lost_attempt_whose_message_was_delivered_is_not_uncertain(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    id = world.claimed(run_id).message.message_id
    tell(world, said(id, "opened"))
    assert isinstance(world.claim(run_id), Answer)
    assert standing(world, id) == ("accepted", "told_by_provider")
    assert sent(world, id).detail == "attempt_lost: the attempt ended without an outcome"


def test_what_was_delivered_is_not_sent_again_by_a_send_that_insists(world: World) -> None:
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, LOST)
    id = message_id(run_id, "mail", 1)
    assert standing(world, id)[0] == "released"
    tell(world, said(id, "delivered"))
    assert standing(world, id)[0] == "released"

    assert isinstance(world.claim(run_id), Answer)

    assert standing(world, id) == ("accepted", "told_by_provider")
    assert world.row(run_id).step == "day"


def test_a_try_that_fails_after_the_one_before_was_delivered_ends_the_send(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, LOST)
    claim = world.claimed(run_id)
    tell(world, said(claim.message.message_id, "delivered"))
    assert isinstance(world.settle(claim, NotAccepted("rate_limited")), Answer)
    assert standing(world, claim.message.message_id) == ("accepted", "told_by_provider")


def test_a_late_outcome_counts_more_than_what_was_told(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    world.claim(run_id)
    tell(world, said(claim.message.message_id, "rejected"))
    assert standing(world, claim.message.message_id)[0] == "refused"
    world.settle(claim, Accepted("r-1"))
    assert standing(world, claim.message.message_id) == ("accepted", "late_outcome")


def test_what_a_stopped_journey_leaves_behind_is_settled_by_what_was_told(world: World) -> None:
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, LOST)
    id = message_id(run_id, "mail", 1)
    tell(world, said(id, "delivered"))
    world.stop()
    assert standing(world, id) == ("accepted", "told_by_provider")


# -- order and copies ---------------------------------------------------------------------------------------------


def test_fifty_copies_of_each_in_any_order_leave_the_same_row_as_once_in_order(world: World) -> None:
    """Also where several requests bring them at the same time."""
    world.journey(MAIL, DAY)
    ids = []
    for name in ("in-order", "shuffled"):
        run_id = world.enter(world.person(name))
        world.send(run_id, LOST)
        ids.append(message_id(run_id, "mail", 1))
    once = [(kind, hours) for hours, kind in enumerate(KINDS)]
    for kind, hours in once:
        tell(world, said(ids[0], kind, hours, f"in-order/{kind}"))
    many = [said(ids[1], kind, hours, f"shuffled/{kind}") for kind, hours in once] * 50
    random.Random(7).shuffle(many)
    batches = [many[start : start + 25] for start in range(0, len(many), 25)]

    with ThreadPoolExecutor(5) as executor:
        became = [status for batch in executor.map(lambda batch: tell(world, *batch), batches) for status in batch]

    assert sorted(became) == ["known"] * (49 * len(KINDS)) + ["recorded"] * len(KINDS)
    one, other = (sent(world, id) for id in ids)
    apart = ("id", "run_id", "profile_id")
    shown = [{name: getattr(row, name) for name in row.__slots__ if name not in apart} for row in (one, other)]
    assert shown[0] == shown[1]
    assert shown[1]["state"] == "accepted"


def test_the_earliest_instant_of_each_kind_is_kept(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    _, id = uncertain(world)
    tell(world, said(id, "opened", 5), said(id, "opened", 2), said(id, "opened", 9))
    assert sent(world, id).opened_at == T0 + 2 * HOUR
    assert len(world.rows(provider_events)) == 3


def test_batches_that_share_messages_and_ids_in_opposite_orders_come_to_an_end(world: World) -> None:
    world.journey(MAIL, DAY)
    ids = []
    for name in "abcdef":
        run_id = world.enter(world.person(name))
        world.send(run_id, LOST)
        ids.append(message_id(run_id, "mail", 1))
    batch = [said(id, kind, 0, f"{id}/{kind}") for id in ids for kind in KINDS]
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda turn: tell(world, *(batch if turn % 2 else batch[::-1])), range(8)))
    assert {sent(world, id).state for id in ids} == {"accepted"}
    assert len(world.rows(provider_events)) == len(batch)


# -- which message is meant ---------------------------------------------------------------------------------------


def test_a_message_is_found_by_what_it_may_be_called(world: World) -> None:
    """Our id; the Message-ID of its mail, as it is or as providers write it; the idempotency key given back."""
    _, id = uncertain(world)
    names = (f"<{id.hex}@news.example.com>", f"{id.hex}@news.example.com".upper(), str(id))
    called: list[UUID | tuple[Channel, str]] = [id, *(("email", name) for name in names)]
    assert tell(world, *(said(name, "delivered") for name in called)) == ["recorded"] * 4


def test_a_reference_is_its_channels_own(world: World) -> None:
    world.journey(TEXT)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, Accepted("SM-1"))
    assert tell(world, said(("email", "SM-1"), "delivered")) == ["unknown_message"]
    assert tell(world, said(("sms", "SM-1"), "delivered")) == ["recorded"]
    assert sent(world, message_id(run_id, "text", 1)).delivered_at == T0


def test_a_reference_that_several_messages_have_tells_of_none(world: World) -> None:
    world.journey(MAIL, DAY)
    for name in ("ada", "bob"):
        world.send(world.enter(world.person(name)), Accepted("4XYZ"))
    assert tell(world, said(("email", "4XYZ"), "bounced")) == ["ambiguous_reference"]
    assert world.rows(provider_events) == []


def test_an_unknown_message_holds_up_nothing_else_of_its_batch(world: World) -> None:
    _, id = uncertain(world)
    told = [said(uuid4(), "delivered"), said(id, "delivered"), said(("sms", "nobody's"), "bounced")]
    assert tell(world, *told) == ["unknown_message", "recorded", "unknown_message"]
    assert standing(world, id)[0] == "accepted"


def test_an_id_that_came_before_with_another_event_changes_nothing(world: World) -> None:
    _, id = uncertain(world)
    assert tell(world, said(id, "rejected", 1, "e-1")) == ["recorded"]
    assert tell(world, said(id, "delivered", 1, "e-1"), said(id, "rejected", 1, "e-1")) == ["used_otherwise", "known"]
    assert standing(world, id)[0] == "refused"


def test_no_address_that_a_provider_quotes_is_kept(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    _, id = uncertain(world)
    tell(world, ProviderEvent("e-1", id, "bounced", T0, "550 5.1.1 <ada@example.com>: no such user"))
    (row,) = world.rows(provider_events)
    assert "ada@" not in row.detail
    assert row.detail.startswith("550 5.1.1")
