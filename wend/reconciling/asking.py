"""Reconciliations themselves: who asked for one, how far it is, what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import NotFound
from wend.lifecycle import audit
from wend.reconciling.findings import Kind, Report
from wend.storage.database import lock_journey
from wend.storage.tables import audit as records
from wend.storage.tables import journeys, reconciliations
from wend.storage.tables import outbox as parcels

LIVING: Final = ("scheduled", "live", "paused", "closed")
"""States of journeys that are not over."""

OVER_FOR: Final = timedelta(hours=1)
"""How long after a journey's end it is still compared: workflows may outlive their runs."""

KEEP: Final = timedelta(days=7)
"""How long what came of a routine reconciliation is kept."""

RECENTLY: Final = timedelta(days=2)
"""What a routine reconciliation compares of what only grows: the rest has been compared by those before."""

LASTS: Final = timedelta(hours=6)
"""How long a routine reconciliation holds the next one of its journey back."""

LOST_AFTER: Final = timedelta(days=1)
"""When one that has not ended is taken for lost, with the Temporal that knew of it."""

UNDER_WAY: Final = "ReconciliationUnderWay"
"""The error of a start that waits for the one before it to end."""

State = Literal["asked", "running", "done", "failed"]

_UNENDED: Final = ("asked", "running")


@dataclass(frozen=True, slots=True)
class Options:
    """What a reconciliation is to do.

    Attributes:
        repair: Mend what is safe to mend; else only compare.
        lost: What becomes of open runs whose workflow Temporal does not have: they go on by a new one, or ``fail``.
        routine: It comes by schedule, and compares of what only grows no more than the last days'.
    """

    repair: bool = True
    lost: Literal["revive", "fail"] = "revive"
    routine: bool = False


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One comparison of a journey.

    Attributes:
        waits_for: While nobody has begun: the ``relay``, ``temporal``, a ``worker``, or its ``turn`` after another one.
        trouble: Why the last attempt to have it begun went wrong.
        report: What was found; while it runs, how far it is.
        error: Why it failed.
    """

    id: UUID
    journey: str
    asked_at: datetime
    by: str
    options: Options
    state: State
    started_at: datetime | None
    finished_at: datetime | None
    report: Mapping[str, Any] | None
    error: str | None
    waits_for: Literal["relay", "temporal", "worker", "turn"] | None = None
    trouble: str | None = None


def ask(connection: Connection, journey: str, options: Options, now: datetime, *, by: str = audit.ITSELF) -> UUID:
    """Have a journey reconciled; return the reconciliation's id.

    Raises:
        NotFound: There is no such journey.
    """
    if lock_journey(connection, journey) is None:
        raise NotFound("journey", journey, "Journeys are listed by: wend journeys list")
    return _ask(connection, journey, options, now, by)


def _ask(connection: Connection, journey: str, options: Options, now: datetime, by: str) -> UUID:
    id = uuid4()
    connection.execute(
        sa.insert(reconciliations).values(
            id=id, journey_key=journey, asked_at=now, by=by, options=asdict(options), state="asked"
        )
    )
    outbox.put(connection, "reconcile", journey, now, {"id": str(id)})
    return id


def ask_for_all(connection: Connection, now: datetime) -> list[str]:
    """Have every journey reconciled that is not over, or has just ended; return their keys.

    One whose last routine reconciliation has not ended yet is left out. What came of old ones is forgotten, but for
    the newest of each journey.
    """
    waiting = sa.exists(
        sa.select(reconciliations.c.id).where(
            reconciliations.c.journey_key == journeys.c.key,
            reconciliations.c.by == audit.ITSELF,
            reconciliations.c.state.in_(_UNENDED),
            reconciliations.c.asked_at > now - LASTS,
        )
    )
    lives = sa.or_(journeys.c.state.in_(LIVING), journeys.c.ended_at > now - OVER_FOR)
    # Without their locks: one that is taking in a million would hold up all the others.
    asked = list(connection.scalars(sa.select(journeys.c.key).where(lives, ~waiting).order_by(journeys.c.key)))
    for key in asked:
        _ask(connection, key, Options(routine=True), now, audit.ITSELF)
    _forget(connection, now)
    return asked


def _forget(connection: Connection, now: datetime) -> None:
    lost = (reconciliations.c.state.in_(_UNENDED), reconciliations.c.asked_at < now - LOST_AFTER)
    given_up = {"state": "failed", "finished_at": now, "report": None, "error": "nobody has ended it within a day"}
    connection.execute(sa.update(reconciliations).where(*lost).values(**given_up))
    newer = reconciliations.alias()
    replaced = sa.exists(
        sa.select(newer.c.id).where(
            newer.c.journey_key == reconciliations.c.journey_key,
            newer.c.state == "done",
            newer.c.asked_at > reconciliations.c.asked_at,
        )
    )
    connection.execute(
        sa.delete(reconciliations).where(
            reconciliations.c.finished_at < now - KEEP, reconciliations.c.by == audit.ITSELF, replaced
        )
    )


def read(connection: Connection, journey: str, id: UUID) -> Reconciliation:
    """Return a reconciliation of a journey.

    Raises:
        NotFound: The journey has no such one.
    """
    query = sa.select(reconciliations).where(reconciliations.c.journey_key == journey, reconciliations.c.id == id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("reconciliation", id)
    return _with_waiting(connection, [row])[0]


def page(
    connection: Connection, journey: str, *, before: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[Reconciliation]:
    """Return a journey's reconciliations, the newest first, those behind ``before``."""
    query = sa.select(reconciliations).where(reconciliations.c.journey_key == journey)
    if before is not None:
        at, id = before
        asked_at = reconciliations.c.asked_at
        query = query.where(asked_at <= at, sa.or_(asked_at < at, reconciliations.c.id < id))
    query = query.order_by(reconciliations.c.asked_at.desc(), reconciliations.c.id.desc()).limit(limit)
    return _with_waiting(connection, connection.execute(query).all())


def begin(connection: Connection, id: UUID, now: datetime) -> Reconciliation | None:
    """Write down that somebody is at it, and return it; ``None`` where it has ended, or is forgotten."""
    open_ = (reconciliations.c.id == id, reconciliations.c.state.in_(_UNENDED))
    begun = connection.execute(
        sa.update(reconciliations)
        .where(*open_)
        .values(state="running", started_at=sa.func.coalesce(reconciliations.c.started_at, now))
    )
    if begun.rowcount == 0:
        return None
    return _reconciliation(connection.execute(sa.select(reconciliations).where(reconciliations.c.id == id)).one())


def mended_before(connection: Connection, begun: Reconciliation) -> Mapping[Kind, int]:
    """Return by kind what attempts that were broken off have mended: nobody finds it any more."""
    query = sa.select(records.c.detail).where(
        records.c.journey_key == begun.journey,
        records.c.action == "reconcile",
        records.c.detail["reconciliation"].as_string() == str(begun.id),
    )
    mended: dict[Kind, int] = {}
    for detail in connection.scalars(query):
        mended[detail["kind"]] = mended.get(detail["kind"], 0) + detail["repaired"]
    return mended


def note_progress(connection: Connection, id: UUID, done: Mapping[str, Any]) -> None:
    """Write down how far it is, for whoever watches."""
    running = (reconciliations.c.id == id, reconciliations.c.state == "running")
    connection.execute(sa.update(reconciliations).where(*running).values(report=dict(done)))


def finish(connection: Connection, id: UUID, report: Report, now: datetime) -> None:
    """Write down what came of it."""
    values = {"state": "done", "finished_at": now, "report": report.document(), "error": None}
    connection.execute(sa.update(reconciliations).where(reconciliations.c.id == id).values(**values))


def fail(connection: Connection, id: UUID, error: str, now: datetime) -> None:
    """Write down that it cannot be carried out."""
    values = {"state": "failed", "finished_at": now, "report": None, "error": error[:2000]}
    connection.execute(sa.update(reconciliations).where(reconciliations.c.id == id).values(**values))


def _reconciliation(row: sa.Row[Any]) -> Reconciliation:
    return Reconciliation(
        row.id,
        row.journey_key,
        row.asked_at,
        row.by,
        Options(**row.options),
        row.state,
        row.started_at,
        row.finished_at,
        row.report,
        row.error,
    )


def _with_waiting(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[Reconciliation]:
    """Return them, those that nobody has begun with what they wait for."""
    found = [_reconciliation(row) for row in rows]
    if all(each.state != "asked" for each in found):
        return found
    undelivered = sa.select(parcels.c.payload, parcels.c.attempts, parcels.c.error).where(
        parcels.c.done_at.is_(None), parcels.c.kind == "reconcile"
    )
    waiting = {UUID(row.payload["id"]): row for row in connection.execute(undelivered)}
    return [_wait(each, waiting.get(each.id)) if each.state == "asked" else each for each in found]


def _wait(each: Reconciliation, parcel: Any | None) -> Reconciliation:
    if parcel is None:
        return replace(each, waits_for="worker")
    if parcel.error is None:
        return replace(each, waits_for="relay")
    waits_for: Literal["temporal", "turn"] = "turn" if parcel.error.startswith(UNDER_WAY) else "temporal"
    return replace(each, waits_for=waits_for, trouble=parcel.error)
