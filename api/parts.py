"""What the API is put together from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from wend.entries.timetable import Timetable
from wend.events.recording import EventLog
from wend.lifecycle.versions import Versions
from wend.messages.tokens import TokenKeys
from wend.storage.database import Database
from wend.telemetry import Telemetry


@dataclass(frozen=True)
class ApiParts:
    """What the endpoints work with.

    Attributes:
        database: Where everything is.
        keys: Verify the tokens of tracked links.
        clock: The host's clock: aware UTC datetimes.
        public_url: Where recipients reach ``/c/…``; no slash at the end.
        api_token: Bearer token that ``/v1`` asks for; ``None`` asks for none, which is for loopback alone.
        default_region: ISO country of phone numbers without ``+``.
        ready: Raises ``Unavailable`` while something beside the database is not ready.
        telemetry: What this process has seen.
    """

    database: Database
    keys: TokenKeys
    clock: Callable[[], datetime]
    public_url: str
    api_token: str | None = field(default=None, repr=False)
    default_region: str | None = None
    ready: Callable[[], None] | None = None
    telemetry: Telemetry = field(default_factory=lambda: Telemetry("api"))

    @cached_property
    def events(self) -> EventLog:
        """Takes events and clicks in."""
        return EventLog(self.database, self.clock)

    @cached_property
    def versions(self) -> Versions:
        """Published versions, compiled once."""
        return Versions()

    @cached_property
    def timetable(self) -> Timetable:
        """Says what comes next."""
        return Timetable(self.database, self.versions)


async def _parts(request: Request) -> ApiParts:
    parts: ApiParts = request.app.state.parts
    return parts


Parts = Annotated[ApiParts, Depends(_parts)]
