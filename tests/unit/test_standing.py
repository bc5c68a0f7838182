"""Where a send stands: the same by the same facts, in whatever order and however often they came."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wend.sends.standing import KINDS, PROOFS, SETTLED, TOLD, EventKind, Standing, settled, stands, told

T0 = datetime(2026, 12, 1, 9, tzinfo=UTC)
UNCERTAIN = Standing("uncertain", "timed_out", "no answer")

BASES = [
    UNCERTAIN,
    Standing("uncertain", "attempt_lost", None),
    settled(UNCERTAIN, "accepted"),
    settled(UNCERTAIN, "refused"),
    Standing("claimed", None, None),
    Standing("released", "rate_limited", None),
    Standing("accepted", None, None),
    Standing("accepted", "late_outcome", None),
    Standing("refused", "recipient_refused", "550"),
    Standing("refused", "run_went_on", "rate_limited"),
]

Fact = tuple[EventKind, int]
FACTS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5)), max_size=8)


@dataclass(frozen=True)
class Row:
    """What a row of the ledger knows of its provider's events."""

    delivered_at: datetime | None = None
    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    bounced_at: datetime | None = None
    rejected_at: datetime | None = None


def fold(base: Standing, facts: Sequence[Fact]) -> tuple[Standing, Row]:
    """Take facts in one at a time, as they come."""
    row = Row()
    for kind, hours in facts:
        at = T0 + timedelta(hours=hours)
        known = getattr(row, f"{kind}_at")
        row = replace(row, **{f"{kind}_at": at if known is None else min(known, at)})
        base = stands(base, told(row))
    return base, row


@given(base=st.sampled_from(BASES), facts=FACTS, data=st.data())
def test_neither_the_order_nor_copies_make_a_difference(base: Standing, facts: list[Fact], data: st.DataObject) -> None:
    copies = data.draw(st.lists(st.sampled_from(facts), max_size=8)) if facts else []
    shuffled = data.draw(st.permutations([*facts, *copies]))
    assert fold(base, shuffled) == fold(base, facts)


@given(before=FACTS, after=FACTS)
def test_facts_that_come_while_the_attempt_is_under_way_count_as_those_that_come_after_it(
    before: list[Fact], after: list[Fact]
) -> None:
    _, row = fold(Standing("claimed", None, None), before)
    lost = stands(UNCERTAIN, told(row))  # how an attempt that knows nothing settles
    assert fold(lost, [*before, *after]) == fold(UNCERTAIN, [*before, *after])


@pytest.mark.parametrize("kind", PROOFS)
def test_what_is_told_only_of_messages_that_were_taken_proves_it(kind: EventKind) -> None:
    assert fold(UNCERTAIN, [("rejected", 0), (kind, 1)])[0] == Standing("accepted", TOLD, "timed_out: no answer")


def test_a_rejection_alone_says_that_it_was_not_taken() -> None:
    assert fold(UNCERTAIN, [("rejected", 0)])[0] == Standing("refused", TOLD, "timed_out: no answer")


@pytest.mark.parametrize("base", [Standing("accepted", None, None), Standing("refused", "recipient_refused", "550")])
@pytest.mark.parametrize("kind", KINDS)
def test_what_an_attempt_learned_itself_stands(base: Standing, kind: EventKind) -> None:
    assert fold(base, [(kind, 0)])[0] == base


@pytest.mark.parametrize("said", ["accepted", "refused"])
def test_the_provider_counts_more_than_an_operator(said: str) -> None:
    word = settled(UNCERTAIN, "accepted" if said == "accepted" else "refused")
    assert (word.state, word.reason, word.detail) == (said, SETTLED, "timed_out: no answer")
    assert fold(word, [("rejected", 0)])[0].state == "refused"
    assert fold(word, [("rejected", 0), ("opened", 3)])[0].state == "accepted"


def test_a_send_that_nobody_tried_any_more_was_taken_if_its_provider_says_so() -> None:
    base = Standing("refused", "run_went_on", "rate_limited")
    assert fold(base, [("delivered", 0)])[0].state == "accepted"
    assert fold(base, [("rejected", 0)])[0] == base
