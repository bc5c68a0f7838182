"""Long calls of activities say that they live, and only that."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities import threads
from activities.threads import Threads


async def test_a_long_call_is_heard_of_while_it_lasts_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "BEAT", timedelta(milliseconds=5))
    heard_twice = threading.Semaphore(0)

    def last_until_heard_twice(answer: str) -> str:
        assert all(heard_twice.acquire(timeout=30) for _ in range(2))
        return answer

    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *_: heard_twice.release()
    with ThreadPoolExecutor(1) as executor:
        called = Threads(executor)
        assert await environment.run(called.run_long, last_until_heard_twice, "opened") == "opened"


async def test_what_a_long_call_raises_is_raised() -> None:
    def fail() -> None:
        raise LookupError("the segment is gone")

    with ThreadPoolExecutor(1) as executor, pytest.raises(LookupError, match="the segment is gone"):
        await ActivityEnvironment().run(Threads(executor).run_long, fail)
