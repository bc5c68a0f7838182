"""The port through which the kernel sees the world, and the values that come through it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from wend.journeys.freezes import Freeze
from wend.journeys.state import Mark


@dataclass(frozen=True, slots=True)
class ProfileView:
    """A profile as it is now: what steps, conditions and the delivery policy may look at."""

    id: UUID
    attributes: Mapping[str, Any] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """A counted event of the profile. ``at`` is its stamp, given where it was stored; it alone decides.

    ``message_id`` and ``link`` belong to clicks.
    """

    id: UUID
    name: str
    at: datetime
    properties: Mapping[str, Any] = field(default_factory=dict)
    message_id: UUID | None = None
    link: str | None = None

    @property
    def mark(self) -> Mark:
        return Mark(self.at, self.id)


class Facts(Protocol):
    """What is true at one instant. Reading it changes nothing; two reads of the same thing agree."""

    @property
    def now(self) -> datetime:
        """The instant of this decision; never before the run's last one."""

    @property
    def run_id(self) -> UUID:
        """Whose run this is."""

    @property
    def profile(self) -> ProfileView | None:
        """The profile as it is now; ``None`` once it has been deleted."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """What the run was started with."""

    @property
    def joined_at(self) -> datetime | None:
        """When the profile joined the segment that it came in by, as far as that is known."""

    @property
    def is_held(self) -> bool:
        """True while nothing may be sent: the journey is paused."""

    @property
    def freezes(self) -> Sequence[Freeze]:
        """When the journey's waits did not pass, in order."""

    def is_member(self, segment: str) -> bool:
        """True if the profile is in the segment now."""

    def clicks(self, messages: Collection[UUID]) -> Iterable[Happening]:
        """The counted clicks on these messages, ordered by stamp, then id."""

    def events(self, name: str, since: datetime) -> Iterable[Happening]:
        """The counted events of the profile with this name not before ``since``, ordered by stamp, then id."""
