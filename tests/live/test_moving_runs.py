"""Runs that wait on a real server are moved to another version: timed anew, woken at a rate, each once.

``WEND_TEST_RUNS=500`` does it with more of them.
"""

import os
from collections import Counter
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner

from tests.support.eventually import assert_eventually
from tests.support.relaying import at_once, enter, relaying
from tests.support.world import MAIL, Serving, host_clock, serving
from wend.lifecycle.moving import Moving, move
from wend.outbox import LEASE
from wend.storage.database import Database
from wend.storage.tables import moves, outbox, runs

RUNS = int(os.environ.get("WEND_TEST_RUNS", "32"))
RATE = min(RUNS // 4, 100)
"""Woken per second, and by one parcel."""

PATIENCE = timedelta(seconds=120 + RUNS / 5)
PATIENT = {"when": {"attribute": "patient", "op": "eq", "value": True}, "next": "quarter"}


def version(month: str, quarter: str) -> list[dict[str, Any]]:
    """Return steps by which half of them wait long, and the others longer."""
    return [
        {"id": "which", "type": "if", "cases": [PATIENT], "else": "month"},
        {"id": "quarter", "type": "wait", "for": quarter, "next": "mail"},
        {"id": "month", "type": "wait", "for": month},
        MAIL,
    ]


async def all_wait(trip: Serving, key: str) -> None:
    """Have everybody enter, and wait until every workflow has parked its run."""
    people = trip.world.people([f"hasty{number}" for number in range(RUNS // 2)], patient=False)
    people += trip.world.people([f"patient{number}" for number in range(RUNS // 2)], patient=True)
    trip.world.listed("everybody", people)
    trip.world.journey(*version("P30D", "P90D"), key=key, entry=at_once("everybody"))
    said = await (await enter(trip, key)).result()
    assert said.entered == RUNS

    async def has_its_timer(handle: WorkflowHandle[Any, Any]) -> None:
        assert (await handle.describe()).history_length >= 5

    handles = [trip.handle(row.id) for row in trip.world.rows(runs)]
    for handle in handles:
        await assert_eventually(partial(has_its_timer, handle), timeout=PATIENCE)


async def only_the_patient_run(trip: Serving, key: str) -> None:
    """Wait until the workflows of all the others have ended well."""

    async def check() -> None:
        for status in ("Completed", "Running"):
            query = f"WendJourney = '{key}' AND WorkflowType = 'JourneyRun' AND ExecutionStatus = '{status}'"
            assert (await trip.client.count_workflows(query)).count == RUNS // 2, status

    await assert_eventually(check, timeout=PATIENCE, interval=timedelta(milliseconds=100))


async def test_runs_that_are_moved_are_timed_anew_woken_at_a_rate_and_sent_to_once(
    sqlite_database: Database, temporal_client: Client
) -> None:
    """On the new version the one wait is over, and whoever is in it is sent to; the other lasts, but not as long."""
    key = f"moved-{uuid4().hex[:12]}"
    async with (
        serving(sqlite_database, temporal_client, key) as trip,
        relaying(trip),
        trip.working(runner=UnsandboxedWorkflowRunner()),
    ):
        world = trip.world
        await all_wait(trip, key)
        world.journey(*version("PT0.001S", "P60D"), key=key)
        with sqlite_database.write() as connection:
            told = move(connection, key, Moving(2), host_clock(), rate=RATE)
        assert (told.moving, told.sending) == (((1, "month", RUNS // 2), (1, "quarter", RUNS // 2)), 0)

        await only_the_patient_run(trip, key)
        open_runs = runs.c.ended_at.is_(None)
        await trip.until(lambda: not world.rows(runs, runs.c.held_at.is_not(None), open_runs), PATIENCE)
        await trip.until(lambda: not world.waiting("wake_held_runs"), PATIENCE)

    # Each once, and figures of both versions add up.
    first, second = (world.figures(key, version) for version in (1, 2))
    assert (first.inside, first.moved_out, second.moved_in, second.inside) == (0, RUNS, RUNS, RUNS // 2)
    assert (second.outcomes, second.messages) == ({"completed": RUNS // 2}, {"accepted": RUNS // 2})
    assert Counter(row.why_kind for row in world.rows(moves))["moved_in"] == RUNS
    mailed = Counter(message.to for message in trip.email.begun)
    assert mailed == {f"hasty{number}@example.com": 1 for number in range(RUNS // 2)}

    # Timed anew, from when they came.
    came = {
        row.run_id: row.at for row in world.rows(moves, moves.c.to_step == "quarter", moves.c.why_kind == "matched")
    }
    waiting = {row.id: row.parked_until for row in world.rows(runs, runs.c.ended_at.is_(None))}
    assert waiting == {run_id: at + timedelta(days=60) for run_id, at in came.items()}

    # At the rate: each parcel woke so many, in the order of their ids, and was taken that much later than the last one.
    parcels = sorted(world.rows(outbox, outbox.c.kind == "wake_held_runs"), key=lambda row: row.id)
    taken = [row.due_at - LEASE for row in parcels]
    share = timedelta(seconds=1)
    assert all(later - earlier >= share for earlier, later in pairwise(taken))
    asked = sorted(world.rows(runs), key=lambda row: row.id)
    assert len(parcels) >= len(asked) // RATE
    assert all(row.decided_at >= taken[place // RATE] for place, row in enumerate(asked))
