"""Waiting for what other processes bring about, without guessing how long it takes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def assert_eventually(
    check: Callable[[], Awaitable[T]], *, timeout: timedelta = ..., interval: timedelta = ...
) -> T: ...


@overload
async def assert_eventually(check: Callable[[], T], *, timeout: timedelta = ..., interval: timedelta = ...) -> T: ...


async def assert_eventually(
    check: Callable[[], T | Awaitable[T]],
    *,
    timeout: timedelta = timedelta(seconds=60),
    interval: timedelta = timedelta(milliseconds=20),
) -> T:
    """Call ``check`` until it raises no AssertionError; returns its answer.

    A synchronous check runs in a thread, so that it may read a database. What it raised last is raised when
    the time is up; any other error is raised at once. Between two looks twice as long passes as one takes: a machine
    that is busy is not kept busy by being watched.
    """
    deadline = monotonic() + timeout.total_seconds()
    while True:
        began = monotonic()
        try:
            if inspect.iscoroutinefunction(check):
                answer: T = await check()
            else:
                answer = await asyncio.to_thread(check)  # type: ignore[arg-type]
            return answer
        except AssertionError:
            if monotonic() > deadline:
                raise
        await asyncio.sleep(max(interval.total_seconds(), 2 * (monotonic() - began)))
