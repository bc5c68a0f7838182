"""The ledger: at most one message per (run, step, visit), whatever crashes.

An attempt claims first, in one transaction with every check; then the provider is called; then the outcome, the
run's moves and its next answer are written in one transaction. A claim that its attempt left behind says that
nobody knows whether the provider took the message: it becomes uncertain, and the run goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, OutgoingSms, Refused, Unknown
from wend.errors import Conflict, InvalidDocument
from wend.journeys.definition import JourneyVersion
from wend.journeys.delivery import Allowed, Ruled, Withheld, delivery_policy
from wend.journeys.facts import ProfileView
from wend.journeys.results import Finish, Send
from wend.journeys.serial import load_plan, load_state
from wend.journeys.state import SendOutcome
from wend.journeys.steps.send import SendStep
from wend.lifecycle.adjusting import message_version
from wend.lifecycle.versions import Versions
from wend.messages.errors import RenderError
from wend.runs.advancing import RunBehind, RunGone
from wend.runs.composing import Composed, Composer
from wend.runs.decide import Answer, decide
from wend.runs.facts import read_profile
from wend.runs.settling import LOST, drop, drop_others, settle, settle_unknown
from wend.sends.standing import LATE, is_open, told
from wend.storage.database import Database, insert_ignoring, lock_journey, lock_profile, lock_run
from wend.storage.pseudonyms import Pseudonyms
from wend.storage.tables import runs, sent_links, sent_messages

FIRST_PAUSE = timedelta(seconds=5)
PAUSE_GROWTH = 12
LONGEST_PAUSE = timedelta(hours=1)
"""Pauses between tries of a send that was surely not accepted: 5 s, 1 min, 12 min, then an hour each."""


class SendingHeld(Conflict):
    """The journey's state does not let its runs send now."""

    def __init__(self, journey: str, state: str) -> None:
        super().__init__(f"Journey {journey!r} is {state}: nothing is sent until it goes on.")
        self.journey = journey


@dataclass(frozen=True, slots=True)
class Claimed:
    """The right of one attempt to call the provider for one message."""

    id: UUID
    message: OutgoingEmail | OutgoingSms


@dataclass(frozen=True, slots=True)
class Claim(Claimed):
    """That of an attempt at what a run sends."""

    run_id: UUID
    sequence: int


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The message was surely not accepted, and is to be tried again after a pause."""

    after: timedelta
    reason: str


class Ledger:
    """Claims sends and settles them.

    Args:
        database: Where the ledger is.
        versions: Published versions.
        composer: Renders messages.
    """

    def __init__(self, database: Database, versions: Versions, composer: Composer) -> None:
        self._database = database
        self._versions = versions
        self._composer = composer

    def asked(self, run_id: UUID, held: int) -> Answer | None:
        """Return the run's send as its row asks for it; ``None`` where the row asks for anything else by now."""
        with self._database.read() as connection:
            query = sa.select(runs.c.sequence, runs.c.answer, runs.c.journey_key, runs.c.version)
            run = connection.execute(query.where(runs.c.id == run_id)).one_or_none()
            plan = load_plan(run.answer) if run is not None and run.sequence == held else None
            if run is None or not isinstance(plan, Send):
                return None
            return Answer(run_id, held, plan, self._versions.get(connection, run.journey_key, run.version).zone)

    def claim(self, run_id: UUID, held: int, attempt: UUID, now: datetime) -> Claim | Answer:
        """Claim the send that the run's row asks for, or say what the run does instead.

        Args:
            run_id: The run.
            held: The answer that the workflow holds; the row's own is answered where it has gone on since.
            attempt: Names this attempt.
            now: The attempt's start, by the server's clock.

        Raises:
            RunGone: There is no such run.
            RunBehind: The row knows less than the workflow.
            SendingHeld: The journey's state does not let its runs send.
        """
        with self._database.write() as connection:
            locked = self._lock(connection, run_id, held)
            if isinstance(locked, Answer):
                _drop_all(connection, locked, attempt, now)
                return locked
            run, journey, plan = locked
            now = max(now, run.decided_at)
            version = self._versions.get(connection, run.journey_key, run.version)
            profile = read_profile(connection, run.profile_id)
            if profile is None:
                answer = decide(connection, journey, run, version, None, now)
                _drop_all(connection, answer, attempt, now)
                return answer
            return self._claim(connection, journey, run, version, profile, plan, attempt, now)

    def _claim(
        self,
        connection: Connection,
        journey: sa.Row[Any],
        run: sa.Row[Any],
        version: JourneyVersion,
        profile: ProfileView,
        plan: Send,
        attempt: UUID,
        now: datetime,
    ) -> Claim | Answer:
        step = version.steps[plan.step]
        assert isinstance(step, SendStep)
        go_on = _GoOn(connection, journey, run, version, profile, now)
        row = connection.execute(sa.select(sent_messages).where(sent_messages.c.id == plan.message_id)).one_or_none()
        if row is not None and row.state in ("accepted", "refused", "uncertain"):
            # Settled by an attempt that came back after another one had taken its claim, and died.
            return go_on(row.state, row.claimed_at, row.reason)
        if row is not None and row.state == "claimed" and row.claim != attempt and step.delivery == "at_most_once":
            # Before any check: nobody can say any more that nothing was sent.
            return go_on(settle_unknown(connection, row.id, now, *LOST), row.claimed_at)
        if row is not None and told(row) == "accepted":
            # A try of before was taken after all: its provider has said so.
            return go_on(settle_unknown(connection, row.id, now, row.reason, row.detail), row.claimed_at)
        if journey.state == "paused" or version.definition.exit_on or version.definition.max_age is not None:
            # Asked anew: a send that is tried again may come long after it was decided on.
            answer = decide(connection, journey, run, version, profile, now)
            if answer.plan != plan:
                if isinstance(answer.plan, Finish):
                    _drop_all(connection, answer, attempt, now)
                elif row is not None and row.state == "claimed" and row.claim == attempt:
                    settle(connection, row.id, "released", now, "paused")
                return answer
        match delivery_policy(step, journey.state, profile):
            case Ruled(state):
                raise SendingHeld(run.journey_key, state)
            case Withheld(outcome):
                if row is not None and (ended := drop(connection, row, attempt, now, outcome)) != "refused":
                    return go_on(ended, row.claimed_at)
                return go_on(outcome, now)
            case Allowed(address):
                pass
        sent_version = message_version(journey, version, plan.message)
        if not self._write_claim(connection, run, step, plan, address, sent_version, attempt, now, row):
            return go_on("already_sent", now)
        try:
            composed = self._composer.compose(connection, run, profile, plan, address, sent_version)
        except (RenderError, InvalidDocument) as error:
            settle(connection, plan.message_id, "refused", now, "not_rendered", str(error))
            return go_on("refused", now, f"not_rendered: {error}")
        write_links(connection, plan.message_id, composed)
        return Claim(attempt, composed.message, run.id, run.sequence)

    def _write_claim(
        self,
        connection: Connection,
        run: sa.Row[Any],
        step: SendStep,
        plan: Send,
        address: str,
        message_version: int,
        attempt: UUID,
        now: datetime,
        row: sa.Row[Any] | None,
    ) -> bool:
        """Write the claim; ``False`` where the address has had this message from another run."""
        claim = {"claim": attempt, "claimed_at": now, "address": address, "state": "claimed"}
        claim["message_version"] = message_version
        if row is not None:
            # The same attempt asks twice where it never learnt that its first claim was committed.
            tries = row.tries if row.claim == attempt else row.tries + 1
            again = {**claim, "tries": tries, "settled_at": None, "reason": None, "detail": None}
            connection.execute(sa.update(sent_messages).where(sent_messages.c.id == row.id).values(**again))
            return True
        inserted = connection.execute(
            insert_ignoring(connection, sent_messages).values(
                id=plan.message_id,
                run_id=run.id,
                step=plan.step,
                visit=plan.visit,
                journey_key=run.journey_key,
                version=run.version,
                profile_id=run.profile_id,
                message_key=plan.message,
                channel=plan.channel,
                tries=1,
                only_key=only_key(connection, step, run, plan, address),
                **claim,
            )
        )
        return inserted.rowcount == 1

    def settle(self, claim: Claim, outcome: Outcome, now: datetime) -> Answer | TryAgain:
        """Write down how the provider answered; the run's moves and its next answer in the same transaction.

        An outcome that comes when the run has gone on settles the ledger and moves nothing.

        Raises:
            RunGone: There is no such run.
        """
        with self._database.write() as connection:
            locked = self._lock(connection, claim.run_id, claim.sequence)
            message_id = claim.message.message_id
            row = connection.execute(sa.select(sent_messages).where(sent_messages.c.id == message_id)).one()
            if isinstance(locked, Answer) or row.claim != claim.id:
                _settle_late(connection, row, claim, outcome, now)
                return (
                    locked if isinstance(locked, Answer) else TryAgain(FIRST_PAUSE, "another_attempt_holds_the_claim")
                )
            run, journey, plan = locked
            version = self._versions.get(connection, run.journey_key, run.version)
            step = version.steps[plan.step]
            assert isinstance(step, SendStep)
            go_on = _GoOn(connection, journey, run, version, read_profile(connection, run.profile_id), now)
            return _conclude(connection, row, step, outcome, now, go_on)

    def release(self, claim: Claim, reason: str, now: datetime) -> None:
        """Free a claim whose provider was never called."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(sent_messages)
                .where(
                    sent_messages.c.id == claim.message.message_id,
                    sent_messages.c.claim == claim.id,
                    sent_messages.c.state == "claimed",
                )
                .values(state="released", settled_at=now, reason=reason, tries=sent_messages.c.tries - 1)
            )

    def _lock(self, connection: Connection, run_id: UUID, held: int) -> Answer | tuple[sa.Row[Any], sa.Row[Any], Send]:
        """Take the locks; return the run, its journey and its send, or the answer that stands instead."""
        where = connection.execute(
            sa.select(runs.c.journey_key, runs.c.profile_id).where(runs.c.id == run_id)
        ).one_or_none()
        if where is None:
            raise RunGone(run_id)
        journey = lock_journey(connection, where.journey_key)
        assert journey is not None
        lock_profile(connection, where.profile_id)
        run = lock_run(connection, run_id)
        assert run is not None
        if run.sequence < held:
            raise RunBehind(run_id, run.sequence, held)
        plan = load_plan(run.answer)
        if run.sequence != held or not isinstance(plan, Send):
            version = self._versions.get(connection, run.journey_key, run.version)
            return Answer(run_id, run.sequence, plan, version.zone)
        return run, journey, plan


@dataclass(frozen=True, slots=True)
class _GoOn:
    """Has the run go on from a send that ended."""

    connection: Connection
    journey: sa.Row[Any]
    run: sa.Row[Any]
    version: JourneyVersion
    profile: ProfileView | None
    now: datetime

    def __call__(self, outcome: SendOutcome, at: datetime, detail: str | None = None) -> Answer:
        state = load_state(self.run.kernel_state).with_sent(outcome, at, detail)
        return decide(self.connection, self.journey, self.run, self.version, self.profile, self.now, state)


def _conclude(
    connection: Connection,
    row: sa.Row[Any],
    step: SendStep,
    outcome: Outcome,
    now: datetime,
    go_on: Callable[..., Answer],
) -> Answer | TryAgain:
    if row.state == "accepted":  # by the late outcome of a try of before
        return go_on("accepted", row.claimed_at)
    if isinstance(outcome, NotAccepted | Unknown) and told(row) == "accepted":
        return go_on(settle_unknown(connection, row.id, now, outcome.reason, outcome.detail), row.claimed_at)
    match outcome:
        case Accepted():
            settle(connection, row.id, "accepted", now, reference=outcome.reference)
            return go_on("accepted", row.claimed_at)
        case Refused():
            settle(connection, row.id, "refused", now, outcome.reason, outcome.detail)
            return go_on("refused", row.claimed_at, outcome.reason)
        case Unknown() if step.delivery == "at_most_once":
            ended = settle_unknown(connection, row.id, now, outcome.reason, outcome.detail)
            return go_on(ended, row.claimed_at, outcome.reason)
        case NotAccepted() | Unknown():
            if row.tries > step.retries and isinstance(outcome, NotAccepted):
                settle(connection, row.id, "refused", now, "gave_up", f"{outcome.reason}: {outcome.detail}")
                return go_on("gave_up", row.claimed_at, outcome.reason)
            settle(connection, row.id, "released", now, outcome.reason, outcome.detail)
            asked = outcome.retry_after if isinstance(outcome, NotAccepted) else None
            return TryAgain(min(asked or pause_after(row.tries), LONGEST_PAUSE), outcome.reason)
        case _:
            assert_never(outcome)


def pause_after(tries: int) -> timedelta:
    """Return how long to wait after so many tries."""
    growth: int = PAUSE_GROWTH ** min(tries - 1, 4)
    return min(FIRST_PAUSE * growth, LONGEST_PAUSE)


def _settle_late(connection: Connection, row: sa.Row[Any], claim: Claim, outcome: Outcome, now: datetime) -> None:
    """Let an outcome that nobody waits for any more settle what no attempt has known the end of."""
    if row.state != "claimed" and not is_open(row.state, row.reason):
        return
    if row.claim != claim.id and not isinstance(outcome, Accepted):
        return  # another attempt has been at it since, or is: this one's failure says nothing of that
    match outcome:
        case Accepted():
            settle(connection, row.id, "accepted", now, LATE, reference=outcome.reference)
        case Refused() | NotAccepted():
            settle(connection, row.id, "refused", now, LATE, outcome.reason)
        case Unknown():
            if row.state in ("claimed", "uncertain"):
                settle_unknown(connection, row.id, now, outcome.reason, outcome.detail)


def _drop_all(connection: Connection, answer: Answer, attempt: UUID, now: datetime) -> None:
    """Settle what was begun before the run went another way."""
    kept = answer.plan.message_id if isinstance(answer.plan, Send) else None
    drop_others(connection, answer.run_id, kept, attempt, now)


def only_key(connection: Connection, step: SendStep, run: sa.Row[Any], plan: Send, address: str) -> str | None:
    """Return what no two runs may share; the address in it is a pseudonym, since ledger rows outlive people."""
    if step.once_per_address is None:
        return None
    within = run.journey_key if step.once_per_address == "journey" else run.entry_id
    key = f"{step.once_per_address}/{within}/{plan.message}/{Pseudonyms.of(connection).hash('address', address)}"
    own = sa.select(sent_messages.c.id).where(sent_messages.c.only_key == key, sent_messages.c.run_id == run.id)
    return None if connection.execute(own).first() else key


def write_links(connection: Connection, message_id: UUID, composed: Composed) -> None:
    """Store where the message's links lead: the token in a mail names only message and link."""
    connection.execute(sa.delete(sent_links).where(sent_links.c.message_id == message_id))
    if composed.links:
        connection.execute(
            sa.insert(sent_links),
            [
                {"message_id": message_id, "number": link.number, "name": link.name, "destination": link.destination}
                for link in composed.links
            ],
        )
