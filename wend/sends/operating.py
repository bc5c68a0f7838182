"""What an operator does about a send of which nobody knows whether it went out: settles it, or has it sent again."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import Conflict, NotFound
from wend.journeys.delivery import SENDING_STATES, Allowed, delivery_policy
from wend.journeys.results import Send
from wend.journeys.serial import load_plan
from wend.journeys.steps.send import SendStep
from wend.lifecycle import audit
from wend.lifecycle.ending import STOPPED, TAKEN_OUT
from wend.lifecycle.versions import load_version
from wend.runs.facts import read_profile
from wend.runs.settling import LOST, settle_unknown
from wend.sends.standing import Standing, settled
from wend.storage.database import lock_journey, lock_profile, lock_run
from wend.storage.tables import sent_messages

RESENDING_STATES: Final = SENDING_STATES | {"finished"}
"""States of a journey in which a message is sent again: a finished one has nobody inside, and may still owe a mail."""

FORGOTTEN_AFTER: Final = timedelta(hours=2)
"""Longer than the longest pause between two tries: nobody is sending it again any more, whatever the row says."""

_LEFT: Final = (STOPPED.reason, TAKEN_OUT.reason)
"""How runs ended of which somebody was answered that nothing more is sent."""


class NotUncertain(Conflict):
    """The send is not uncertain, and so there is nothing to settle and nothing to send again."""

    def __init__(self, message_id: UUID, state: str) -> None:
        super().__init__(
            f"Message {str(message_id)!r} is {state}, and only what is uncertain is settled or sent again."
        )
        self.message_id = message_id


class ResendUnderWay(Conflict):
    """The message is being sent again already."""

    def __init__(self, message_id: UUID, since: datetime) -> None:
        super().__init__(
            f"Message {str(message_id)!r} is being sent again since {since.isoformat()}. Follow it with: "
            f"wend messages sent {message_id}"
        )
        self.message_id = message_id


class NotResent(Conflict):
    """The message cannot be sent again now."""

    def __init__(self, message_id: UUID, why: str) -> None:
        super().__init__(f"Message {str(message_id)!r} is not sent again: {why}.")
        self.message_id = message_id


def settle_send(
    connection: Connection,
    message_id: UUID,
    said: Literal["accepted", "refused"],
    now: datetime,
    *,
    reason: str | None = None,
    by: str = audit.ITSELF,
) -> None:
    """Settle an uncertain send by an operator's word; what its provider tells afterwards still counts more.

    One that waits to be sent again is not sent any more. The run is not moved.

    Raises:
        NotFound: There is no such message.
        NotUncertain: It is settled, or an attempt at it is under way.
    """
    row, _, run = _take_up(connection, message_id, now)
    if row.state != "uncertain":
        raise NotUncertain(message_id, row.state)
    known = settled(Standing(row.state, row.reason, row.detail), said)
    values = {"state": known.state, "reason": known.reason, "detail": known.detail}
    connection.execute(
        sa.update(sent_messages)
        .where(sent_messages.c.id == message_id)
        .values(**values, settled_at=now, resend_asked_at=None)
    )
    told = {"message_id": str(message_id), "as": said} | ({"reason": reason} if reason else {})
    _note(connection, by, "settle", now, row, run, told)


def ask_resend(connection: Connection, message_id: UUID, now: datetime, *, by: str = audit.ITSELF) -> datetime:
    """Have an uncertain message sent once more, whether the run is still there or not; it is not moved.

    The id stays, and with it the provider's idempotency key and the tracked links.

    Returns:
        The instant that names this asking.

    Raises:
        NotFound: There is no such message.
        NotUncertain: It is settled, or an attempt at it is under way.
        ResendUnderWay: That was asked already.
        NotResent: The journey, the run or the profile do not let it be sent.
    """
    row, journey, run = _take_up(connection, message_id, now)
    if row.resend_asked_at is not None:
        raise ResendUnderWay(message_id, row.resend_asked_at)
    if row.state != "uncertain":
        raise NotUncertain(message_id, row.state)
    if (why := hindrance(connection, row, journey, run)) is not None:
        raise NotResent(message_id, why)
    connection.execute(sa.update(sent_messages).where(sent_messages.c.id == message_id).values(resend_asked_at=now))
    parcel = {
        "asked_at": now.isoformat(),
        "journey": row.journey_key,
        "version": row.version,
        "profile_id": str(row.profile_id),
        "entry_id": str(run.entry_id),
        "run_id": str(row.run_id),
        "channel": row.channel,
        "message": row.message_key,
        "tries": row.tries,
    }
    outbox.put(connection, "resend", message_id, now, parcel)
    _note(connection, by, "resend", now, row, run, {"message_id": str(message_id)})
    return now


def lock_send(connection: Connection, message_id: UUID) -> tuple[sa.Row[Any], sa.Row[Any], sa.Row[Any]]:
    """Return a message's row of the ledger, its journey's and its run's, locked as a claim locks them.

    Raises:
        NotFound: There is no such message.
    """
    query = sa.select(sent_messages).where(sent_messages.c.id == message_id)
    where = connection.execute(query).one_or_none()
    if where is None:
        raise NotFound("sent message", message_id, "Those that are uncertain: wend messages --uncertain")
    journey = lock_journey(connection, where.journey_key)
    lock_profile(connection, where.profile_id)
    run = lock_run(connection, where.run_id)
    assert journey is not None
    assert run is not None
    return connection.execute(query).one(), journey, run


def _take_up(connection: Connection, message_id: UUID, now: datetime) -> tuple[sa.Row[Any], sa.Row[Any], sa.Row[Any]]:
    """Return what ``lock_send`` does, having ended a resend that nobody is at any more: Temporal may have lost it."""
    row, journey, run = lock_send(connection, message_id)
    since = row.resend_asked_at
    if since is None or now - max(since, row.claimed_at) <= FORGOTTEN_AFTER:
        return row, journey, run
    of_row = sent_messages.c.id == message_id
    connection.execute(sa.update(sent_messages).where(of_row).values(resend_asked_at=None))
    if row.state == "claimed":
        settle_unknown(connection, message_id, now, *LOST)
    return connection.execute(sa.select(sent_messages).where(of_row)).one(), journey, run


def hindrance(connection: Connection, row: sa.Row[Any], journey: sa.Row[Any], run: sa.Row[Any]) -> str | None:
    """Return why a message of the ledger is not to be sent again now; ``None`` if it may be."""
    if journey.state not in RESENDING_STATES:
        return f"journey {row.journey_key!r} is {journey.state}"
    if run.reason in _LEFT:
        return f"its run has ended ({run.reason.replace('_', ' ')}), and nothing more is sent by it"
    plan = load_plan(run.answer) if run.answer else None
    if isinstance(plan, Send) and plan.message_id == row.id:
        return "its run is still at this send, and goes on with it by itself"
    profile = read_profile(connection, row.profile_id)
    if profile is None:
        return "the profile was deleted"
    # A finished journey has nobody inside any more; what one of them was owed is sent as while it was closed.
    state = "closed" if journey.state == "finished" else journey.state
    allowed = delivery_policy(step_of(connection, row), state, profile)
    return None if isinstance(allowed, Allowed) else "the profile has no address for it any more"


def step_of(connection: Connection, row: sa.Row[Any]) -> SendStep:
    """Return the step that a message was sent by, in the version that its run was on then."""
    step = load_version(connection, row.journey_key, row.version).steps[row.step]
    assert isinstance(step, SendStep)
    return step


def _note(
    connection: Connection,
    by: str,
    action: audit.Action,
    now: datetime,
    row: sa.Row[Any],
    run: sa.Row[Any],
    detail: dict[str, str],
) -> None:
    audit.note(
        connection,
        by,
        action,
        now,
        journey=row.journey_key,
        version=row.version,
        run_id=run.id,
        profile_id=row.profile_id,
        detail=detail,
    )
