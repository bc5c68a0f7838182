"""What a step answers, what an advance answers, and why a run moved. All frozen, all serialisable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from wend.journeys.state import Mark, RunState

# -- why a run moved: a closed list ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entered:
    """The run came in."""

    kind: Literal["entered"] = "entered"


@dataclass(frozen=True, slots=True)
class MessageSettled:
    """A send ended: accepted, uncertain, refused, or not made at all."""

    outcome: str
    message_id: UUID
    detail: str | None = None
    kind: Literal["message_settled"] = "message_settled"


@dataclass(frozen=True, slots=True)
class Waited:
    """The wait was over at ``until``, or had been over already."""

    until: datetime
    kind: Literal["waited"] = "waited"


@dataclass(frozen=True, slots=True)
class Clicked:
    """A counted click came in time."""

    event_id: UUID
    link: str | None
    at: datetime
    message_id: UUID | None
    kind: Literal["clicked"] = "clicked"


@dataclass(frozen=True, slots=True)
class Happened:
    """An awaited event came in time."""

    event_id: UUID
    name: str
    at: datetime
    kind: Literal["happened"] = "happened"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Nothing that was awaited came by ``deadline``; ``sent_by`` and ``link`` say what a click would be late for."""

    deadline: datetime
    sent_by: str | None = None
    link: str | None = None
    kind: Literal["timed_out"] = "timed_out"


@dataclass(frozen=True, slots=True)
class NothingSent:
    """There was no message of this run to wait for a click on."""

    sent_by: str
    kind: Literal["nothing_sent"] = "nothing_sent"


@dataclass(frozen=True, slots=True)
class Matched:
    """A case held; ``values`` are what its conditions looked at. ``case`` counts from 1."""

    case: int
    values: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["matched"] = "matched"


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No case held; ``values`` are what the conditions looked at."""

    values: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["no_match"] = "no_match"


@dataclass(frozen=True, slots=True)
class NoDate:
    """The attribute, or the property of the run, is absent or is no date."""

    attribute: str | None = None
    property: str | None = None
    kind: Literal["no_date"] = "no_date"


@dataclass(frozen=True, slots=True)
class Updated:
    """Attributes were set; names only. Those of ``missing`` were not: the run has no such property to set them from."""

    attributes: tuple[str, ...]
    missing: tuple[str, ...] = ()
    kind: Literal["updated"] = "updated"


@dataclass(frozen=True, slots=True)
class MovedOut:
    """The run was moved to another version, on which it goes on."""

    to_version: int
    kind: Literal["moved_out"] = "moved_out"


@dataclass(frozen=True, slots=True)
class MovedIn:
    """The run came from another version, to the step at which it stood there."""

    from_version: int
    kind: Literal["moved_in"] = "moved_in"


@dataclass(frozen=True, slots=True)
class Ended:
    """The run ended here for this reason, whatever the step would have done."""

    reason: str
    kind: Literal["ended"] = "ended"


Why = (
    Entered
    | MessageSettled
    | Waited
    | Clicked
    | Happened
    | TimedOut
    | NothingSent
    | Matched
    | NoMatch
    | NoDate
    | Updated
    | MovedOut
    | MovedIn
    | Ended
)


@dataclass(frozen=True, slots=True)
class Move:
    """One move of a run; ``from_step`` is ``None`` at its entry, ``to_step`` is ``exit`` at its end."""

    from_step: str | None
    to_step: str
    at: datetime
    why: Why


# -- what a step answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on, to ``to`` or, where it is ``None``, to the step below; ``consumed`` is the event that it went on by."""

    why: Why
    to: str | None
    consumed: Mark | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send this step's message, once for this visit."""

    step: str
    visit: int
    message_id: UUID
    channel: Literal["email", "sms"]
    message: str
    kind: Literal["send"] = "send"


@dataclass(frozen=True, slots=True)
class Clicks:
    """Listens to clicks on these messages; on every tracked link where ``link`` is ``None``."""

    messages: tuple[UUID, ...]
    link: str | None = None
    kind: Literal["clicks"] = "clicks"


@dataclass(frozen=True, slots=True)
class Events:
    """Listens to events of the profile with this name."""

    name: str
    kind: Literal["events"] = "events"


@dataclass(frozen=True, slots=True)
class Park:
    """Wait for what is listened to, until ``until``.

    Attributes:
        until: The instant at which the run is to look again.
        what: Says it to operators.
        listens: What ends the wait earlier.
        exits: Names of events on which the run leaves.
        held: The journey is paused, and its resumption ends the wait.
    """

    until: datetime
    what: str
    listens: Clicks | Events | None = None
    exits: tuple[str, ...] = ()
    held: bool = False
    kind: Literal["park"] = "park"


@dataclass(frozen=True, slots=True)
class SetAttributes:
    """Set these attributes of the profile, once for this visit; then advance again."""

    attributes: Mapping[str, Any]
    kind: Literal["set_attributes"] = "set_attributes"


@dataclass(frozen=True, slots=True)
class Finish:
    """The run ends. ``reason`` is from a closed list, or the author's word for an exit step."""

    outcome: Literal["completed", "exited", "stopped", "failed"]
    reason: str | None = None
    detail: str | None = None
    kind: Literal["finish"] = "finish"


StepAnswer = Goto | Send | Park | SetAttributes | Finish
Plan = Send | Park | Finish
"""What a workflow is told to do next."""


@dataclass(frozen=True, slots=True)
class Advance:
    """The new state, the moves made, and the one thing to do next."""

    state: RunState
    moves: tuple[Move, ...]
    then: Plan | SetAttributes
