"""Channels that keep what they were given, and answer as they are told: for tests and simulations.

```python
channel = MemoryEmailChannel()
channel.script(NotAccepted("rate_limited"), Unknown("timed_out"))   # the next two answers, then Accepted
channel = MemoryEmailChannel(lambda email: Refused("recipient_refused") if email.to in bad else None)
```
"""

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from wend.channels.port import Accepted, Outcome, OutgoingEmail, OutgoingSms

M = TypeVar("M", OutgoingEmail, OutgoingSms)
Answer = Outcome | Awaitable[Outcome | None] | None


@dataclass(frozen=True)
class Call(Generic[M]):
    """One call of ``send`` that was answered."""

    message: M
    timeout: timedelta
    outcome: Outcome


class _Memory(Generic[M]):
    """What both channels share.

    Attributes:
        calls: Every call that was answered, in the order of the answers.
        begun: Every message that came in, answered or not.
    """

    def __init__(self, answer: Callable[[M], Answer] | None = None) -> None:
        """Take a function that answers, or raises, or waits; where it returns None it is accepted."""
        self._answer: Callable[[M], Answer] | None = answer
        self._scripted: deque[Outcome | BaseException] = deque()
        self.calls: list[Call[M]] = []
        self.begun: list[M] = []

    @property
    def sent(self) -> list[M]:
        """The messages that were accepted; a message accepted twice stands here twice."""
        return [call.message for call in self.calls if isinstance(call.outcome, Accepted)]

    def script(self, *outcomes: Outcome | BaseException) -> None:
        """Queue the next answers, before any function is asked; an exception is raised."""
        self._scripted.extend(outcomes)

    async def _send(self, message: M, timeout: timedelta) -> Outcome:
        self.begun.append(message)
        outcome: Outcome | None = None
        if self._scripted:
            scripted = self._scripted.popleft()
            if isinstance(scripted, BaseException):
                raise scripted
            outcome = scripted
        elif self._answer is not None:
            answer = self._answer(message)
            outcome = await answer if inspect.isawaitable(answer) else answer
        outcome = outcome or Accepted(f"memory/{message.message_id}")
        self.calls.append(Call(message, timeout, outcome))
        return outcome


class MemoryEmailChannel(_Memory[OutgoingEmail]):
    """Keeps e-mails."""

    async def send(self, email: OutgoingEmail, *, timeout: timedelta) -> Outcome:
        """Return the next scripted outcome, else the function's, else Accepted."""
        return await self._send(email, timeout)


class MemorySmsChannel(_Memory[OutgoingSms]):
    """Keeps text messages."""

    async def send(self, sms: OutgoingSms, *, timeout: timedelta) -> Outcome:
        """Return the next scripted outcome, else the function's, else Accepted."""
        return await self._send(sms, timeout)
