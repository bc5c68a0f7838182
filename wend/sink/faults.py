"""How the sink misbehaves when it is asked to."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


class Fault(BaseModel):
    """One way to misbehave towards the messages that match.

    Attributes:
        kind: ``refuse``: no, for good (550 at RCPT, 400). ``busy``: no, for now (451 after the content, 503).
            ``lose``: the connection is dropped, the message is not kept. ``drop``: the message is kept, the
            connection is dropped without an answer. ``delay``: the message is kept, the answer comes later.
        recipient: A regular expression that finds something in the recipient; None means everybody.
        times: For how many messages; None means until the faults are cleared.
        delay: How late the answer is, for ``delay``.
        status: Answers with this code instead of the usual one, for ``refuse`` and ``busy``.
        retry_after: How long an HTTP client is asked to wait, for ``busy``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["refuse", "busy", "lose", "drop", "delay"]
    channel: Literal["email", "sms"]
    recipient: Annotated[str, AfterValidator(_pattern)] | None = None
    times: int | None = Field(default=1, ge=1)
    delay: timedelta = Field(default=timedelta(seconds=1), ge=timedelta(0), le=timedelta(hours=1))
    status: int | None = Field(default=None, ge=400, le=599)
    retry_after: timedelta | None = Field(default=None, ge=timedelta(0))

    @model_validator(mode="after")
    def _status_fits(self) -> Self:
        if self.status is None:
            return self
        if self.kind not in ("refuse", "busy"):
            raise ValueError("status: only refuse and busy answer with a status")
        if self.channel == "email" and (self.status >= 500) != (self.kind == "refuse"):
            raise ValueError("status: SMTP refuses with 500 to 599 and is busy with 400 to 499")
        return self

    def matches(self, channel: str, recipient: str) -> bool:
        """Return whether the fault is meant for a message to this recipient."""
        return channel == self.channel and (
            self.recipient is None or re.search(self.recipient, recipient, re.IGNORECASE) is not None
        )


class Faults:
    """The faults that are still to happen; the first that matches is used up first."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults left, each with the number of times that remain."""
        return tuple(self._pending)

    def add(self, *faults: Fault) -> None:
        """Queue faults behind those that are pending."""
        self._pending.extend(faults)

    def clear(self) -> None:
        """Behave well again."""
        self._pending.clear()

    def take(self, channel: str, recipient: str, *, refusing: bool | None = None) -> Fault | None:
        """Return the fault for this message, if there is one, and count it.

        Args:
            channel: ``email`` or ``sms``.
            recipient: Who the message is for.
            refusing: True looks at ``refuse`` alone, False at all others, None at every kind: SMTP refuses a
                recipient before it has seen the message, and everything else comes after.
        """
        for index, fault in enumerate(self._pending):
            if refusing is not None and (fault.kind == "refuse") != refusing:
                continue
            if fault.matches(channel, recipient):
                self._count(index, fault)
                return fault
        return None

    def _count(self, index: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._pending[index]
        elif fault.times is not None:
            self._pending[index] = fault.model_copy(update={"times": fault.times - 1})
