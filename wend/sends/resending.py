"""Sending an uncertain message once more, because an operator asked for it.

It goes through the ledger as every send does: claimed anew under the same locks and the same policy, with the same id,
which is the provider's idempotency key. What it learns is of this try alone. Only an acceptance settles the send; a try
that was refused says nothing of the one before, so the send is as uncertain as it was. The run is never moved.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from wend.channels.port import Accepted, NotAccepted, Outcome, Refused, Unknown
from wend.errors import InvalidDocument
from wend.journeys.results import Send
from wend.lifecycle.versions import Versions
from wend.messages.errors import RenderError
from wend.runs.composing import Composed, Composer
from wend.runs.facts import read_profile
from wend.runs.ledger import LONGEST_PAUSE, Claimed, TryAgain, only_key, pause_after, write_links
from wend.runs.settling import LOST, settle, settle_unknown
from wend.sends.operating import hindrance, lock_send, step_of
from wend.storage.database import Database
from wend.storage.tables import sent_messages

RESENT = "resent"
"""Why a send that was uncertain is accepted: it was sent again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One asking for a message to be sent again.

    Attributes:
        message_id: Which.
        asked_at: Names the asking: another one, or none, makes this one do nothing.
        tries: Of the message, when it was asked.
    """

    message_id: UUID
    asked_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Reclaim(Claimed):
    """The right of one attempt to call the provider once more."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class Resent:
    """How it ended: the state of the ledger's row, and why."""

    state: str
    reason: str | None


class Resender:
    """Claims messages that are to be sent again, and settles them.

    Args:
        database: Where the ledger is.
        versions: Published versions.
        composer: Renders messages.
    """

    def __init__(self, database: Database, versions: Versions, composer: Composer) -> None:
        self._database = database
        self._versions = versions
        self._composer = composer

    def claim(self, asked: Asked, attempt: UUID, now: datetime) -> Reclaim | Resent:
        """Claim the message once more, or say how it stands where that is not to be.

        Args:
            asked: What was asked.
            attempt: Names this attempt.
            now: The attempt's start, by the server's clock.

        Raises:
            NotFound: There is no such message.
        """
        with self._database.write() as connection:
            row, journey, run = lock_send(connection, asked.message_id)
            if row.resend_asked_at != asked.asked_at:
                return Resent(row.state, "not_asked_any_more")
            if row.state == "claimed" and row.claim != attempt:
                # That attempt died, perhaps with the provider's answer: what was asked for was one more try.
                settle_unknown(connection, row.id, now, *LOST)
                return _end(connection, asked)
            if row.state not in ("uncertain", "claimed"):
                return _end(connection, asked)  # a late outcome or the provider has settled it
            if (why := hindrance(connection, row, journey, run)) is not None:
                return _give_back(connection, asked, now, "not_resent", why)
            return self._claim(connection, row, run, asked, attempt, now)

    def _claim(
        self,
        connection: Connection,
        row: sa.Row[Any],
        run: sa.Row[Any],
        asked: Asked,
        attempt: UUID,
        now: datetime,
    ) -> Reclaim | Resent:
        step = step_of(connection, row)
        profile = read_profile(connection, row.profile_id)
        assert profile is not None, "nobody is hindered by having none"
        address = profile.identities[step.to]
        plan = Send(row.step, row.visit, row.id, row.channel, row.message_key)
        try:
            composed = self._composer.compose(connection, run, profile, plan, address, row.message_version)
        except (RenderError, InvalidDocument) as error:
            return _give_back(connection, asked, now, "not_rendered", str(error))
        key = only_key(connection, step, run, plan, address)
        if key is not None and not _take(connection, key, row.id):
            return _give_back(connection, asked, now, "not_resent", "another run has sent it to this address")
        _write_claim(connection, row, composed, attempt, address, now)
        return Reclaim(attempt, composed.message, asked)

    def settle(self, claim: Reclaim, outcome: Outcome, now: datetime) -> Resent | TryAgain:
        """Write down how the provider answered.

        Returns:
            How the send stands now; or that it was surely not accepted and is to be tried again after a pause.
        """
        with self._database.write() as connection:
            row, _, _ = lock_send(connection, claim.asked.message_id)
            if not _holds(row, claim):
                # Taken for dead, or overtaken by a late acceptance: only an acceptance still says anything.
                if isinstance(outcome, Accepted) and row.state != "accepted":
                    settle(connection, row.id, "accepted", now, RESENT, reference=outcome.reference)
                return _end(connection, claim.asked)
            match outcome:
                case Accepted():
                    settle(connection, row.id, "accepted", now, RESENT, reference=outcome.reference)
                case Refused():
                    return _give_back(connection, claim.asked, now, "resend_refused", _said(outcome))
                case Unknown():
                    settle_unknown(connection, row.id, now, outcome.reason, outcome.detail)
                case NotAccepted():
                    tried = row.tries - claim.asked.tries
                    if tried > step_of(connection, row).retries:
                        return _give_back(connection, claim.asked, now, "resend_gave_up", _said(outcome))
                    if settle_unknown(connection, row.id, now, "resend_not_accepted", _said(outcome)) == "uncertain":
                        pause = outcome.retry_after or pause_after(tried)
                        return TryAgain(min(pause, LONGEST_PAUSE), outcome.reason)
                case _:
                    assert_never(outcome)
            return _end(connection, claim.asked)

    def release(self, claim: Reclaim, reason: str, now: datetime) -> None:
        """Give a claim back whose provider was never called; it is still asked for."""
        with self._database.write() as connection:
            row, _, _ = lock_send(connection, claim.asked.message_id)
            if row.claim == claim.id and row.state == "claimed":
                settle_unknown(connection, row.id, now, reason)
                fewer = {"tries": row.tries - 1}
                connection.execute(sa.update(sent_messages).where(sent_messages.c.id == row.id).values(**fewer))


def _write_claim(
    connection: Connection,
    row: sa.Row[Any],
    composed: Composed,
    attempt: UUID,
    address: str,
    now: datetime,
) -> None:
    # The same attempt asks twice where it never learnt that its first claim was committed.
    is_new = row.claim != attempt or row.state != "claimed"
    values: dict[str, Any] = {"state": "claimed", "claim": attempt, "claimed_at": now, "address": address}
    values |= {"tries": row.tries + is_new, "settled_at": None, "reason": None, "detail": None}
    connection.execute(sa.update(sent_messages).where(sent_messages.c.id == row.id).values(**values))
    write_links(connection, row.id, composed)


def _holds(row: sa.Row[Any], claim: Reclaim) -> bool:
    """Return whether an outcome of this attempt is waited for; it comes twice where its first commit got lost."""
    is_to_come_again = row.state == "uncertain" and row.resend_asked_at == claim.asked.asked_at
    return bool(row.claim == claim.id and (row.state == "claimed" or is_to_come_again))


def _give_back(connection: Connection, asked: Asked, now: datetime, reason: str, detail: str) -> Resent:
    """Leave a message as uncertain as it was, and say why it was not sent again."""
    settle_unknown(connection, asked.message_id, now, reason, detail)
    return _end(connection, asked)


def _end(connection: Connection, asked: Asked) -> Resent:
    """Let the message be asked for anew; another asking that has come meanwhile stands."""
    of_row = sent_messages.c.id == asked.message_id
    ended = sa.update(sent_messages).where(of_row, sent_messages.c.resend_asked_at == asked.asked_at)
    connection.execute(ended.values(resend_asked_at=None))
    return Resent(*connection.execute(sa.select(sent_messages.c.state, sent_messages.c.reason).where(of_row)).one())


def _take(connection: Connection, key: str, message_id: UUID) -> bool:
    """Have a message be the only one of its key, that of the address it goes to now; ``False`` where another one is."""
    of_row = sent_messages.c.id == message_id
    try:
        with connection.begin_nested():
            connection.execute(sa.update(sent_messages).where(of_row).values(only_key=key))
    except IntegrityError:  # by the unique index, which also waits for a transaction that is about to take it
        return False
    return True


def _said(outcome: Refused | NotAccepted) -> str:
    return f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason
