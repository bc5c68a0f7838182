"""A shorter pace for the ring's processes: how long Wend waits before it takes somebody for dead.

Everything keeps its order: a provider's answer, the last call, the last write and the end of an attempt follow one
another as they do in the product, a fifth as late or half as late.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from tests.chaos.life import Pace
from tests.chaos.wrapping import lay_around, put_in_place


@dataclass(frozen=True)
class Attempt:
    """How long an attempt at a send may take, by whoever it waits for."""

    provider: timedelta
    latest_call: timedelta
    last_write: timedelta
    end: timedelta


ATTEMPTS: Final[dict[Pace, Attempt]] = {
    "brisk": Attempt(timedelta(seconds=3), timedelta(seconds=2), timedelta(seconds=5.4), timedelta(seconds=6)),
    "patient": Attempt(timedelta(seconds=8), timedelta(seconds=6), timedelta(seconds=13.5), timedelta(seconds=15)),
}
"""A brisk one notices soon that its worker is dead. A patient one bears a process that stands still for some seconds:
no send is uncertain then but by a death."""

FANOUT_HEARTBEAT = timedelta(seconds=2)
ENTRY_TIMEOUT = timedelta(seconds=10)
"""Nobody else notices that whoever opened an entry is dead."""
FIRST_RETRY = timedelta(milliseconds=200)
LONGEST_RETRY = timedelta(seconds=1)
CLAIM_LASTS = timedelta(seconds=3)
LEASE = timedelta(seconds=3)
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=15)
"""Until a send is tried again that was surely not accepted: the first time, and at most."""
SWEEP_EVERY = timedelta(seconds=1)
COMPARE_CLOCKS_EVERY = timedelta(seconds=1)
STICKY_TIMEOUT = timedelta(milliseconds=500)
WORKFLOW_TASK = timedelta(seconds=3)
"""When Temporal gives a dead worker's workflow task to another; its own is ten seconds."""


def keep(activities: int, pace: Pace) -> None:
    """Have this process keep the ring's pace.

    Args:
        activities: Under way at once in a worker.
        pace: Of attempts at sends.
    """
    from temporalio.client import Client

    import worker
    from activities import attempts
    from wend import clocks, outbox
    from wend.relay import loop
    from wend.runs import ledger, starting
    from workflows import policies

    attempt = ATTEMPTS[pace]
    put_in_place(attempts, "LATEST_CALL", attempt.latest_call)
    put_in_place(attempts, "LAST_WRITE", attempt.last_write)
    lay_around(attempts.Attempts, "__init__", _insisting(provider_timeout=attempt.provider))
    put_in_place(policies, "SEND_TIMEOUT", attempt.end)
    put_in_place(policies, "ENTRY_TIMEOUT", ENTRY_TIMEOUT)
    put_in_place(policies, "FANOUT_HEARTBEAT", FANOUT_HEARTBEAT)
    for name in ("SEND_RETRY", "ENTRY_RETRY", "FANOUT_RETRY"):
        paced = replace(getattr(policies, name), initial_interval=FIRST_RETRY, maximum_interval=LONGEST_RETRY)
        put_in_place(policies, name, paced)
    put_in_place(policies, "FIRST_PAUSE", LONGEST_RETRY)
    put_in_place(policies, "LONGEST_PAUSE", 5 * LONGEST_RETRY)
    put_in_place(starting, "CLAIM_LASTS", CLAIM_LASTS)
    put_in_place(ledger, "FIRST_PAUSE", FIRST_PAUSE)
    put_in_place(ledger, "LONGEST_PAUSE", LONGEST_PAUSE)
    put_in_place(outbox, "LEASE", LEASE)
    put_in_place(loop, "SWEEP_EVERY", SWEEP_EVERY)
    put_in_place(clocks, "LOOK_EVERY", COMPARE_CLOCKS_EVERY)
    lay_around(Client, "start_workflow", _insisting(task_timeout=WORKFLOW_TASK))
    put_in_place(worker, "STICKY_TIMEOUT", STICKY_TIMEOUT)
    lay_around(worker, "Worker", _insisting(max_concurrent_activities=activities))


def _insisting(**chosen: Any) -> Callable[..., Any]:
    """Return what calls an original with these arguments, whatever its caller says."""

    def called(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return original(*args, **{**kwargs, **chosen})

    return called
