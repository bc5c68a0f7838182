"""Answers and moves in the words that operators read. Ids and names only."""

from zoneinfo import ZoneInfo

from wend.journeys.results import (
    Clicked,
    Ended,
    Entered,
    Finish,
    Happened,
    Matched,
    MessageSettled,
    Move,
    MovedIn,
    MovedOut,
    NoDate,
    NoMatch,
    NothingSent,
    Park,
    Send,
    TimedOut,
    Updated,
    Waited,
    Why,
)
from wend.journeys.walltime import FOREVER, say_instant
from wend.runs.decide import Answer
from wend.runs.queues import SendQueues
from wend.wire import Instruction


def instruct(answer: Answer, queues: SendQueues | None = None) -> Instruction:
    """Return the answer as a workflow gets it.

    Args:
        answer: The answer.
        queues: Say where a send waits; without them, where the run does.
    """
    zone = answer.zone
    path = tuple(say_move(move, zone) for move in answer.made)
    plan = answer.plan
    match plan:
        case Send():
            queue = queues.of(plan.channel) if queues else None
            return Instruction(answer.sequence, "send", f"{plan.channel} {plan.message}", path=path, queue=queue)
        case Park():
            # What a resumption ends has no instant of its own, unless the run becomes too old before.
            for_ever = plan.held and plan.until >= FOREVER
            summary = plan.what if for_ever else f"{plan.what} until {say_instant(plan.until, zone)}"
            return Instruction(answer.sequence, "park", summary, until=plan.until, path=path)
        case Finish():
            said = f"{plan.outcome} ({plan.reason})" if plan.reason else plan.outcome
            return Instruction(
                answer.sequence,
                "finish",
                said,
                outcome=plan.outcome,
                reason=plan.reason,
                detail=plan.detail,
                path=path,
            )


def say_move(move: Move, zone: ZoneInfo) -> str:
    """Return a move as one line."""
    way = f"{move.from_step} → {move.to_step}" if move.from_step else f"→ {move.to_step}"
    return f"{say_instant(move.at, zone)}  {way}  ({say_why(move.why)})"


def say_why(why: Why) -> str:
    """Return the reason of a move in a few words, without any value of the person's."""
    match why:
        case Entered():
            return "entered"
        case MessageSettled():
            return why.outcome.replace("_", " ")
        case Waited():
            return "waited"
        case Clicked():
            return f"clicked {why.link}"
        case Happened():
            return f"{why.name} happened"
        case TimedOut():
            return "timed out"
        case NothingSent():
            return f"{why.sent_by} had sent nothing"
        case Matched():
            return f"case {why.case}"
        case NoMatch():
            return "no case held"
        case NoDate():
            return f"no date in {why.attribute or f'property {why.property}'}"
        case Updated():
            said = f"set {', '.join(why.attributes) or 'nothing'}"
            return f"{said}; no property for {', '.join(why.missing)}" if why.missing else said
        case MovedOut():
            return f"moved to version {why.to_version}"
        case MovedIn():
            return f"moved from version {why.from_version}"
        case Ended():
            return why.reason.replace("_", " ")
