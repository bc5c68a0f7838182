"""The demo's figures, and whether they add up: Wend's ledger against the segment, the sink and the reader."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.cli.sampling import REFERENCE, SEGMENT
from wend.lifecycle.figures import JourneyFigures, read_figures
from wend.segments import store as segment_store
from wend.storage.tables import events, moves, sent_messages

MAIL, WAIT, TEXT = "announce", "interested", "launched"
"""The steps of the reference journey that are counted."""


class Delivered(NamedTuple):
    """A message that the sink has."""

    channel: str
    message_id: str | None
    recipient: str


@dataclass(frozen=True)
class Tally:
    """The figures of a demo.

    Attributes:
        no_address: Runs that came to the text message, of people who have no number.
        problems: What does not add up, in words.
    """

    members: int
    entered: int
    excluded: Mapping[str, int]
    emails: int
    clicks: int
    timeouts: int
    texts: int
    no_address: int
    uncertain: int
    outcomes: Mapping[str, int]
    problems: Sequence[str] = field(default=())


def figures_of(connection: Connection) -> JourneyFigures:
    """Return the journey's figures as they are now."""
    return read_figures(connection, REFERENCE, [MAIL, WAIT, "launch-day", TEXT])


def left(figures: JourneyFigures, step: str, why: str) -> int:
    """Return how many runs have left a step by this way."""
    return next((each.left.get(why, 0) for each in figures.steps if each.step == step), 0)


def tally(connection: Connection, delivered: Sequence[Delivered], followed: Mapping[str, int]) -> Tally:
    """Count, and compare.

    Args:
        connection: A transaction on Wend's database.
        delivered: Everything that the sink has, copies included.
        followed: The reader's mails, with the status of the answer to its click.
    """
    figures = figures_of(connection)
    ledger = _Ledger(connection)
    checks = _Checks()
    members = segment_store.count(connection, SEGMENT, datetime.now(UTC))
    _check_entry(checks, figures, members)
    emails = _check_channel(checks, "email", ledger, delivered)
    texts = _check_channel(checks, "sms", ledger, delivered)
    clicks, timeouts = left(figures, WAIT, "clicked"), left(figures, WAIT, "timed_out")
    failed = sum(count for outcome, count in figures.outcomes.items() if outcome.startswith("failed"))
    checks.equal("runs that left the wait (or failed before)", clicks + timeouts + failed, "entered", figures.entered)
    mails = sum(count for (channel, _), count in ledger.states.items() if channel == "email")
    checks.equal("mails in the ledger", mails, "entered", figures.entered)
    no_address = _no_number(connection)
    sms = sum(count for (channel, _), count in ledger.states.items() if channel == "sms")
    checks.equal("texts in the ledger, and people without a number", sms + no_address, "clicks", clicks)
    _check_clicks(connection, checks, followed)
    uncertain = sum(count for (_, state), count in ledger.states.items() if state == "uncertain")
    return Tally(
        members, figures.entered, figures.excluded, emails, clicks, timeouts, texts, no_address, uncertain,
        figures.outcomes, checks.problems,
    )  # fmt: skip


class _Checks:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def equal(self, one: str, count: int, other: str, other_count: int) -> None:
        if count != other_count:
            self.problems.append(f"{one}: {count}, but {other}: {other_count}")

    def none(self, what: str, found: Sequence[Any]) -> None:
        if found:
            some = ", ".join(map(str, sorted(map(str, found))[:3]))
            self.problems.append(f"{what}: {len(found)} ({some}{', …' if len(found) > 3 else ''})")


class _Ledger:
    """Every send that was claimed: where it went, and how it ended."""

    def __init__(self, connection: Connection) -> None:
        columns = sent_messages.c
        rows = connection.execute(
            sa.select(columns.id, columns.channel, columns.state, columns.address).where(
                columns.journey_key == REFERENCE
            )
        ).all()
        self.rows = {str(row.id): row for row in rows}
        self.states = Counter((row.channel, row.state) for row in rows)


def _check_entry(checks: _Checks, figures: JourneyFigures, members: int) -> None:
    checks.equal("members counted at the entry", figures.members, "members counted now", members)
    excluded = sum(figures.excluded.values())
    checks.equal("entered and excluded", figures.entered + excluded, "members", members)
    checks.equal("runs at an end", sum(figures.outcomes.values()), "entered", figures.entered)


def _check_channel(checks: _Checks, channel: str, ledger: _Ledger, delivered: Sequence[Delivered]) -> int:
    """Compare ledger and sink on one channel; return how many different messages the sink has."""
    here = [each for each in delivered if each.channel == channel]
    copies = Counter(each.message_id for each in here)
    checks.none(f"{channel}: in the sink more than once", [id for id, count in copies.items() if count > 1])
    expected = {id for id, row in ledger.rows.items() if row.channel == channel and row.state == "accepted"}
    possible = {id for id, row in ledger.rows.items() if row.channel == channel and row.state == "uncertain"}
    checks.none(f"{channel}: accepted, but not in the sink", list(expected - copies.keys()))
    checks.none(
        f"{channel}: in the sink, but neither accepted nor uncertain",
        [id for id in copies if id not in expected | possible],
    )
    unsettled = [id for id, row in ledger.rows.items() if row.channel == channel and row.state == "claimed"]
    checks.none(f"{channel}: claimed and never settled", unsettled)
    strangers = [
        id
        for each in here
        if (id := each.message_id) in ledger.rows and ledger.rows[id].address.lower() != each.recipient.lower()
    ]
    checks.none(f"{channel}: gone to another address than the ledger says", strangers)
    return len(copies)


def _no_number(connection: Connection) -> int:
    whys = connection.scalars(sa.select(moves.c.why).where(moves.c.journey_key == REFERENCE, moves.c.from_step == TEXT))
    return sum(why.get("outcome") == "no_address" for why in whys)


def _check_clicks(connection: Connection, checks: _Checks, followed: Mapping[str, int]) -> None:
    """Every link that was followed moved its run, or came late and is recorded so."""
    checks.none(
        "links that were followed and did not redirect",
        [f"{id}: {status}" for id, status in followed.items() if status != 302],
    )
    whys = connection.scalars(
        sa.select(moves.c.why).where(
            moves.c.journey_key == REFERENCE, moves.c.from_step == WAIT, moves.c.why_kind == "clicked"
        )
    )
    moved = {why["message_id"] for why in whys}
    late = {
        str(id)
        for id in connection.scalars(sa.select(events.c.message_id).where(events.c.late_microseconds.is_not(None)))
    }
    redirected = {id for id, status in followed.items() if status == 302}
    checks.none("clicks that were redirected and then lost", list(redirected - moved - late))
    checks.none("runs that went on by a click that nobody made", list(moved - redirected))
