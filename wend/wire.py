"""What travels between workflows, activities and the relay, and into histories.

Small, frozen, and for ever: names and fields stay, new fields take a default. Ids only: no address, attribute value
or event property enters a history.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

JOURNEY_RUN = "JourneyRun"
SEGMENT_ENTRY = "SegmentEntry"
RECORD_EVENT = "record_event"
WAKE = "wake"
PROGRESS = "progress"
ADVANCE_RUN = "advance_run"
SEND_MESSAGE = "send_message"
OPEN_ENTRY = "open_entry"
START_RUNS = "start_runs"
FINISH_ENTRY = "finish_entry"
REFILL_SCHEDULE = "refill_schedule"
RECONCILIATION = "Reconciliation"
RECONCILE_ALL = "ReconcileAll"
RECONCILE_JOURNEY = "reconcile_journey"
ASK_FOR_RECONCILIATIONS = "ask_for_reconciliations"
MESSAGE_RESEND = "MessageResend"
RESEND_MESSAGE = "resend_message"

INTERPRETER = 1
"""The version of the workflows' loop that a run is started for."""


@dataclass(frozen=True)
class Instruction:
    """What a run's workflow is to do next: a copy of the answer in the run's row.

    Attributes:
        sequence: Numbers the answer.
        kind: Send this step's message; park until ``until`` or a bell; or finish.
        summary: Says it to operators.
        until: Of a park.
        outcome: Of a finish: ``completed``, ``exited``, ``stopped`` or ``failed``.
        reason: Of a finish.
        detail: Of a failure.
        path: The moves that led here, a line each.
        queue: Of a send: the task queue to put it into; ``None``: the run's own.
    """

    sequence: int
    kind: Literal["send", "park", "finish"]
    summary: str = ""
    until: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    detail: str | None = None
    path: tuple[str, ...] = ()
    queue: str | None = None


@dataclass(frozen=True)
class RunInput:
    """Starts a run's workflow; its first instruction travels with it.

    Attributes:
        ask: The instruction is old: ask before doing anything (after a continue-as-new).
    """

    run_id: UUID
    first: Instruction
    interpreter: int = INTERPRETER
    ask: bool = False


@dataclass(frozen=True)
class RunEnd:
    """How a run ended."""

    outcome: str
    reason: str | None = None


@dataclass(frozen=True)
class AdvanceInput:
    """Asks where a run goes now; ``now`` is the workflow's time."""

    run_id: UUID
    sequence: int
    now: datetime


@dataclass(frozen=True)
class SendInput:
    """Has a run's message sent.

    Attributes:
        follows: The workflow puts a send into the queue that an answer names; those of before there were any do not.
    """

    run_id: UUID
    sequence: int
    follows: bool = False


@dataclass(frozen=True)
class EventNotice:
    """Names an event for operators to see, and wakes the run; the event log says what it was."""

    event_id: str
    name: str


@dataclass(frozen=True)
class WakeNotice:
    """Wakes the run to look at its row."""

    reason: str


@dataclass(frozen=True)
class Progress:
    """Where a run is, as its workflow knows it."""

    sequence: int
    doing: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class EntryFigures:
    """An entry as it stands; ``None`` ids where nothing was due.

    Attributes:
        refill: Whether the firing was one of the dates that the journey's schedule holds, and has to be filled up.
    """

    entry_id: UUID | None
    occurrence: str | None
    members: int = 0
    entered: int = 0
    excluded: int = 0
    note: str = ""
    refill: bool = True


@dataclass(frozen=True)
class EntryInput:
    """Fired by a journey's Temporal Schedule; or made for one occurrence, which is then named.

    Attributes:
        occurrence: Its key; ``None``: what the firing was for is to be found out.
        due_at: Its instant.
        asked: An operator asked for it, however late it is.
        opened: After a continue-as-new: the entry whose runs are being started.
    """

    journey: str
    occurrence: str | None = None
    due_at: datetime | None = None
    asked: bool = False
    opened: EntryFigures | None = None


@dataclass(frozen=True)
class OpenInput:
    """Opens the entry of the occurrence that is named, or else that was due at ``fired_at``."""

    journey: str
    fired_at: datetime
    occurrence: str | None = None
    due_at: datetime | None = None
    asked: bool = False


@dataclass(frozen=True)
class StartInput:
    """Starts the workflows of an entry's pending runs."""

    journey: str
    entry_id: UUID


@dataclass(frozen=True)
class FanOut:
    """How far a fan-out came. Histories of before there were ceilings hold the bare number of those started.

    Attributes:
        started: By this attempt.
        left: Runs that wait for their turn.
        goes_on_at: Nobody may start before; ``None`` if everybody was started.
        why: Says it to operators.
    """

    started: int
    left: int = 0
    goes_on_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class FinishInput:
    """Closes an entry."""

    entry_id: UUID


@dataclass(frozen=True)
class ResendInput:
    """Has a message sent again that an operator asked for.

    Attributes:
        asked_at: Names the asking.
        tries: Of the message, when it was asked.
        summary: Says it to operators.
    """

    message_id: UUID
    asked_at: datetime
    tries: int
    channel: Literal["email", "sms"]
    summary: str


@dataclass(frozen=True)
class ResendEnd:
    """How the message stands then, and why.

    Attributes:
        queue: Nothing was done: the task queue that the channel's sends wait in, to be asked there.
    """

    state: str
    reason: str | None = None
    queue: str | None = None


@dataclass(frozen=True)
class ReconcileInput:
    """Names a reconciliation; its row says of which journey, and what it is to do."""

    id: UUID


@dataclass(frozen=True)
class Reconciled:
    """How many discrepancies a reconciliation found, and how many of them it repaired."""

    found: int
    repaired: int
