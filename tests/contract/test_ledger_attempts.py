"""One attempt at a send, from claim to outcome, with a provider and a database that fail on the way."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import activities.attempts
from activities.runs import RunActivities
from activities.threads import Threads
from tests.support.flaky import Failure, FlakyDatabase
from tests.support.world import DAY, MAIL, T0, World
from wend import wire
from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.channels.port import NotAccepted
from wend.errors import Unavailable
from wend.runs.ledger import Ledger
from wend.runs.queues import SendQueues
from wend.storage.database import Database
from wend.storage.tables import sent_messages


class Attempts:
    """Attempts at the only send of a run, outside of a workflow."""

    def __init__(self, world: World, threads: Threads) -> None:
        self.world = world
        self.email = MemoryEmailChannel()
        self.database = FlakyDatabase(world.database)
        world.journey(MAIL, DAY)
        self.run_id = world.enter(world.person("ada"))
        ledger = Ledger(self.database, world.versions, world.composer)
        channels = Channels(self.email, MemorySmsChannel())
        attempts = activities.attempts.Attempts(channels, threads)
        self.activities = RunActivities(world.advancer, ledger, attempts, threads, SendQueues("wend"))

    async def attempt(self) -> wire.Instruction:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, started_time=T0)
        answer: wire.Instruction = await environment.run(self.activities.send_message, wire.SendInput(self.run_id, 1))
        return answer

    def ledger(self) -> tuple[str, int, str | None]:
        (row,) = self.world.rows(sent_messages)
        return row.state, row.tries, row.reason


@pytest_asyncio.fixture
async def attempts(database: Database) -> AsyncIterator[Attempts]:
    with ThreadPoolExecutor(4) as executor:
        yield Attempts(World(database), Threads(executor))


async def test_it_sends_and_answers_with_what_comes_next(attempts: Attempts) -> None:
    answer = await attempts.attempt()
    assert (answer.kind, answer.sequence) == ("park", 2)
    assert len(attempts.email.sent) == 1
    assert attempts.ledger() == ("accepted", 1, None)


async def test_what_was_surely_not_accepted_asks_for_another_attempt_after_its_pause(attempts: Attempts) -> None:
    attempts.email.script(NotAccepted("rate_limited", retry_after=timedelta(seconds=42)))
    with pytest.raises(ApplicationError) as refused:
        await attempts.attempt()
    assert refused.value.next_retry_delay == timedelta(seconds=42)
    assert not refused.value.non_retryable
    assert "ada@" not in str(refused.value)

    await attempts.attempt()

    assert len(attempts.email.sent) == 1
    assert attempts.ledger() == ("accepted", 2, None)


@pytest.mark.parametrize(
    "failures",
    [["away"], ["away", "away"], ["unheard"], [None, "away"], [None, "unheard"], ["unheard", "unheard"]],
    ids=["before the claim", "twice", "claim unheard", "before the outcome", "outcome unheard", "both unheard"],
)
async def test_a_database_that_fails_for_a_moment_costs_no_send_and_doubles_none(
    attempts: Attempts, failures: list[Failure | None]
) -> None:
    attempts.database.failures = failures

    answer = await attempts.attempt()

    assert (answer.kind, answer.sequence) == ("park", 2)
    assert len(attempts.email.begun) == 1
    assert attempts.ledger() == ("accepted", 1, None)
    assert len(attempts.world.path(attempts.run_id).moves) == 2


async def test_an_outcome_that_cannot_be_written_makes_the_send_uncertain(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(activities.attempts, "LAST_WRITE", timedelta(seconds=0.3))
        attempts.database.failures = [None, *["away"] * 9]  # more than it tries, however slow the machine is
        with pytest.raises(Unavailable):
            await attempts.attempt()
    attempts.database.failures = []

    answer = await attempts.attempt()

    assert answer.kind == "park"
    assert len(attempts.email.begun) == 1
    assert attempts.ledger() == ("uncertain", 1, "attempt_lost")


async def test_a_provider_is_not_called_on_a_claim_that_is_too_old(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its call might last beyond the attempt, and the next attempt would not know of it."""
    with monkeypatch.context() as patched:
        patched.setattr(activities.attempts, "LATEST_CALL", timedelta(0))
        attempts.database.failures = [None, "away"]
        with pytest.raises(ApplicationError, match="too long"):
            await attempts.attempt()
    assert attempts.email.begun == []
    assert attempts.ledger() == ("released", 0, "claimed_too_late")

    await attempts.attempt()

    assert attempts.ledger() == ("accepted", 1, None)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        pytest.param(ConnectionResetError("a defect of the adapter"), ApplicationError, id="defect"),
        pytest.param(asyncio.CancelledError(), asyncio.CancelledError, id="cancelled"),
    ],
)
async def test_an_attempt_that_dies_while_the_provider_is_called_leaves_the_send_uncertain(
    attempts: Attempts, end: BaseException, told: type[BaseException]
) -> None:
    attempts.email.script(end)
    with pytest.raises(told):
        await attempts.attempt()
    assert attempts.ledger() == ("claimed", 1, None)

    answer = await attempts.attempt()

    assert answer.kind == "park"
    assert len(attempts.email.begun) == 1
    assert attempts.ledger() == ("uncertain", 1, "attempt_lost")


async def test_an_attempt_with_an_outdated_plan_calls_nobody(attempts: Attempts) -> None:
    first = await attempts.attempt()
    second = await attempts.attempt()
    assert (second.kind, second.sequence, second.until) == (first.kind, first.sequence, first.until)
    assert len(attempts.email.begun) == 1
