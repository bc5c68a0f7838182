"""What an operator does about uncertain sends: settled by a word, or sent once more through the ledger."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests.support.world import DAY, LINK, MAIL, T0, TEXT, World
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused, Unknown
from wend.errors import NotFound
from wend.journeys.state import message_id
from wend.lifecycle.audit import page_audit
from wend.lifecycle.ending import finish_emptied
from wend.lifecycle.taking_out import take_out_run
from wend.runs.erasing import erase_profile
from wend.runs.ledger import Claim, TryAgain
from wend.sends.operating import FORGOTTEN_AFTER, NotResent, NotUncertain, ResendUnderWay, ask_resend, settle_send
from wend.sends.provider_events import ProviderEvent, record_provider_events
from wend.sends.resending import Asked, Reclaim, Resender, Resent
from wend.storage.database import Database
from wend.storage.tables import sent_links, sent_messages

SECOND = timedelta(seconds=1)
LOST = Unknown("connection_lost", "after the data")
NO = Refused("recipient_refused", "550")
BUSY = NotAccepted("provider_unavailable", "421 busy")


class Resends:
    """A world in which one message is uncertain, and who sends it again."""

    def __init__(self, database: Database, *steps: dict[str, Any]) -> None:
        self.world = World(database)
        self.resender = Resender(database, self.world.versions, self.world.composer)
        self.world.journey(*(steps or (MAIL, DAY, TEXT)))
        self.ada = self.world.person("ada")
        self.run_id = self.world.enter(self.ada)
        self.first = self.world.claimed(self.run_id)
        self.id = message_id(self.run_id, "mail", 1)
        self.world.settle(self.first, LOST)

    def row(self) -> sa.Row[Any]:
        (row,) = self.world.rows(sent_messages, sent_messages.c.id == self.id)
        return row

    def ask(self, id: UUID | None = None) -> Asked:
        self.world.later(SECOND)
        tries = self.row().tries
        with self.world.database.write() as connection:
            return Asked(self.id, ask_resend(connection, id or self.id, self.world.now, by="ada"), tries)

    def settled_as(self, said: Any) -> None:
        with self.world.database.write() as connection:
            settle_send(connection, self.id, said, self.world.later(SECOND), reason="seen in the log", by="ada")

    def claim(self, asked: Asked, attempt: UUID | None = None) -> Reclaim | Resent:
        return self.resender.claim(asked, attempt or uuid4(), self.world.later(SECOND))

    def claimed(self, asked: Asked) -> Reclaim:
        claim = self.claim(asked)
        assert isinstance(claim, Reclaim), claim
        return claim

    def settle(self, claim: Reclaim, outcome: Outcome) -> Resent | TryAgain:
        return self.resender.settle(claim, outcome, self.world.later(SECOND))

    def standing(self) -> tuple[str, str | None, bool]:
        row = self.row()
        return row.state, row.reason, row.resend_asked_at is not None

    def told(self, kind: Any) -> None:
        with self.world.database.write() as connection:
            event = ProviderEvent(str(uuid4()), self.id, kind, self.world.now)
            record_provider_events(connection, [event], self.world.now)


@pytest.fixture
def resends(database: Database) -> Resends:
    return Resends(database)


@pytest.fixture
def resends_on_sqlite(sqlite_database: Database) -> Resends:
    """For what no database has a say in."""
    return Resends(sqlite_database)


# -- settled by a word --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["accepted", "refused"])
def test_an_operator_settles_what_is_uncertain_and_the_run_stays_where_it_is(resends: Resends, said: str) -> None:
    before = resends.world.row(resends.run_id)
    resends.settled_as(said)
    row = resends.row()
    assert (row.state, row.reason, row.detail) == (said, "settled_by_operator", "connection_lost: after the data")
    assert resends.world.row(resends.run_id) == before
    with resends.world.database.read() as connection:
        deed = page_audit(connection, journey="trip")[0]
    assert (deed.by, deed.action, deed.run_id, deed.profile_id) == ("ada", "settle", resends.run_id, resends.ada)
    assert deed.detail == {"message_id": str(resends.id), "as": said, "reason": "seen in the log"}
    with pytest.raises(NotUncertain, match=f"is {said}"):
        resends.settled_as(said)


def test_a_late_outcome_counts_more_than_an_operators_word(resends_on_sqlite: Resends) -> None:
    resends = resends_on_sqlite
    resends.settled_as("refused")
    resends.world.settle(resends.first, Accepted("r-1"))
    assert resends.standing() == ("accepted", "late_outcome", False)


def test_what_is_settled_while_it_waits_to_be_sent_again_is_not_sent(resends: Resends) -> None:
    asked = resends.ask()
    resends.settled_as("accepted")
    assert resends.claim(asked) == Resent("accepted", "not_asked_any_more")
    assert resends.standing() == ("accepted", "settled_by_operator", False)


def test_an_unknown_message_is_none_that_can_be_settled_or_sent_again(resends: Resends) -> None:
    with pytest.raises(NotFound):
        resends.ask(uuid4())


# -- sent once more -----------------------------------------------------------------------------------------------


def test_it_goes_out_again_with_its_id_and_its_links_to_the_person_as_they_are_now(resends: Resends) -> None:
    before, links = resends.world.row(resends.run_id), resends.world.rows(sent_links)
    resends.world.person("ada", email="new@example.com")
    resends.world.message(
        "hello", {"channel": "email", "subject": "Newer", "from": "news@example.com", "html": "<p>Newer</p>"}
    )
    asked = resends.ask()
    assert resends.world.waiting("resend") == [str(resends.id)]

    message = resends.claimed(asked).message

    assert isinstance(message, OutgoingEmail)
    assert (message.message_id, message.to, message.subject) == (resends.id, "new@example.com", "Hello")
    assert resends.world.rows(sent_links) == links
    assert links[0].name == LINK
    assert (resends.row().state, resends.row().tries) == ("claimed", 2)
    assert resends.world.row(resends.run_id) == before


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Accepted("r-2"), "accepted", "resent"),
        (LOST, "uncertain", "connection_lost"),
        (NO, "uncertain", "resend_refused"),
    ],
    ids=["accepted", "unknown", "refused"],
)
def test_only_an_acceptance_settles_it_and_then_it_can_be_asked_anew(
    resends_on_sqlite: Resends, outcome: Outcome, state: str, reason: str
) -> None:
    """That this try was refused says nothing of the one before, which may have arrived."""
    resends = resends_on_sqlite
    before = resends.world.row(resends.run_id)
    ended = resends.settle(resends.claimed(resends.ask()), outcome)
    assert ended == Resent(state, reason)
    assert resends.standing() == (state, reason, False)
    assert resends.world.row(resends.run_id) == before
    if state == "uncertain":
        assert isinstance(resends.claim(resends.ask()), Reclaim)


def test_what_was_surely_not_accepted_is_tried_again_as_often_as_the_step_says(sqlite_database: Database) -> None:
    resends = Resends(sqlite_database, MAIL | {"retries": 1}, DAY)
    asked = resends.ask()
    again = resends.settle(resends.claimed(asked), BUSY)
    assert again == TryAgain(timedelta(seconds=5), "provider_unavailable")
    assert resends.standing() == ("uncertain", "resend_not_accepted", True)
    assert resends.settle(resends.claimed(asked), BUSY) == Resent("uncertain", "resend_gave_up")
    assert resends.standing() == ("uncertain", "resend_gave_up", False)


def test_an_attempt_that_dies_leaves_it_uncertain_and_is_not_repeated(resends: Resends) -> None:
    asked = resends.ask()
    dead = resends.claimed(asked)
    assert resends.claim(asked) == Resent("uncertain", "attempt_lost")
    assert resends.claim(asked) == Resent("uncertain", "not_asked_any_more")
    resends.settle(dead, Accepted("r-2"))
    assert resends.standing() == ("accepted", "resent", False)


def test_an_attempt_that_never_learnt_of_its_claim_has_it_still(resends_on_sqlite: Resends) -> None:
    resends = resends_on_sqlite
    asked, attempt = resends.ask(), uuid4()
    for _ in range(2):
        assert isinstance(resends.claim(asked, attempt), Reclaim)
    assert resends.row().tries == 2


def test_a_claim_that_came_too_late_is_given_back_and_still_asked_for(resends_on_sqlite: Resends) -> None:
    resends = resends_on_sqlite
    asked = resends.ask()
    resends.resender.release(resends.claimed(asked), "claimed_too_late", resends.world.now)
    assert resends.standing() == ("uncertain", "claimed_too_late", True)
    assert isinstance(resends.claim(asked), Reclaim)
    assert resends.row().tries == 2


# -- beside everybody else ----------------------------------------------------------------------------------------


def test_of_two_who_ask_at_once_one_is_told_that_it_is_under_way(resends: Resends) -> None:
    def ask(_: int) -> bool:
        try:
            with resends.world.database.write() as connection:
                ask_resend(connection, resends.id, T0)
        except ResendUnderWay:
            return False
        return True

    with ThreadPoolExecutor(4) as executor:
        assert sorted(executor.map(ask, range(4))) == [False, False, False, True]
    assert len(resends.world.waiting("resend")) == 1


def test_two_attempts_at_one_asking_call_the_provider_once(resends: Resends) -> None:
    asked = resends.ask()
    with ThreadPoolExecutor(2) as executor:
        claims = list(executor.map(lambda _: resends.resender.claim(asked, uuid4(), T0), range(2)))
    assert [isinstance(each, Reclaim) for each in claims].count(True) == 1


def test_a_late_acceptance_before_the_claim_makes_it_do_nothing(resends: Resends) -> None:
    asked = resends.ask()
    resends.world.settle(resends.first, Accepted("r-1"))
    assert resends.claim(asked) == Resent("accepted", "late_outcome")
    assert resends.standing() == ("accepted", "late_outcome", False)


@pytest.mark.parametrize("outcome", [Accepted("r-2"), LOST, NO, BUSY], ids=["accepted", "unknown", "refused", "busy"])
def test_a_late_acceptance_during_the_call_stands_whatever_the_call_brings(
    resends_on_sqlite: Resends, outcome: Outcome
) -> None:
    resends = resends_on_sqlite
    claim = resends.claimed(resends.ask())
    resends.world.settle(resends.first, Accepted("r-1"))
    resends.settle(claim, outcome)
    assert resends.standing() == ("accepted", "late_outcome", False)
    assert resends.row().reference == "r-1"


def test_a_late_failure_of_the_first_try_says_nothing_of_the_second(resends: Resends) -> None:
    claim = resends.claimed(resends.ask())
    resends.world.settle(resends.first, NO)
    assert resends.standing() == ("claimed", None, True)
    resends.settle(claim, LOST)
    resends.world.settle(resends.first, NO)
    assert resends.standing() == ("uncertain", "connection_lost", False)


@pytest.mark.parametrize("before_the_claim", [True, False])
def test_what_the_provider_told_meanwhile_settles_it(resends_on_sqlite: Resends, before_the_claim: bool) -> None:
    resends = resends_on_sqlite
    asked = resends.ask()
    if before_the_claim:
        resends.told("delivered")
        assert resends.claim(asked) == Resent("accepted", "told_by_provider")
    else:
        claim = resends.claimed(asked)
        resends.told("delivered")
        assert resends.settle(claim, LOST) == Resent("accepted", "told_by_provider")
    assert resends.standing() == ("accepted", "told_by_provider", False)


def test_a_run_that_goes_its_way_leaves_alone_what_is_being_sent_again(resends: Resends) -> None:
    claim = resends.claimed(resends.ask())
    resends.world.advance(resends.run_id, None, resends.world.later(timedelta(days=1)))
    later = resends.world.claimed(resends.run_id)
    with resends.world.database.write() as connection:
        take_out_run(connection, resends.run_id, resends.world.now)
    resends.world.settle(later)
    assert resends.standing() == ("claimed", None, True)
    assert resends.settle(claim, Accepted("r-2")) == Resent("accepted", "resent")


def test_nothing_is_moved_where_the_run_is_over(database: Database) -> None:
    resends = Resends(database, MAIL)
    resends.world.close()
    with database.write() as connection:
        finish_emptied(connection, resends.world.now)
    before = resends.world.row(resends.run_id)
    assert before.state == "completed"
    assert resends.settle(resends.claimed(resends.ask()), Accepted("r-2")) == Resent("accepted", "resent")
    assert resends.world.row(resends.run_id) == before


# -- what is not sent again ---------------------------------------------------------------------------------------


def _stop(resends: Resends) -> None:
    resends.world.stop()


def _pause(resends: Resends) -> None:
    resends.world.pause()


def _take_out(resends: Resends) -> None:
    with resends.world.database.write() as connection:
        take_out_run(connection, resends.run_id, resends.world.now)


def _erase(resends: Resends) -> None:
    with resends.world.database.write() as connection:
        erase_profile(connection, resends.ada, resends.world.now)


def _no_address(resends: Resends) -> None:
    resends.world.person("ada", email=None)


HINDRANCES = [
    pytest.param(_stop, "'trip' is stopped", id="stopped"),
    pytest.param(_pause, "'trip' is paused", id="paused"),
    pytest.param(_take_out, "taken out", id="taken out"),
    pytest.param(_erase, "was deleted", id="erased"),
    pytest.param(_no_address, "no address", id="no address"),
]


@pytest.mark.parametrize(("happen", "said"), HINDRANCES)
def test_a_person_or_a_journey_in_the_way_keeps_it_from_going_out_and_is_named(
    resends_on_sqlite: Resends, happen: Callable[[Resends], None], said: str
) -> None:
    resends = resends_on_sqlite
    asked = resends.ask()
    happen(resends)
    assert resends.claim(asked) == Resent("uncertain", "not_resent")
    assert said in resends.row().detail
    assert resends.standing() == ("uncertain", "not_resent", False)
    with pytest.raises(NotResent, match=said):
        resends.ask()
    assert resends.world.waiting("resend") == [str(resends.id)]


def test_only_what_is_uncertain_is_sent_again(sqlite_database: Database) -> None:
    resends = Resends(sqlite_database)
    for outcome, state in ((Accepted("r-1"), "accepted"), (NO, "refused")):
        other = resends.world.enter(resends.world.person(state))
        resends.world.send(other, outcome)
        with pytest.raises(NotUncertain, match=state):
            resends.ask(message_id(other, "mail", 1))
    under_way = resends.world.enter(resends.world.person("claimed"))
    assert isinstance(resends.world.claimed(under_way), Claim)
    with pytest.raises(NotUncertain, match="claimed"):
        resends.ask(message_id(under_way, "mail", 1))


def test_an_address_that_has_had_it_from_another_run_does_not_get_it_again(database: Database) -> None:
    resends = Resends(database, MAIL | {"once_per_address": "journey"}, DAY)
    bob = resends.world.enter(resends.world.person("bob", email="shared@example.com"))
    resends.world.send(bob)
    resends.world.person("ada", email="shared@example.com")
    assert resends.claim(resends.ask()) == Resent("uncertain", "not_resent")


def test_a_resend_that_nobody_is_at_any_more_can_be_asked_anew(resends_on_sqlite: Resends) -> None:
    """Temporal may have lost its workflow with everything else."""
    resends = resends_on_sqlite
    lost = resends.ask()
    dead = resends.claimed(lost)
    with pytest.raises(ResendUnderWay):
        resends.ask()
    resends.world.later(FORGOTTEN_AFTER)
    again = resends.ask()
    assert resends.claim(lost) == Resent("uncertain", "not_asked_any_more")
    assert isinstance(resends.claim(again), Reclaim)
    assert dead.asked == lost


def test_an_answer_that_is_written_down_twice_is_still_tried_again(resends: Resends) -> None:
    claim = resends.claimed(resends.ask())
    first = resends.settle(claim, BUSY)
    assert isinstance(first, TryAgain)
    assert resends.settle(claim, BUSY) == first, "its first commit got lost on the way back"
    assert resends.standing() == ("uncertain", "resend_not_accepted", True)
    assert resends.row().tries == 2
