"""What a journey promises, written down a second time and as plainly as can be, for the state machine to compare with.

It knows one family of journeys: a mail, a wait for a click on it, a wait, a text, in several orders and lengths. Time
that does not pass is counted here by measuring stretches until nothing changes, not by walking along them.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from tests.support.world import LINK

HOUR = timedelta(hours=1)
LEGAL = {
    "publish": {"draft", "scheduled", "live", "paused"},
    "pause": {"scheduled", "live"},
    "resume": {"paused"},
    "resume_later": {"paused"},
    "close": {"scheduled", "live"},
    "stop": {"scheduled", "live", "paused", "closed"},
    "move": {"scheduled", "live", "paused", "closed"},
    "adjust": {"scheduled", "live", "paused", "closed"},
    "choose": {"scheduled", "live", "paused", "closed"},
}
"""Which action is taken in which states; in all others it is refused."""

SENDING = {"scheduled", "live", "closed"}
OVER = {"finished", "stopped"}
WAS_SENT = ("accepted", "uncertain")


@dataclass(frozen=True)
class Shape:
    """One version: the order of its steps, hours to wait for a click and to rest, and what one leaves by."""

    order: tuple[str, ...]
    within: int
    rest: int
    exits: bool
    age: int | None

    def document(self, key: str, segment: str) -> dict[str, Any]:
        """Return the definition."""
        steps = {
            "mail": {"type": "send_email", "message": "hello", "retries": 1},
            "greeting": {"type": "send_email", "message": "hello", "retries": 1},
            "look": {"type": "wait_for_click", "sent_by": self.mail, "link": LINK, "within": f"PT{self.within}H"}
            | {"on_click": "text"},
            "day": {"type": "wait", "for": f"PT{self.rest}H"},
            "rest": {"type": "wait", "for": f"PT{self.rest}H"},
            "text": {"type": "send_sms", "message": "ping", "retries": 1, "delivery": "at_least_once"},
        }
        document: dict[str, Any] = {
            "key": key,
            "name": "Trip",
            "entry": {
                "segment": segment,
                "frequency": "repeating",
                "schedule": {"start": {"at": "2026-12-01T09:00"}, "every": "day"},
            },
            "steps": [{"id": step, **steps[step]} for step in self.order],
        }
        if self.exits:
            document["exit_on"] = [{"event": "bought", "reason": "is_customer"}]
        if self.age is not None:
            document["max_age"] = f"PT{self.age}H"
        return document

    @property
    def mail(self) -> str:
        """What the sending step is called whose message is waited for."""
        return "mail" if "mail" in self.order else "greeting"

    def follows(self, step: str) -> str:
        """Return the step below."""
        return (*self.order, "exit")[self.order.index(step) + 1]


Doing = Literal["begins", "sends", "waits", "ended"]


@dataclass
class Person:
    """Somebody, and when they bought."""

    id: UUID
    bought: list[datetime] = field(default_factory=list)


@dataclass
class Passage:
    """One run: where it should be, and all that it remembers.

    Attributes:
        sent: How sends ended that the run has gone on from: (step, visit, outcome, under which name).
        ledger: What the ledger should say of a send, by the name and the visit that it was claimed under.
        holder: Which attempt holds the claim of a send.
        marked: It has to be woken when the journey goes on, or since it was moved.
    """

    id: UUID
    person: Person
    version: int
    doing: Doing = "begins"
    step: str | None = None
    entered_at: datetime | None = None
    arrived_at: datetime | None = None
    decided_at: datetime | None = None
    until: datetime | None = None
    held: bool = False
    marked: bool = False
    state: str = "pending"
    reason: str | None = None
    visits: Counter[str] = field(default_factory=Counter)
    sent: list[tuple[str, int, str, str]] = field(default_factory=list)
    clicks: list[tuple[datetime, str, int]] = field(default_factory=list)
    consumed: datetime | None = None
    ledger: dict[tuple[str, int], str] = field(default_factory=dict)
    tries: Counter[tuple[str, int]] = field(default_factory=Counter)
    holder: dict[tuple[str, int], UUID] = field(default_factory=dict)

    @property
    def inside(self) -> bool:
        return self.doing != "ended"

    @property
    def visit(self) -> tuple[str, int]:
        assert self.step is not None
        return self.step, self.visits[self.step]

    def end(self, state: str, reason: str | None) -> None:
        """End here."""
        self.doing, self.state, self.reason = "ended", state, reason
        self.step, self.until, self.held, self.marked = None, None, False, False

    def end_from_outside(self, state: str, reason: str) -> None:
        """End where it is; of a send that is under way its attempt may still tell."""
        waited = self.doing != "sends"
        self.end(state, reason)
        self.drop(claimed=waited)

    def drop(self, *, claimed: bool) -> None:
        """Give up every send but the one that the run stands at; nobody will try them again."""
        for send, now in self.ledger.items():
            if self.step is not None and send == self.visit:
                continue
            if now == "released":
                self.ledger[send] = "refused"
            elif now == "claimed" and claimed:
                self.ledger[send] = "uncertain"


class Model:
    """A journey and everybody in it."""

    def __init__(self) -> None:
        self.state = "draft"
        self.shapes: list[Shape] = []
        self.pause: dict[str, Any] = {}
        self.resume_at: datetime | None = None
        self.freezes: list[tuple[datetime, datetime | None]] = []
        self.runs: list[Passage] = []
        self.moved: list[tuple[int, int]] = []
        self.entries: dict[str, str] = {}
        self.audit: list[str] = []

    # -- time ---------------------------------------------------------------------------------------------------

    def over_at(self, since: datetime, hours: int) -> datetime | None:
        """Return when so many hours have passed that were not frozen; ``None`` while nobody can say."""
        until = since + hours * HOUR
        while True:
            frozen = timedelta(0)
            for begin, end in self.freezes:
                if begin < until and (end is None or end > since):
                    if end is None:
                        return None
                    frozen += end - max(begin, since)
            if until == since + hours * HOUR + frozen:
                return until
            until = since + hours * HOUR + frozen

    # -- decisions ----------------------------------------------------------------------------------------------

    def leaves(self, run: Passage, now: datetime) -> str | None:
        """Return why a run leaves now, wherever it is."""
        shape = self.shapes[run.version - 1]
        if run.entered_at is None:
            return None
        if shape.exits and any(at > run.entered_at for at in run.person.bought):
            return "is_customer"
        if shape.age is not None and now >= run.entered_at + shape.age * HOUR:
            return "max_age"
        return None

    def decide(self, run: Passage, now: datetime) -> None:
        """Take the run as far as it gets."""
        shape = self.shapes[run.version - 1]
        now = max(now, run.decided_at or now)
        if run.step is None:
            run.entered_at = now
            self._arrive(run, shape.order[0], now)
        elif (reason := self.leaves(run, now)) is not None:
            run.end("exited", reason)
        while run.inside:
            at = self._look(run, shape, now)
            if at is None:
                break
            now = at
        run.decided_at = max(now, run.arrived_at or now)
        run.drop(claimed=True)

    def _look(self, run: Passage, shape: Shape, now: datetime) -> datetime | None:
        """Make one move, and return when it was made; ``None`` where the run stays."""
        step = run.step
        assert step is not None
        assert run.arrived_at is not None
        if step in ("mail", "greeting", "text"):
            settled = [outcome for name, visit, outcome, _ in run.sent[-1:] if (name, visit) == run.visit]
            if not settled:
                self._stay(run, shape, "waits" if self.state == "paused" else "sends", None)
                return None
            if settled[0] in ("refused", "gave_up"):
                run.end("failed", f"message_{settled[0]}")
                return now
            return self._go(run, shape, shape.follows(step), now)
        if step == "look":
            copies = {
                (as_, visit) for name, visit, outcome, as_ in run.sent if name == shape.mail and outcome in WAS_SENT
            }
            if not copies:
                return self._go(run, shape, shape.follows(step), now)
            until = self.over_at(run.arrived_at, shape.within)
            for at, name, visit in sorted(run.clicks):
                in_time = until is None or at <= until
                if (name, visit) in copies and in_time and (run.consumed is None or at > run.consumed):
                    run.consumed = at
                    return self._go(run, shape, "text", max(now, at))
        else:
            until = self.over_at(run.arrived_at, shape.rest)
        if until is not None and now >= until:
            return self._go(run, shape, shape.follows(step), now)
        self._stay(run, shape, "waits", until)
        return None

    def _go(self, run: Passage, shape: Shape, to: str, now: datetime) -> datetime:
        if to == "exit":
            run.end("completed", None)
        else:
            self._arrive(run, to, now)
        return now

    def _arrive(self, run: Passage, step: str, now: datetime) -> None:
        run.step, run.arrived_at, run.state = step, now, "running"
        run.visits[step] += 1

    def _stay(self, run: Passage, shape: Shape, doing: Doing, until: datetime | None) -> None:
        run.doing, run.held = doing, doing == "waits" and until is None
        run.marked = run.held
        run.until = until
        if doing == "waits" and shape.age is not None and run.entered_at is not None:
            oldest = run.entered_at + shape.age * HOUR
            run.until = oldest if until is None else min(until, oldest)

    def settled(self, run: Passage, outcome: str, now: datetime) -> None:
        """Have the run go on from its send."""
        name, visit = run.visit
        run.sent.append((name, visit, outcome, name))
        self.decide(run, now)

    # -- moves --------------------------------------------------------------------------------------------------

    def movable(self, to: int) -> list[Passage]:
        """Return the runs that are moved: all that do not send at this moment."""
        return [run for run in self.runs if run.inside and run.version != to and run.doing != "sends"]

    def move(self, runs: list[Passage], to: int, steps: dict[str, str]) -> None:
        """Move runs, with their past."""
        for run in runs:
            self.moved.append((run.version, to))
            run.version = to
            run.marked = run.doing == "waits"
            run.sent = [(steps.get(name, name), *more) for name, *more in run.sent]  # type: ignore[misc]
            here = run.step
            for old, new in steps.items():
                run.visits[new] += run.visits[old]
            if here is not None:
                run.step = steps.get(here, here)
