"""One attempt at handing a message to its provider: claimed first, called in time, its outcome written down."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, ParamSpec, Protocol, TypeVar, assert_never, cast
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.threads import Threads
from wend.channels.factory import Channels
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, Refused, Unknown
from wend.runs.ledger import Claimed, TryAgain
from wend.runs.queues import Channel
from wend.telemetry import SendState, Telemetry

PROVIDER_TIMEOUT: Final = timedelta(seconds=15)
"""How long a provider may take."""

LATEST_CALL: Final = timedelta(seconds=10)
"""How old an attempt may be for its provider still to be called: the call must end within the attempt's own timeout."""

LAST_WRITE: Final = timedelta(seconds=27)
"""Until when an attempt insists on writing its outcome; the workflow gives it 30 s."""

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Claimed)
E = TypeVar("E")
C_contra = TypeVar("C_contra", bound=Claimed, contravariant=True)
E_co = TypeVar("E_co", covariant=True)


class Books(Protocol[C_contra, E_co]):
    """Where claims are settled: the ledger, as whoever sends sees it."""

    def settle(self, claim: C_contra, outcome: Outcome, now: datetime, /) -> E_co | TryAgain:
        """Write down how the provider answered; return what comes of it."""

    def release(self, claim: C_contra, reason: str, now: datetime, /) -> None:
        """Free a claim whose provider was never called."""


class Attempts:
    """Makes attempts.

    Args:
        channels: Providers.
        threads: Where database work runs.
        telemetry: Is told what became of them.
        provider_timeout: How long a provider may take.
    """

    def __init__(
        self,
        channels: Channels,
        threads: Threads,
        telemetry: Telemetry | None = None,
        provider_timeout: timedelta = PROVIDER_TIMEOUT,
    ) -> None:
        self._channels = channels
        self._threads = threads
        self._telemetry = telemetry or Telemetry()
        self._provider_timeout = provider_timeout

    async def make(self, claim: Callable[[UUID, datetime], C | E], books: Books[C, E], began: float) -> E:
        """Make one, for the activity that this runs in.

        Args:
            claim: Claims the message for the attempt of that name and start, or says what comes instead.
            books: Where the claim is settled.
            began: When the activity began, by the monotonic clock.

        Raises:
            ApplicationError: The provider surely did not take it; Temporal tries again after the pause that is named.
            Unavailable: The database did not come back in time.
        """
        now = activity.info().started_time
        answer = await self._insist(began, claim, uuid4(), now)
        if not isinstance(answer, Claimed):
            return answer
        claimed = cast("C", answer)
        if time.monotonic() - began > LATEST_CALL.total_seconds():
            await self._insist(began, books.release, claimed, "claimed_too_late", now)
            raise ApplicationError("The claim took too long for the provider to be called in time.", type="TooLate")
        called = time.monotonic()
        outcome = await self._channels.send(claimed.message, self._provider_timeout)
        answered = time.monotonic()
        settled_at = now + timedelta(seconds=answered - began)
        settled = await self._insist(began, books.settle, claimed, outcome, settled_at)
        channel: Channel = "email" if isinstance(claimed.message, OutgoingEmail) else "sms"
        became = "released" if isinstance(settled, TryAgain) else _became(outcome)
        self._telemetry.sent(channel, became, answered - called)
        if isinstance(settled, TryAgain):
            raise ApplicationError(
                f"The message was not accepted ({settled.reason}); it is tried again.",
                type="NotAccepted",
                category=ApplicationErrorCategory.BENIGN,  # told in the UI and the ledger; no stack trace in the log
                next_retry_delay=settled.after,
            )
        return settled

    async def _insist(self, began: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a transaction returns, trying again while the attempt lasts.

        An outcome that is not written down would make the send uncertain, and so would a claim whose commit got lost.
        """
        return await self._threads.insist(began + LAST_WRITE.total_seconds(), call, *args, **kwargs)


def _became(outcome: Outcome) -> SendState:
    """Return the state of the ledger's that an outcome says of the attempt."""
    match outcome:
        case Accepted():
            return "accepted"
        case Refused() | NotAccepted():
            return "refused"
        case Unknown():
            return "uncertain"
        case _:
            assert_never(outcome)
