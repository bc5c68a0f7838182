"""Every timeout and retry policy, each with its reason."""

from datetime import timedelta

from temporalio.common import RetryPolicy

FINAL_ERRORS = ["RunGone", "RunBehind", "EntryDoesNotAddUp"]
"""Errors that no further attempt can mend; they fail the workflow, where operators see them."""

ADVANCE_TIMEOUT = timedelta(seconds=5)
"""A local activity holds up its workflow task, which the server repeats after ten seconds: give up well before."""

ADVANCE_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_attempts=3, non_retryable_error_types=FINAL_ERRORS
)
"""A lost connection or a deadlock is over in a moment; anything longer is waited for by a timer on the server."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=2)
"""Pauses of a run whose database is away: ten minutes of outage cost a handful of timers."""

SEND_TIMEOUT = timedelta(seconds=30)
"""One attempt: claim, call the provider (15 s at most), settle. After it the attempt's claim counts as lost."""

SEND_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    non_retryable_error_types=FINAL_ERRORS,
)
"""For attempts that died or met no database. How often a provider is tried the ledger counts; it sets those pauses."""

RESEND_ERRORS = [*FINAL_ERRORS, "NotFound"]

RESEND_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    non_retryable_error_types=RESEND_ERRORS,
)
"""As of any send; a message that is not in the ledger will not come into it."""

ENTRY_TIMEOUT = timedelta(minutes=30)
"""Reading a segment of millions and writing its verdicts is one transaction."""

ENTRY_HEARTBEAT = timedelta(seconds=30)
"""How soon a worker's death in the middle of that is noticed: nobody else works on the entry until then."""

ENTRY_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=5),
    backoff_coefficient=3,
    maximum_interval=timedelta(minutes=10),
    non_retryable_error_types=FINAL_ERRORS,
)
"""A failing read is tried until it goes through: an entry that was due is never dropped."""

FANOUT_TIMEOUT = timedelta(days=30)
"""A round of a fan-out lasts as long as its rate asks for; its heartbeat says that it lives."""

FANOUT_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    non_retryable_error_types=FINAL_ERRORS,
)
"""An attempt ends by a deployment or a refused start more often than by a fault: the next one takes over soon."""

FANOUT_HEARTBEAT = timedelta(seconds=15)
"""How soon a dead worker's fan-out is taken over."""

LONGEST_TIMER = timedelta(days=36_500)
"""Longer waits are waited for in pieces; the server's own arithmetic ends at about 290 years."""

RECONCILE_TIMEOUT = timedelta(days=1)
"""A million lost workflows take two hours to start anew; its heartbeat says that it lives."""

RECONCILE_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
)
"""What cannot be carried out says so itself; anything else is an outage, and it begins again."""

RECONCILE_HEARTBEAT = timedelta(minutes=2)
"""One comparison of a large journey in SQL may take a minute without a word."""
