"""A run under a test's hands: the journey is read from YAML, and the test says what is stored and asked when.

The simulation does things in one order. Here the test chooses it: an event can be stored before or after a decision,
and a run can be woken by its timer, by a signal, by both or by neither.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from wend.documents import read_definition
from wend.journeys.advance import advance
from wend.journeys.definition import JourneyVersion
from wend.journeys.facts import Happening, ProfileView
from wend.journeys.results import Finish, Move, Park, SetAttributes, Why
from wend.journeys.simulation import Memberships, SimulatedFacts, nobody
from wend.journeys.state import RunState, SendOutcome, message_id

T = datetime(2026, 12, 1, 9, tzinfo=UTC)
"""When the runs of these tests begin: a Tuesday."""

RUN = UUID("00000000-0000-4000-8000-000000000001")
OTHER_RUN = UUID("00000000-0000-4000-8000-000000000002")
PERSON = UUID("00000000-0000-4000-8000-00000000000a")
TICK = timedelta(microseconds=1)


def journey(steps: str, **fields: str) -> JourneyVersion:
    """Return the version whose steps are the YAML."""
    head = "".join(f"{name}: {value}\n" for name, value in {"key": "test", "name": "Test", **fields}.items())
    return JourneyVersion(read_definition(f"{head}steps:\n{steps}"))


def person(attributes: Mapping[str, Any] | None = None, time_zone: str | None = None) -> ProfileView:
    """Return somebody with an e-mail address and a phone."""
    return ProfileView(PERSON, attributes or {}, {"email": "ada@example.org", "phone": "+15550100"}, time_zone)


class Ride:
    """One run; ``wake`` decides and does what is said until the run waits or ends.

    Attributes:
        outcomes: What becomes of a step's sends, in order; ``accepted`` when there is no more.
    """

    def __init__(
        self,
        version: JourneyVersion,
        profile: ProfileView | None = None,
        memberships: Memberships = nobody,
        *,
        properties: Mapping[str, Any] | None = None,
        joined_at: datetime | None = None,
    ) -> None:
        self.version = version
        self.profile: ProfileView | None = profile or person()
        self.memberships = memberships
        self.properties = properties or {}
        self.joined_at = joined_at
        self.state = RunState()
        self.moves: list[Move] = []
        self.park: Park | None = None
        self.finish: Finish | None = None
        self.decided_at: datetime | None = None
        self.log: list[Happening] = []
        self.outcomes: dict[str, list[SendOutcome]] = {}
        self.applied: list[Mapping[str, Any]] = []

    def wake(self, now: datetime) -> "Ride":
        """Ask at this instant, or at the last decision's where that is later; a run that has ended is not asked."""
        while self.finish is None:
            now = max(now, self.decided_at or now)
            facts = SimulatedFacts(
                now, RUN, self.profile, self.properties, list(self.log), self.memberships, self.joined_at
            )
            answer = advance(self.version, self.state, facts)
            self.state = answer.state
            self.moves += answer.moves
            self.decided_at = max(now, self.state.arrived_at or now)
            match answer.then:
                case Park() as park:
                    self.park = park
                    return self
                case Finish() as finish:
                    self.park, self.finish = None, finish
                case SetAttributes(attributes):
                    self.applied.append(attributes)
                    assert self.profile is not None
                    merged = {**self.profile.attributes, **attributes}
                    kept = {name: value for name, value in merged.items() if value is not None}
                    self.profile = ProfileView(PERSON, kept, self.profile.identities, self.profile.time_zone)
                    self.state = self.state.with_effect()
                case send:
                    left = self.outcomes.get(send.step)
                    self.state = self.state.with_sent(left.pop(0) if left else "accepted", now)
        return self

    def store(
        self,
        clock: datetime,
        name: str = "click",
        *,
        message: UUID | None = None,
        link: str | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Happening:
        """Store an event when the clock there shows this, stamped as the live system stamps it."""
        stamp = max(clock, self.decided_at + TICK) if self.decided_at else clock
        event = Happening(uuid5(RUN, f"event/{len(self.log)}"), name, stamp, properties or {}, message, link)
        self.log.append(event)
        self.log.sort(key=lambda each: each.mark)
        return event

    def click(self, clock: datetime, *, sent_by: str = "announce", visit: int = 1, link: str = "details") -> Happening:
        """Store a click on a message that this run sent."""
        return self.store(clock, message=message_id(RUN, sent_by, visit), link=link)

    @property
    def path(self) -> list[str]:
        """The steps come to, the exit included."""
        return [move.to_step for move in self.moves]

    @property
    def why(self) -> Why:
        """Why the run made its last move."""
        return self.moves[-1].why
