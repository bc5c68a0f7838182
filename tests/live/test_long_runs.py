"""Long runs stay within what Temporal keeps of one: by steps, by signals, by time.

``WEND_TEST_LONG=1`` takes the full size, 200 steps and 10,000 signals, on a server with Temporal's own limits.
"""

import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.support.long_runs import long_run, long_wait
from tests.support.temporal import time_skipping
from wend.storage.database import Database

LONG = "WEND_TEST_LONG" in os.environ
STEPS, SIGNALS = (200, 10_000) if LONG else (24, 400)
SUGGESTED_AFTER = 4096 if LONG else 100
"""Events, after which the server suggests to continue as new; 4,096 is its own."""


@pytest_asyncio.fixture
async def hasty_env() -> AsyncIterator[WorkflowEnvironment]:
    """A server that skips time, and suggests early to continue as new."""
    async with time_skipping({"limit.historyCount.suggestContinueAsNew": str(SUGGESTED_AFTER)}) as environment:
        yield environment


async def test_a_run_of_many_steps_under_many_signals_continues_as_new_and_loses_none(
    sqlite_database: Database, hasty_env: WorkflowEnvironment, record_property: Callable[[str, Any], None]
) -> None:
    began = datetime.now(UTC)
    run = await long_run(sqlite_database, hasty_env, STEPS, SIGNALS)
    took = datetime.now(UTC) - began
    run.check()
    assert run.signalled >= SIGNALS
    assert run.continuations >= SIGNALS * 2 // (SUGGESTED_AFTER * 4)
    record_property(
        "figure",
        f"{STEPS} steps, {run.signals:,} signals: {run.continuations} continuations, "
        f"at most {max(run.histories):,} events in a history, {took.total_seconds():.0f} s",
    )


@pytest.mark.parametrize("until", [False, True], ids=["for", "until"])
async def test_a_run_that_waits_400_days_wakes_once_at_its_time(
    until: bool, sqlite_database: Database, time_skipping_env: WorkflowEnvironment
) -> None:
    (await long_wait(sqlite_database, time_skipping_env, 400, until=until)).check()
