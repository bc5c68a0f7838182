"""Where a send stands, by all that is known of it.

What its attempts learned themselves stands first; then what the provider told, of which delivery, opening, a click or
a bounce prove that it took the message, whatever else it says; then the word of an operator. It is a pure function of
the earliest instant of each kind, so neither the order of a provider's events nor their copies make a difference.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from wend.channels.port import RefusedReason

EventKind = Literal["delivered", "opened", "clicked", "bounced", "rejected"]
State = Literal["claimed", "accepted", "refused", "uncertain", "released"]
Ended = Literal["accepted", "refused", "uncertain"]

KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
PROOFS: Final[tuple[EventKind, ...]] = ("delivered", "opened", "clicked", "bounced")
"""What a provider tells only of a message that it has taken."""

TOLD: Final = "told_by_provider"
SETTLED: Final = "settled_by_operator"
"""Reasons of rows of which no attempt knows how they ended; the detail says why none does."""

LATE: Final = "late_outcome"

_LEARNED: Final = frozenset({*get_args(RefusedReason), LATE, "not_rendered"})
"""Reasons of refusals that an attempt met; any other one says that nobody tried any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a row of the ledger stands, and why."""

    state: State
    reason: str | None
    detail: str | None


def instant_of(row: Any, kind: EventKind) -> Any:
    """Return the earliest instant of a kind that a row of the ledger has; ``None`` if the provider never told it."""
    return getattr(row, f"{kind}_at")


def told(row: Any) -> Literal["accepted", "refused"] | None:
    """Return how a send ended by what its provider told afterwards; ``None`` if it told nothing."""
    if any(instant_of(row, kind) is not None for kind in PROOFS):
        return "accepted"
    return None if row.rejected_at is None else "refused"


def stands(was: Standing, said: Literal["accepted", "refused"] | None) -> Standing:
    """Return how a row stands when a provider has told that the send ended so.

    While an attempt is under way, or the next one is to come, what was told waits for how that ends.
    """
    if said is None or was.state in ("claimed", "released"):
        return was
    if was.reason == TOLD:
        return Standing(said, TOLD, was.detail)
    unsent = was.state == "refused" and was.reason not in _LEARNED and said == "accepted"
    if is_open(was.state, was.reason) or unsent:
        return Standing(said, TOLD, _because(was))
    return was


def is_open(state: str, reason: str | None) -> bool:
    """Return whether no attempt has learned how the send ended."""
    return state == "uncertain" or reason in (TOLD, SETTLED)


def settled(was: Standing, said: Literal["accepted", "refused"]) -> Standing:
    """Return how a row stands by an operator's word."""
    return Standing(said, SETTLED, _because(was))


def _because(was: Standing) -> str | None:
    return ": ".join(part for part in (was.reason, was.detail) if part) or None
