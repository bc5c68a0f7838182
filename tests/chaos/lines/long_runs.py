"""A run of 200 steps under 10,000 signals, and one that waits for 400 days."""

from temporalio.testing import WorkflowEnvironment

from tests.chaos.ring import Line, Ring
from tests.chaos.skipping import on_a_skipping_server
from tests.support.long_runs import LATENESS, MOST_EVENTS, LongRun, LongWait, long_run, long_wait
from wend.storage.database import Database

STEPS, SIGNALS = 200, 10_000
DAYS = 400


def run(ring: Ring) -> None:
    """Take one person through very many steps, and another through a very long wait."""
    steps, signals = ring.pick((24, 400), (STEPS, SIGNALS))
    ring.planned(f"{steps} steps under {signals} signals; {DAYS} days, as a length and as a date")
    _many_steps(ring, steps, signals)
    for until in (False, True):
        _long_wait(ring, until)


def _many_steps(ring: Ring, steps: int, signals: int) -> None:
    async def go(database: Database, environment: WorkflowEnvironment) -> LongRun:
        return await long_run(database, environment, steps, signals)

    gone = on_a_skipping_server(ring.site, go)
    ring.site.faults.write("worker away under signals")
    ring.count("signals", gone.signals)
    ring.count("continuations", gone.continuations)
    said = f"at most {max(gone.histories)} events in a history, {gone.continuations} continuations"
    ring.check("within Temporal's history limits by continue-as-new", max(gone.histories) < MOST_EVENTS, said)
    held = gone.state == "completed" and gone.clicked == gone.waits and gone.signals == gone.signalled
    said = f"{gone.state}; {gone.clicked} of {gone.waits} clicks, {gone.signals} of {gone.signalled} signals"
    ring.check("nothing is lost in the hand-over", held and gone.signals >= signals, said)
    said = f"{sum(gone.sent)} of {gone.messages} messages"
    ring.check("each message is sent once", gone.sent == (1,) * gone.messages, said)


def _long_wait(ring: Ring, until: bool) -> None:
    async def go(database: Database, environment: WorkflowEnvironment) -> LongWait:
        return await long_wait(database, environment, DAYS, until=until)

    gone = on_a_skipping_server(ring.site, go)
    woke_once = (gone.timers, gone.mails) == ((1, 1), 1)
    on_time = gone.late.total_seconds() >= 0 and gone.late < LATENESS
    said = f"{gone.state}, {gone.timers[1]} timer fired, {gone.late.total_seconds():.1f} s after its time"
    name = f"a run that waits for {DAYS} days{', to a date,' if until else ''} wakes once"
    ring.check(name, gone.state == "completed" and woke_once and on_time, said)


LINE = Line("long_runs", "A run with 200 steps and 10,000 signals, and runs that wait for 400 days", run, quick=False)
