"""What a reconciliation finds: discrepancies by kind, each with its cause and what became of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

Kind = Literal[
    "workflow_lost",
    "workflow_closed",
    "workflow_left",
    "workflow_unknown",
    "start_forgotten",
    "start_stalled",
    "entry_abandoned",
    "entry_unfinished",
    "run_overdue",
    "bell_lost",
    "hold_left",
    "send_stalled",
    "claim_left",
    "release_left",
    "send_unjournaled",
    "send_unwritten",
    "outbox_waiting",
    "entry_uneven",
    "figures_uneven",
]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

SAID: Final[Mapping[Kind, str]] = {
    "workflow_lost": "open runs whose workflow Temporal does not have",
    "workflow_closed": "open runs whose workflow has ended",
    "workflow_left": "ended runs whose workflow is still open",
    "workflow_unknown": "open workflows of runs that the database does not have",
    "start_forgotten": "runs that nobody is going to start",
    "start_stalled": "runs that somebody has been starting for too long",
    "entry_abandoned": "entries with runs to start that nobody starts",
    "entry_unfinished": "entries that are still open, with nothing left to start",
    "run_overdue": "runs that were to be woken and were not",
    "bell_lost": "runs that wait for what has happened already",
    "hold_left": "runs that are still held though their journey goes on",
    "send_stalled": "runs whose message nobody tries to send",
    "claim_left": "sends that their attempt has left claimed",
    "release_left": "sends of ended runs that wait to be tried again",
    "send_unjournaled": "sends that the journal does not know of",
    "send_unwritten": "moves by a send that the ledger does not know of",
    "outbox_waiting": "what Temporal has not heard for more than a minute",
    "entry_uneven": "entries whose members are not runs and exclusions",
    "figures_uneven": "figures that do not add up",
}

MOST_EXAMPLES: Final = 100
"""Of each kind, in a report: enough to see what they have in common."""

ONLY_COMPARED: Final = "only compared"
"""Why a dry run repaired nothing."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that does not fit another.

    Attributes:
        kind: What.
        subject: Of which run, entry, message or row of the outbox: its id; of a workflow without a run: that one's.
        cause: Why that is so, as far as rows and Temporal tell.
        repaired: Whether it was mended.
        note: How it was, or why it was not.
    """

    kind: Kind
    subject: str
    cause: str
    repaired: bool = False
    note: str = ""


@dataclass(slots=True)
class _Found:
    """What was found of one kind."""

    found: int = 0
    repaired: int = 0
    mended: list[Discrepancy] = field(default_factory=list)
    left: list[Discrepancy] = field(default_factory=list)


class Report:
    """Collects discrepancies: counts all of them, and keeps some of each kind, what remains before what was mended.

    Args:
        mended_before: By attempts that were broken off; they count, and which they were is forgotten.
    """

    def __init__(self, mended_before: Mapping[Kind, int] | None = None) -> None:
        self._by_kind = {kind: _Found(count, count) for kind, count in (mended_before or {}).items()}
        self.compared: dict[str, int] = {}
        """How many of what were looked at."""

    def add(self, discrepancies: Iterable[Discrepancy]) -> None:
        """Add what was found."""
        for each in discrepancies:
            of = self._by_kind.setdefault(each.kind, _Found())
            of.found += 1
            of.repaired += each.repaired
            kept = of.mended if each.repaired else of.left
            if len(kept) < MOST_EXAMPLES:
                kept.append(each)

    def count(self, what: str, number: int) -> None:
        """Note that so many more were looked at."""
        self.compared[what] = self.compared.get(what, 0) + number

    @property
    def found(self) -> int:
        """How many discrepancies there were."""
        return sum(each.found for each in self._by_kind.values())

    @property
    def repaired(self) -> int:
        """How many of them were mended."""
        return sum(each.repaired for each in self._by_kind.values())

    def document(self) -> dict[str, Any]:
        """Return it as JSON: counts, and by kind at most ``MOST_EXAMPLES``."""
        return {
            "compared": self.compared,
            "found": self.found,
            "repaired": self.repaired,
            "remaining": self.found - self.repaired,
            "kinds": [_kind(kind, self._by_kind[kind]) for kind in KINDS if kind in self._by_kind],
        }


def _kind(kind: Kind, of: _Found) -> dict[str, Any]:
    examples = [
        {"subject": each.subject, "cause": each.cause, "repaired": each.repaired, "note": each.note}
        for each in (*of.left, *of.mended)[:MOST_EXAMPLES]
    ]
    counts = {"found": of.found, "repaired": of.repaired, "remaining": of.found - of.repaired}
    return {"kind": kind, "what": SAID[kind], **counts, "examples": examples}
