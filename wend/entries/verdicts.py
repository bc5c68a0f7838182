"""Who of a segment's members enters, as SQL: one verdict per member, for all of them at once.

A journey that looks for joiners remembers who was a member when it last looked (the table ``audience``). Its members
here are those it has not seen: whoever joined since. Both ways of change are told by comparing sets, never by
instants, so no look misses anybody between two others.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.definition import JourneyDefinition
from wend.journeys.entry import Reentry
from wend.journeys.walltime import later
from wend.segments import store as segment_store
from wend.storage.tables import audience, identities, runs, segment_members

REASONS = {
    "no_identity": "it has no identity in the `namespace`",
    "excluded_segment": "it is in a segment of `exclude`",
    "before_start": "it was a member at the first look, and the entry is not to `backfill`",
    "already_entered": "it has entered before, and the journey is entered once",
    "still_inside": "its last run has not ended",
    "entry_limit": "it has had as many runs as `reentry.limit` allows",
    "too_soon": "its last run is not as long ago as `reentry.after` asks for",
    "paused": "it joined while the journey was paused, and its entries were to be dropped",
}
"""Why a member does not enter; of several reasons the first is told."""

JUDGED = "judged"
"""Of an audience: who has been a member for longer got a verdict then, and gets another only by joining anew."""


def members_select(connection: Connection, definition: JourneyDefinition, now: datetime) -> sa.Select[UUID]:
    """Return a select of ``profile_id``: who is in at least one of the entry's segments, each once.

    Raises:
        NotFound: A segment of the entry does not exist.
    """
    assert definition.entry is not None
    selects = [segment_store.members_select(connection, key, now) for key in definition.entry.segments]
    if len(selects) == 1:
        return selects[0]
    together = sa.union(*selects).subquery("together")
    return sa.select(together.c.profile_id)


def verdicts_select(
    connection: Connection,
    definition: JourneyDefinition,
    now: datetime,
    *,
    first_look: bool = True,
    everybody: bool = False,
) -> sa.Select[UUID, str | None]:
    """Return a select of ``profile_id`` and ``reason``: each member, and why it would not enter now, if it would not.

    Args:
        connection: A transaction.
        definition: With an entry.
        now: The instant of the look.
        first_look: Whether the journey has not looked at its segments before; it matters where joiners are looked for.
        everybody: Also those whom a look for joiners would not judge, since it has seen them before, as ``judged``.

    Raises:
        NotFound: A segment of the entry does not exist.
    """
    person, reason, is_new = _judge(connection, definition, now, first_look)
    if everybody:
        told = sa.case((reason.is_not(None), reason), (~is_new, JUDGED), else_=sa.null())
        return sa.select(person.label("profile_id"), told.label("reason"))
    return sa.select(person.label("profile_id"), reason.label("reason")).where(is_new)


def admissions_select(
    connection: Connection, definition: JourneyDefinition, now: datetime, *, first_look: bool
) -> sa.Select[UUID, str | None, int, bool, datetime]:
    """Return ``verdicts_select`` with what each one's run would begin with: ``entry_number``, ``once``, ``joined_at``.

    All of it is asked for at once, so that the runs are written without looking at runs again.
    """
    entry = definition.entry
    assert entry is not None
    person, reason, is_new = _judge(connection, definition, now, first_look)
    theirs = (runs.c.journey_key == definition.key, runs.c.profile_id == person)
    number = sa.select(sa.func.coalesce(sa.func.max(runs.c.entry_number), 0) + 1).where(*theirs).scalar_subquery()
    once: sa.ColumnElement[bool] = sa.literal(entry.is_once)
    if entry.rejoin:  # whoever comes back has had the one run that counts as theirs
        once = ~sa.exists(sa.select(runs.c.id).where(*theirs, runs.c.once))
    return sa.select(
        person.label("profile_id"),
        reason.label("reason"),
        number.label("entry_number"),
        once.label("once"),
        _joined_at(connection, definition, person, now).label("joined_at"),
    ).where(is_new)


def _judge(
    connection: Connection, definition: JourneyDefinition, now: datetime, first_look: bool
) -> tuple[sa.ColumnElement[UUID], sa.ColumnElement[str | None], sa.ColumnElement[bool]]:
    """Return a member, why it would not enter, and whether it gets a verdict at all."""
    entry = definition.entry
    assert entry is not None
    (person,) = members_select(connection, definition, now).subquery("members").c
    reason = _reason(connection, definition, person, now, first_look)
    return person, reason, ~_is_seen(definition, person) if entry.looks_for_joiners else sa.true()


def _joined_at(
    connection: Connection, definition: JourneyDefinition, person: sa.ColumnElement[UUID], now: datetime
) -> sa.ColumnElement[Any]:
    """Return SQL for when a member joined: put on a list of the entry's, or seen for the first time just now."""
    assert definition.entry is not None
    seen_now = sa.literal(now, runs.c.joined_at.type)
    found = segment_store.with_references(connection, definition.entry.segments)
    lists = [key for key in definition.entry.segments if found[key].rule is None]
    if not lists:
        return seen_now
    listed = sa.select(sa.func.min(segment_members.c.added_at)).where(
        segment_members.c.profile_id == person, segment_members.c.segment_key.in_(lists)
    )
    return sa.func.coalesce(listed.scalar_subquery(), seen_now)


# -- the memory of a journey that looks for joiners ---------------------------------------------------------------


def has_changed(connection: Connection, definition: JourneyDefinition, now: datetime) -> bool:
    """Return whether anybody has joined or left since the last look."""
    members = members_select(connection, definition, now).subquery("members")
    (person,) = members.c
    joined = sa.select(sa.literal(1)).select_from(members).where(~_is_seen(definition, person)).limit(1)
    if connection.execute(joined).first() is not None:
        return True
    left = sa.select(sa.literal(1)).select_from(audience).where(*_left(connection, definition, now)).limit(1)
    return connection.execute(left).first() is not None


def forget_leavers(connection: Connection, definition: JourneyDefinition, now: datetime) -> int:
    """Forget whoever is no member any more, so that they can be seen to come back; return how many."""
    return connection.execute(sa.delete(audience).where(*_left(connection, definition, now))).rowcount


def remember(connection: Connection, definition: JourneyDefinition, verdicts: sa.Table, now: datetime) -> None:
    """Note everybody who got a verdict as a member."""
    seen = sa.select(sa.literal(definition.key), verdicts.c.profile_id, sa.literal(now, audience.c.seen_at.type))
    connection.execute(sa.insert(audience).from_select(["journey_key", "profile_id", "seen_at"], seen))


def _is_seen(definition: JourneyDefinition, person: sa.ColumnElement[UUID]) -> sa.ColumnElement[bool]:
    seen = sa.select(audience.c.profile_id).where(
        audience.c.journey_key == definition.key, audience.c.profile_id == person
    )
    return sa.exists(seen)


def _left(connection: Connection, definition: JourneyDefinition, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    members = members_select(connection, definition, now)
    return (audience.c.journey_key == definition.key, audience.c.profile_id.not_in(members))


# -- why not ------------------------------------------------------------------------------------------------------


def _reason(
    connection: Connection,
    definition: JourneyDefinition,
    person: sa.ColumnElement[UUID],
    now: datetime,
    first_look: bool,
) -> sa.ColumnElement[str | None]:
    """Return why a member does not enter; SQL's NULL where it does. The first reason that fits is told."""
    entry = definition.entry
    assert entry is not None
    theirs = (runs.c.journey_key == definition.key, runs.c.profile_id == person)
    whens: list[tuple[sa.ColumnElement[bool], str]] = []
    if entry.namespace is not None:
        identity = sa.select(identities.c.profile_id).where(
            identities.c.profile_id == person, identities.c.namespace == entry.namespace
        )
        whens.append((~sa.exists(identity), "no_identity"))
    whens += [
        (person.in_(segment_store.members_select(connection, key, now)), "excluded_segment") for key in entry.exclude
    ]
    if first_look and entry.backfill is False:
        whens.append((sa.true(), "before_start"))
    if entry.is_once and not entry.rejoin:
        whens.append((sa.exists(sa.select(runs.c.id).where(*theirs, runs.c.once)), "already_entered"))
    whens += _reentry_reasons(definition.reentry, theirs, now)
    # No reason at all is still an expression that a database has to know the type of.
    return sa.case(*whens, else_=sa.null()) if whens else sa.cast(sa.null(), sa.Text)


def _reentry_reasons(
    reentry: Reentry, theirs: tuple[sa.ColumnElement[bool], ...], now: datetime
) -> list[tuple[sa.ColumnElement[bool], str]]:
    whens: list[tuple[sa.ColumnElement[bool], str]] = []
    if reentry.still_inside == "skip":
        whens.append((sa.exists(sa.select(runs.c.id).where(*theirs, runs.c.ended_at.is_(None))), "still_inside"))
    if reentry.limit is not None:
        had = sa.select(sa.func.count()).select_from(runs).where(*theirs).scalar_subquery()
        whens.append((had >= reentry.limit, "entry_limit"))
    if reentry.after is not None:
        last = runs.c.ended_at if reentry.since == "end" else runs.c.created_at
        recent = sa.select(runs.c.id).where(*theirs, last > earliest_last(reentry.after, now))
        whens.append((sa.exists(recent), "too_soon"))
    return whens


def earliest_last(gap: timedelta, now: datetime) -> datetime:
    """Return the instant that the last run must not be after."""
    return later(now, -gap)
