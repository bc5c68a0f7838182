"""The ledger: at most one message per (run, step, visit), whatever a provider answers and wherever an attempt dies."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests.support.world import AWAIT_CLICK, DAY, LINK, MAIL, T0, TEXT, World
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, OutgoingSms, Refused, Unknown
from wend.journeys.results import Finish, Park, Send
from wend.journeys.state import message_id
from wend.lifecycle.ending import finish_emptied
from wend.profiles import store as profile_store
from wend.runs.decide import Answer
from wend.runs.erasing import erase_profile
from wend.runs.ledger import Claim, SendingHeld, TryAgain, pause_after
from wend.storage.database import Database
from wend.storage.tables import identities, journeys, sent_links, sent_messages

HOUR = timedelta(hours=1)
BUSY = NotAccepted("provider_unavailable", "421 busy")
LOST = Unknown("connection_lost", "after the data")
NO = Refused("recipient_refused", "550 no such mailbox")
INSIST = MAIL | {"delivery": "at_least_once"}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def states(world: World) -> list[tuple[str, int]]:
    """The ledger: (state, tries) of every row, in the order of their claims."""
    rows = world.rows(sent_messages)
    return [(row.state, row.tries) for row in sorted(rows, key=lambda row: (row.claimed_at, row.step))]


def why(world: World) -> str | None:
    """The reason that the only row gives."""
    (row,) = world.rows(sent_messages)
    reason: str | None = row.reason
    return reason


# -- a claim ------------------------------------------------------------------------------------------------------


def test_a_claim_is_a_rendered_message_with_its_id_and_its_links(world: World) -> None:
    world.message(
        "hello",
        {
            "channel": "email",
            "subject": "Hello {{ profile.name }}",
            "from": "Wend <news@example.com>",
            "html": f'<a data-link="{LINK}" href="https://example.com/{{{{ run.properties.code }}}}">a</a>',
        },
    )
    world.journey(MAIL)
    run_id = world.enter(world.person("ada", attributes={"name": "Ada"}), properties={"code": "x7"})

    message = world.claimed(run_id).message

    assert isinstance(message, OutgoingEmail)
    assert (message.message_id, message.to) == (message_id(run_id, "mail", 1), "ada@example.com")
    assert message.subject == "Hello Ada"
    assert "https://wend.example/c/" in message.html
    assert "https://example.com/" not in message.html
    (link,) = world.rows(sent_links)
    assert (link.name, link.number, link.destination) == (LINK, 1, "https://example.com/x7")


def test_a_text_message_goes_to_the_phone(world: World) -> None:
    world.journey(TEXT)
    run_id = world.enter(world.person("ada", phone="+12025550147"))
    message = world.claimed(run_id).message
    assert isinstance(message, OutgoingSms)
    assert (message.to, message.text) == ("+12025550147", "Ping")


def test_the_profile_is_rendered_as_it_is_when_it_is_claimed(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.person("ada", email="new@example.com")
    assert world.claimed(run_id).message.to == "new@example.com"


def test_the_next_visit_of_a_step_is_another_message(world: World) -> None:
    enough = {"when": {"attribute": "had_enough", "op": "exists"}, "next": "exit"}
    world.journey(MAIL, DAY, {"id": "again", "type": "if", "cases": [enough], "else": "mail"})
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.advance(run_id, None, world.later(timedelta(days=1)))
    world.send(run_id)
    sent = world.rows(sent_messages)
    assert {(row.id, row.visit) for row in sent} == {(message_id(run_id, "mail", visit), visit) for visit in (1, 2)}
    assert states(world) == [("accepted", 1), ("accepted", 1)]


# -- how a provider answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state", "said", "goes_to"),
    [
        (Accepted("r-1"), "accepted", "accepted", "day"),
        (NO, "refused", "refused", "text"),
        (LOST, "uncertain", "uncertain", "day"),
    ],
    ids=["accepted", "refused", "unknown"],
)
def test_an_outcome_settles_the_ledger_and_moves_the_run(
    world: World, outcome: Outcome, state: str, said: str, goes_to: str
) -> None:
    world.journey(MAIL | {"on_failure": "text"}, DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    world.later(timedelta(seconds=3))

    answer = world.settle(claim, outcome)

    assert isinstance(answer, Answer)
    assert answer.sequence == 2
    assert world.row(run_id).step == goes_to
    assert world.path(run_id).moves[-1].why["outcome"] == said
    (row,) = world.rows(sent_messages)
    assert (row.state, row.claimed_at, row.settled_at) == (state, T0, T0 + timedelta(seconds=3))
    assert row.reference == ("r-1" if state == "accepted" else None)


def test_a_refusal_without_a_way_out_fails_the_run_visibly(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))

    answer = world.send(run_id, NO)

    assert isinstance(answer, Answer)
    assert answer.plan == Finish("failed", "message_refused", "recipient_refused")
    assert world.figures().outcomes == {"failed: message_refused": 1}


def test_an_uncertain_send_counts_as_sent(world: World) -> None:
    """The message may have arrived, so its clicks count, from the claim's instant on."""
    world.journey(MAIL, AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}, TEXT)
    run_id = world.enter(world.person("ada"))
    answer = world.send(run_id, LOST)
    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)

    world.click(run_id)
    world.advance(run_id)

    assert world.steps(run_id)[-1] == ("text", "clicked")


def test_what_was_surely_not_accepted_is_tried_again_with_the_same_id(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    first = world.claimed(run_id)
    assert world.settle(first, BUSY) == TryAgain(timedelta(seconds=5), "provider_unavailable")
    assert states(world) == [("released", 1)]
    world.later(timedelta(minutes=1))

    second = world.claimed(run_id)
    world.settle(second)

    assert second.message.message_id == first.message.message_id
    assert states(world) == [("accepted", 2)]
    (row,) = world.rows(sent_messages)
    assert (row.claimed_at, row.reason, row.detail) == (T0 + timedelta(minutes=1), None, None)


def test_the_provider_may_ask_to_be_left_alone(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    asked = world.send(run_id, replace(BUSY, reason="rate_limited", retry_after=timedelta(minutes=7)))
    assert asked == TryAgain(timedelta(minutes=7), "rate_limited")
    assert world.send(run_id, replace(BUSY, retry_after=timedelta(days=9))) == TryAgain(HOUR, "provider_unavailable")


def test_pauses_grow_up_to_an_hour() -> None:
    assert [pause_after(tries) for tries in (1, 2, 3, 4, 900)] == [
        timedelta(seconds=5),
        timedelta(minutes=1),
        timedelta(minutes=12),
        HOUR,
        HOUR,
    ]


@pytest.mark.parametrize(("retries", "on_failure"), [(0, None), (2, None), (2, "text")])
def test_retries_used_up_give_the_send_up(world: World, retries: int, on_failure: str | None) -> None:
    failing = {"on_failure": on_failure} if on_failure else {}
    world.journey(MAIL | {"retries": retries} | failing, DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    for _ in range(retries):
        assert isinstance(world.send(run_id, BUSY), TryAgain)

    answer = world.send(run_id, BUSY)

    assert isinstance(answer, Answer)
    assert states(world) == [("refused", retries + 1)]
    assert why(world) == "gave_up"
    row = world.row(run_id)
    assert (row.step, row.reason) == (("text", None) if on_failure else (None, "message_gave_up"))


def test_at_least_once_sends_again_where_nobody_knows(world: World) -> None:
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    for _ in range(9):
        assert isinstance(world.send(run_id, LOST), TryAgain)

    world.send(run_id)

    assert states(world) == [("accepted", 10)]


# -- where an attempt dies ----------------------------------------------------------------------------------------


def test_an_attempt_that_died_with_its_claim_leaves_it_uncertain_and_the_run_goes_on(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    world.claimed(run_id)
    world.later(timedelta(seconds=31))

    answer = world.claim(run_id)

    assert isinstance(answer, Answer)
    assert answer.plan == Park(T0 + timedelta(days=1, seconds=31), "waits")
    assert states(world) == [("uncertain", 1)]
    assert why(world) == "attempt_lost"
    sent = world.row(run_id).kernel_state["sent"]
    assert [(each["outcome"], each["at"]) for each in sent] == [("uncertain", "2026-12-01T09:00:00Z")]


def test_at_least_once_claims_again_what_an_attempt_left_behind(world: World) -> None:
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    first = world.claimed(run_id)

    second = world.claimed(run_id)
    world.settle(second)

    assert second.message.message_id == first.message.message_id
    assert states(world) == [("accepted", 2)]


def test_a_claim_whose_commit_was_not_heard_of_is_the_same_attempts(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    attempt = uuid4()
    world.claimed(run_id, attempt)

    again = world.claimed(run_id, attempt)
    world.settle(again)

    assert states(world) == [("accepted", 1)]


def test_an_outcome_whose_commit_was_not_heard_of_is_written_once(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    first = world.settle(claim)

    second = world.settle(claim)

    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (second.plan, second.sequence) == (first.plan, first.sequence)
    assert len(world.path(run_id).moves) == 2
    assert why(world) is None


def test_a_release_whose_commit_was_not_heard_of_counts_one_try(world: World) -> None:
    world.journey(MAIL | {"retries": 1}, DAY)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    assert world.settle(claim, BUSY) == world.settle(claim, BUSY)
    assert states(world) == [("released", 1)]


@pytest.mark.parametrize(
    ("outcome", "state", "said"),
    [
        (Accepted("r-1"), "accepted", "late_outcome"),
        (NO, "refused", "late_outcome"),
        (BUSY, "refused", "late_outcome"),
        (LOST, "uncertain", "connection_lost"),
    ],
    ids=["accepted", "refused", "not accepted", "unknown"],
)
def test_a_late_outcome_settles_the_ledger_and_never_moves_the_run(
    world: World, outcome: Outcome, state: str, said: str
) -> None:
    world.journey(MAIL | {"on_failure": "text"}, DAY, TEXT)
    run_id = world.enter(world.person("ada"))
    frozen = world.claimed(run_id)
    assert isinstance(world.claim(run_id), Answer)
    before = world.row(run_id)

    answer = world.settle(frozen, outcome)

    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Park)
    assert world.row(run_id) == before
    assert states(world) == [(state, 1)]
    assert why(world) == said


def test_a_late_word_of_yes_is_taken_by_whoever_would_send_again(world: World) -> None:
    """A frozen attempt comes back with the provider's yes while another one holds the claim, and that one dies."""
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    frozen = world.claimed(run_id)
    world.claimed(run_id)
    world.settle(frozen)

    third = world.claim(run_id)

    assert isinstance(third, Answer)
    assert isinstance(third.plan, Park)
    assert states(world) == [("accepted", 2)]
    assert world.path(run_id).moves[-1].why["outcome"] == "accepted"


@pytest.mark.parametrize("outcome", [LOST, BUSY, NO], ids=["unknown", "not accepted", "refused"])
def test_a_late_word_of_no_leaves_the_claim_to_whoever_holds_it(world: World, outcome: Outcome) -> None:
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    frozen = world.claimed(run_id)
    second = world.claimed(run_id)

    assert isinstance(world.settle(frozen, outcome), TryAgain)

    assert states(world) == [("claimed", 2)]
    world.settle(second)
    assert states(world) == [("accepted", 2)]


def test_a_claim_that_came_to_no_call_is_given_back_and_counts_no_try(world: World) -> None:
    world.journey(MAIL | {"retries": 0}, DAY)
    run_id = world.enter(world.person("ada"))

    world.ledger.release(world.claimed(run_id), "claimed_too_late", T0)

    assert states(world) == [("released", 0)]
    world.send(run_id)
    assert states(world) == [("accepted", 1)]


def test_a_claim_is_given_back_by_its_own_attempt_alone(world: World) -> None:
    world.journey(INSIST, DAY)
    run_id = world.enter(world.person("ada"))
    first = world.claimed(run_id)
    world.claimed(run_id)
    world.ledger.release(first, "claimed_too_late", T0)
    assert states(world) == [("claimed", 2)]


# -- what changes between a claim and what comes of it ------------------------------------------------------------


@pytest.mark.parametrize("dies", [False, True], ids=["the provider answers", "the attempt dies"])
def test_a_stop_between_claim_and_outcome_leaves_nothing_claimed(world: World, dies: bool) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    claim = world.claimed(run_id)
    world.stop()

    answer = world.claim(run_id, held=1) if dies else world.settle(claim)

    assert isinstance(answer, Answer)
    assert answer.plan == Finish("stopped", "stopped")
    assert states(world) == [("uncertain" if dies else "accepted", 1)]
    assert world.steps(run_id)[-1] == ("exit", "ended")


def test_a_stop_while_the_commit_of_a_claim_was_not_heard_of_sends_nothing(world: World) -> None:
    """The attempt asks again, so it has not called the provider: nothing is uncertain."""
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    attempt = uuid4()
    world.claimed(run_id, attempt)
    world.stop()

    assert isinstance(world.claim(run_id, attempt, held=1), Answer)

    assert states(world) == [("refused", 1)]


def test_a_stop_drops_what_waits_to_be_tried_again(world: World) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, BUSY)
    world.stop()
    assert states(world) == [("refused", 1)]
    assert why(world) == "stopped"


def forget_address(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(sa.delete(identities).where(identities.c.namespace == "email"))


def delete(world: World) -> None:
    with world.database.write() as connection:
        (profile,) = profile_store.find(connection, "external_id", "ada")
        erase_profile(connection, profile.id, world.time())


@pytest.mark.parametrize(
    ("change", "ends_as"),
    [(forget_address, ("day", "message_settled")), (delete, ("exit", "ended"))],
    ids=["address", "profile"],
)
@pytest.mark.parametrize(
    ("begun", "left"),
    [(None, []), ("released", [("refused", 1)]), ("died", [("uncertain", 1)])],
    ids=["not begun", "to be tried again", "attempt died"],
)
def test_what_was_begun_is_settled_though_the_address_or_the_person_is_gone(
    world: World,
    change: Callable[[World], None],
    ends_as: tuple[str, str],
    begun: str | None,
    left: list[tuple[str, int]],
) -> None:
    world.journey(MAIL, DAY)
    run_id = world.enter(world.person("ada"))
    if begun == "released":
        world.send(run_id, BUSY)
    elif begun == "died":
        world.claimed(run_id)
    change(world)

    answer = world.claim(run_id)

    assert isinstance(answer, Answer)
    assert states(world) == left
    assert world.steps(run_id)[-1] == ends_as
    if change is forget_address:
        outcome = "uncertain" if begun == "died" else "no_address"
        assert world.path(run_id).moves[-1].why["outcome"] == outcome


def test_a_profile_without_the_address_skips_the_send_and_its_wait(world: World) -> None:
    world.journey(MAIL, AWAIT_CLICK | {"on_click": "exit", "on_timeout": "text"}, TEXT)
    run_id = world.enter(world.person("ada", email=None))

    answer = world.claim(run_id)

    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Send)
    assert [why for _, why in world.steps(run_id)] == ["entered", "message_settled", "nothing_sent"]
    assert world.rows(sent_messages) == []


def test_a_journey_that_is_closed_still_sends_and_one_that_is_not_live_does_not(world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.close()
    with world.database.write() as connection:
        connection.execute(sa.update(journeys).values(state="stopped"))
    with pytest.raises(SendingHeld):
        world.claim(run_id)
    assert world.rows(sent_messages) == []
    with world.database.write() as connection:
        connection.execute(sa.update(journeys).values(state="closed"))

    world.send(run_id)

    assert states(world) == [("accepted", 1)]
    with world.database.write() as connection:
        assert finish_emptied(connection, T0) == ["trip"]


# -- content that does not render ---------------------------------------------------------------------------------


def test_a_message_that_does_not_render_is_refused_and_tells_nothing_of_the_person(world: World) -> None:
    world.message(
        "hello",
        {
            "channel": "email",
            "subject": "Hello {{ profile.name }}",
            "from": "news@example.com",
            "html": "<p>{{ profile.name }}</p>",
        },
    )
    world.journey(MAIL)
    run_id = world.enter(world.person("ada", attributes={"name": {"first": "canary"}}))

    answer = world.claim(run_id)

    assert isinstance(answer, Answer)
    assert isinstance(answer.plan, Finish)
    assert (answer.plan.outcome, answer.plan.reason) == ("failed", "message_refused")
    assert states(world) == [("refused", 1)]
    assert why(world) == "not_rendered"
    assert "canary" not in repr(answer)
    assert world.rows(sent_links) == []


# -- once per address ---------------------------------------------------------------------------------------------

ONCE = MAIL | {"once_per_address": "journey"}
SHARED = "family@example.com"


def test_an_address_that_two_people_share_gets_the_message_once(world: World) -> None:
    world.journey(ONCE, AWAIT_CLICK | {"on_click": "exit", "on_timeout": "text"}, TEXT)
    first, second = (world.enter(world.person(name, email=SHARED)) for name in ("ada", "ben"))
    world.send(first)

    answer = world.claim(second)

    assert isinstance(answer, Answer)
    assert [why for _, why in world.steps(second)] == ["entered", "message_settled", "nothing_sent"]
    assert world.path(second).moves[1].why["outcome"] == "already_sent"
    assert states(world) == [("accepted", 1)]


def test_an_address_that_refused_the_message_of_one_gets_that_of_the_other(world: World) -> None:
    world.journey(ONCE | {"on_failure": "day"}, DAY)
    first, second = (world.enter(world.person(name, email=SHARED)) for name in ("ada", "ben"))
    world.send(first, NO)

    world.send(second)

    assert sorted(states(world)) == [("accepted", 1), ("refused", 1)]


def test_an_address_whose_message_was_dropped_gets_that_of_the_other(world: World) -> None:
    world.journey(ONCE, DAY)
    ada, ben = (world.person(name, email=SHARED) for name in ("ada", "ben"))
    first, second = world.enter(ada), world.enter(ben)
    world.send(first, BUSY)
    assert isinstance(world.claim(second), Answer)
    third = world.enter(world.person("cleo", email=SHARED))
    delete(world)
    world.claim(first)

    world.send(third)

    assert sorted(states(world)) == [("accepted", 1), ("refused", 1)]


def test_the_same_run_may_send_again_to_its_own_address(world: World) -> None:
    """Once per address is about people who share one; a loop of one person's is not stopped by it."""
    world.journey(ONCE, DAY, ONCE | {"id": "mail2"})
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.advance(run_id, None, world.later(timedelta(days=1)))

    world.send(run_id)

    assert states(world) == [("accepted", 1), ("accepted", 1)]


def test_once_per_entry_lets_the_next_entry_send_again(world: World) -> None:
    world.journey(MAIL | {"once_per_address": "entry"})
    for name in ("ada", "ben"):
        world.send(world.enter(world.person(name, email=SHARED)))
    assert states(world) == [("accepted", 1), ("accepted", 1)]


def test_the_ledger_keeps_an_address_only_where_it_is_erased_with_the_person(world: World) -> None:
    world.journey(ONCE, DAY)
    world.send(world.enter(world.person("ada")))
    (row,) = world.rows(sent_messages)
    assert row.address == "ada@example.com"

    delete(world)

    (row,) = world.rows(sent_messages)
    assert "ada@" not in repr(row)
    assert row.only_key is not None


def test_a_claim_carries_everything_that_the_provider_needs_and_the_id_is_the_key(world: World) -> None:
    world.journey(MAIL)
    claim = world.claimed(world.enter(world.person("ada")))
    assert isinstance(claim, Claim)
    assert claim.message.message_id == message_id(claim.run_id, "mail", 1)
