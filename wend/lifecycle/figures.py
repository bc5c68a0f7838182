"""The figures of a journey, counted from what is written down: moves, runs, the ledger, clicks.

The journal of moves only grows, one row a move, so no step has a row that every run would fight for. The figures
always add up: what came to a step is there now or has left it, and who entered is inside or at an end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.storage.tables import entries, events, exclusions, journeys, moves, runs, sent_messages


@dataclass(slots=True)
class StepFigures:
    """One step. ``entered`` = ``here`` + everything in ``left``; ``left`` is counted by why."""

    step: str
    entered: int = 0
    here: int = 0
    left: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    clicks: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class JourneyFigures:
    """A journey, or one of its versions.

    Attributes:
        members: Counted from the segment at each entry, and summed; starts through the API are members too.
        entered: Runs.
        excluded: By reason.
        moved_in: Runs that were moved here from another version; ``entered`` + ``moved_in`` = ``inside`` + all of
            ``outcomes`` + ``moved_out``. Over all versions both are the same.
        moved_out: Runs that were moved to another version.
        pending: Runs that have not made their first move.
        held: Runs that wait for the journey's pause to end.
        outcomes: Ended runs by outcome, and by reason behind a colon.
        messages: Messages in the ledger by state.
        clicks: ``counted``, ``late``, and those that do not count by why.
    """

    journey: str
    version: int | None
    state: str
    members: int = 0
    entered: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    moved_in: int = 0
    moved_out: int = 0
    held: int = 0
    pending: int = 0
    inside: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    clicks: dict[str, int] = field(default_factory=dict)
    steps: list[StepFigures] = field(default_factory=list)


def read_figures(
    connection: Connection, journey: str, step_order: Sequence[str], version: int | None = None
) -> JourneyFigures:
    """Return the figures of a journey over all versions, or of one.

    Args:
        connection: A transaction.
        journey: The journey's key.
        step_order: Steps in the order to list them; others follow.
        version: Only runs of this version.

    Raises:
        NotFound: There is no such journey.
    """
    state = connection.scalar(sa.select(journeys.c.state).where(journeys.c.key == journey))
    if state is None:
        raise NotFound("journey", journey)
    figures = JourneyFigures(journey, version, state)
    _count_entries(connection, figures)
    _count_runs(connection, figures)
    steps = {step: StepFigures(step) for step in step_order}
    _count_moves(connection, figures, steps)
    _count_messages(connection, figures, steps)
    _count_clicks(connection, figures, steps)
    figures.steps = list(steps.values())
    return figures


def _of(table: sa.Table, figures: JourneyFigures) -> list[sa.ColumnElement[bool]]:
    wanted = [table.c.journey_key == figures.journey]
    return wanted if figures.version is None else [*wanted, table.c.version == figures.version]


def _count_entries(connection: Connection, figures: JourneyFigures) -> None:
    figures.members = (
        connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(entries.c.members), 0)).where(*_of(entries, figures)))
        or 0
    )
    by_reason = (
        sa.select(exclusions.c.reason, sa.func.count())
        .join(entries, entries.c.id == exclusions.c.entry_id)
        .where(*_of(entries, figures))
        .group_by(exclusions.c.reason)
        .order_by(exclusions.c.reason)
    )
    figures.excluded = dict(connection.execute(by_reason).all())


def _count_runs(connection: Connection, figures: JourneyFigures) -> None:
    by_state = (
        sa.select(runs.c.state, runs.c.reason, sa.func.count())
        .where(*_of(runs, figures))
        .group_by(runs.c.state, runs.c.reason)
        .order_by(runs.c.state, runs.c.reason)
    )
    for state, reason, count in connection.execute(by_state):
        if state == "pending":
            figures.pending += count
        if state in ("pending", "running"):
            figures.inside += count
        else:
            name = f"{state}: {reason}" if reason and reason != state else state
            figures.outcomes[name] = figures.outcomes.get(name, 0) + count

    entered = sa.select(sa.func.count()).select_from(runs).join(entries, entries.c.id == runs.c.entry_id)
    figures.entered = connection.scalar(entered.where(*_of(entries, figures))) or 0
    held = sa.select(sa.func.count()).where(
        runs.c.held_at.is_not(None), *_of(runs, figures), runs.c.journey_key == journeys.c.key
    )
    paused = held.select_from(runs.join(journeys, journeys.c.key == runs.c.journey_key))
    figures.held = connection.scalar(paused.where(journeys.c.state == "paused")) or 0


def _count_moves(connection: Connection, figures: JourneyFigures, steps: dict[str, StepFigures]) -> None:
    by_way = (
        sa.select(moves.c.from_step, moves.c.to_step, moves.c.why_kind, sa.func.count())
        .where(*_of(moves, figures))
        .group_by(moves.c.from_step, moves.c.to_step, moves.c.why_kind)
    )
    for from_step, to_step, why, count in connection.execute(by_way):
        if why == "moved_in":
            figures.moved_in += count
        elif why == "moved_out":
            figures.moved_out += count
        if to_step != "exit":
            steps.setdefault(to_step, StepFigures(to_step)).entered += count
        if from_step is not None:
            left = steps.setdefault(from_step, StepFigures(from_step)).left
            left[why] = left.get(why, 0) + count
    standing = (
        sa.select(runs.c.step, sa.func.count())
        .where(*_of(runs, figures), runs.c.step.is_not(None))
        .group_by(runs.c.step)
    )
    for step, count in connection.execute(standing):
        steps.setdefault(step, StepFigures(step)).here = count


def _count_messages(connection: Connection, figures: JourneyFigures, steps: dict[str, StepFigures]) -> None:
    by_state = (
        sa.select(sent_messages.c.step, sent_messages.c.state, sa.func.count())
        .where(*_of(sent_messages, figures))
        .group_by(sent_messages.c.step, sent_messages.c.state)
    )
    for step, state, count in connection.execute(by_state):
        steps.setdefault(step, StepFigures(step)).messages[state] = count
        figures.messages[state] = figures.messages.get(state, 0) + count


def _count_clicks(connection: Connection, figures: JourneyFigures, steps: dict[str, StepFigures]) -> None:
    kind = sa.case(
        (~events.c.counted, sa.func.coalesce(events.c.note, "not_counted")),
        (events.c.late_microseconds.is_not(None), "late"),
        else_="counted",
    )
    by_kind = (
        sa.select(sent_messages.c.step, kind, sa.func.count())
        .join(sent_messages, sent_messages.c.id == events.c.message_id)
        .where(*_of(sent_messages, figures))
        .group_by(sent_messages.c.step, kind)
    )
    for step, name, count in connection.execute(by_kind):
        steps.setdefault(step, StepFigures(step)).clicks[name] = count
        figures.clicks[name] = figures.clicks.get(name, 0) + count
