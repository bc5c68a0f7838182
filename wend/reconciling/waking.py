"""Stuck runs are woken, where that helps: Temporal is asked first what their workflows are at."""

from functools import partial
from typing import Final

from wend.reconciling.findings import ONLY_COMPARED, Discrepancy
from wend.reconciling.passages import say_waiting, waits_for_worker, wake
from wend.reconciling.port import Open
from wend.reconciling.stuck import STUCK, Stuck, StuckKind, find_stuck
from wend.reconciling.work import Work

MOST_AT_ONCE: Final = 1_000
"""Runs woken by one reconciliation: after an outage many are late, and being decided on already."""


async def compare_stuck(work: Work) -> None:
    """Find stuck runs, and wake them."""
    stuck = await work.in_thread(lambda: _find(work))
    work.report.count("stuck runs", len(stuck))
    await work.beat("stuck runs")
    waiting = [each for each in stuck if each.waits_in_outbox]
    note = "it is woken when the relay delivers that: see what waits in the outbox"
    work.report.add(Discrepancy(each.kind, str(each.run_id), each.cause, note=note) for each in waiting)
    others = [each for each in stuck if not each.waits_in_outbox]
    looked, later = others[:MOST_AT_ONCE], others[MOST_AT_ONCE:]
    found = await work.look_at([each.passage for each in looked], "stuck runs")
    now = work.clock()
    waking: dict[StuckKind, list[Stuck]] = {kind: [] for kind in STUCK}
    for each, workflow in zip(looked, found, strict=True):
        if not isinstance(workflow, Open):
            continue  # the comparison with Temporal names it
        if workflow.is_busy:
            # Temporal has its send in hand: a try is under way, or waits for its turn.
            if each.kind != "send_stalled":
                work.report.add([_left(each, "an activity of its workflow is under way, and it goes on after that")])
        elif waits_for_worker(workflow, now):
            work.report.add([_left(each, say_waiting(workflow))])
        else:
            waking[each.kind].append(each)
    for kind, those in waking.items():
        if work.options.repair and those:
            await work.in_thread(partial(wake, work, kind, [each.run_id for each in those]))
        note = "woken" if work.options.repair else ONLY_COMPARED
        repaired = work.options.repair
        work.report.add(Discrepancy(kind, str(each.run_id), each.cause, repaired, note) for each in those)
    note = f"the next reconciliation wakes it: no more than {MOST_AT_ONCE:,} at once"
    work.report.add(_left(each, note) for each in later)


def _find(work: Work) -> list[Stuck]:
    with work.database.read() as connection:
        return find_stuck(connection, work.journey, work.clock())


def _left(stuck: Stuck, note: str) -> Discrepancy:
    return Discrepancy(stuck.kind, str(stuck.run_id), stuck.cause, note=note)
