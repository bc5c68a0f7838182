"""People click while what takes their clicks in is killed, locked and restarted: every click counts, once."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from tests.chaos.lines.clickers import (
    Clickers,
    Kind,
    Passed,
    Waiting,
    is_fair,
    passages,
    waiting,
    wrong_branches,
    wrongly_late,
)
from tests.chaos.ring import Line, Ring
from tests.chaos.site import Life, Strike
from wend.errors import Unavailable
from wend.storage.tables import moves, runs

Fault = Literal["api, before", "api, after", "relay", "temporal", "database"]

FAULTS: Sequence[Fault] = ("api, before", "api, after", "relay", "temporal", "database")

FIRED = 104
"""How often the long form has each fault, on all databases together."""

REACHES = timedelta(seconds=60)
"""How soon after recovery a click reaches its run."""

SHORT = timedelta(seconds=5)
"""How long those wait whose deadlines fall among the faults."""

RACING = 8
WAVE_EVERY = 10
"""So many of them come before every tenth fault."""

LONG = timedelta(hours=12)
"""How long the others do: no timer helps a click that was not told."""

_STRIKES: Mapping[Fault, tuple[Any, str]] = {
    "api, before": ("api", "click.before_store"),
    "api, after": ("api", "click.after_store"),
    "relay": ("relay", "relay.between_signal_and_mark"),
}
"""Which part dies, and where."""

HABITS: Sequence[tuple[Kind, ...]] = (("person",), ("person", "person"), ("person", "bot"), ("head",))
"""Who follows the link of one message: once, twice, beside a scanner, and a mail gateway alone."""


@dataclass(frozen=True)
class Round:
    """One fault, under the clicks of some people.

    Attributes:
        fault: What is hit.
        arrival: At which click it is hit, where it is hit by one.
        habits: How each of the people clicks.
        lasts: Seconds that an outage lasts.
    """

    fault: Fault
    arrival: int
    habits: tuple[tuple[Kind, ...], ...]
    lasts: float

    def __str__(self) -> str:
        return f"{self.fault} at {self.arrival} for {self.lasts:.1f} s"


@dataclass(frozen=True)
class Plan:
    """What is drawn before anything happens.

    Attributes:
        rounds: One after another.
        waves: Before every tenth round, people who wait for a short time: when each clicks, in parts of that time;
            ``None`` for never.
    """

    rounds: tuple[Round, ...]
    waves: tuple[tuple[float | None, ...], ...]


def draw(random: Random, times: Mapping[Fault, int], *, longest: tuple[float, int]) -> Plan:
    """Draw a plan with every fault so many times.

    Args:
        random: Where it is drawn from.
        times: How often each fault comes.
        longest: For how many seconds the database is away the first so many times; later, for a moment.
    """
    rounds = []
    faults = [fault for fault in FAULTS for _ in range(times[fault])]
    for fault in random.sample(faults, len(faults)):
        habits = [*HABITS, *random.choices(HABITS, k=1)]
        random.shuffle(habits)
        rounds.append(Round(fault, random.randint(1, 3), tuple(habits), random.uniform(0.3, 1.0)))
    away = [place for place, each in enumerate(rounds) if each.fault == "database"]
    for place in away[: longest[1]]:
        rounds[place] = replace(rounds[place], lasts=longest[0])
    waves = [
        tuple(random.choice((None, *(random.uniform(0.1, 0.9) for _ in range(3)), 1.2)) for _ in range(RACING))
        for _ in range(0, len(rounds), WAVE_EVERY)
    ]
    return Plan(tuple(rounds), tuple(waves))


def run(ring: Ring) -> None:
    times = {fault: ring.pick(1, ring.share(FIRED)) for fault in FAULTS}
    times["database"] = ring.pick(1, FIRED)  # SQLite's is locked, PostgreSQL's is killed
    plan = draw(ring.random, times, longest=ring.pick((1.5, 1), (30.0, 4)))
    for fault, each in groupby(sorted(plan.rounds, key=lambda round: round.fault), lambda round: round.fault):
        ring.planned(f"{fault}: {', '.join(f'{one.arrival}/{one.lasts:.1f}s' for one in each)}")
    patient = ring.key("patient")
    people = sum(len(round.habits) for round in plan.rounds)
    _publish(ring, patient, people, LONG)
    _all_there(ring, patient, people)
    queue = sorted(waiting(ring.site, patient).values(), key=lambda each: each.run_id)
    recovered: dict[UUID, float] = {}
    with Clickers(ring.site) as clickers:
        races: list[_Race] = []

        def tick() -> None:
            for race in races:
                race.tick()

        for number, round in enumerate(plan.rounds):
            wave, begins = divmod(number, WAVE_EVERY)
            if begins == 0:
                ring.until(lambda: all(race.is_over() for race in races), REACHES)
                races.append(_Race(ring, clickers, ring.key(f"racing-{wave}"), plan.waves[wave]))
            crowd, queue = queue[: len(round.habits)], queue[len(round.habits) :]
            ring.say(f"{number + 1}/{len(plan.rounds)} {round}")
            at, reached = _play(ring, clickers, round, crowd, tick)
            recovered |= {each.run_id: at for each in crowd}
            if not reached:  # the verdict is clear
                break
        ring.until(lambda: all(race.is_over() for race in races), REACHES)
        clickers.finish()
    racing = [passed for race in races for passed in passages(ring.site, race.journey)]
    _judge(ring, clickers, recovered, passages(ring.site, patient), racing)


def _publish(ring: Ring, key: str, people: int, within: timedelta) -> None:
    """Have so many people enter a journey that mails them and waits for their clicks."""
    site = ring.site
    site.email(f"{key}-mail")
    site.people(key, people, crowd=key)
    site.segment(key, {"attribute": "crowd", "op": "eq", "value": key})
    look = {"type": "wait_for_click", "sent_by": "mail", "within": f"PT{within.total_seconds():.0f}S"}
    steps = [
        {"id": "mail", "type": "send_email", "message": f"{key}-mail"},
        {"id": "look", **look, "on_click": "yes", "on_timeout": "no"},
        {"id": "yes", "type": "exit", "reason": "clicked"},
        {"id": "no", "type": "exit", "reason": "timed_out"},
    ]
    site.take_in(key, key, steps)


def _all_there(ring: Ring, journey: str, people: int, tick: Callable[[], None] = lambda: None) -> None:
    """Return when everybody has come to wait for a click; the first may have done with it by then."""

    def all_of_them() -> bool:
        tick()
        return _arrived(ring, journey) == people

    if not ring.until(all_of_them, timedelta(minutes=10)):
        raise AssertionError(f"{_arrived(ring, journey)} of {people} runs of {journey} came to wait for their clicks")


def _arrived(ring: Ring, journey: str) -> int:
    with ring.site.read() as connection:
        query = sa.select(sa.func.count(moves.c.run_id.distinct()))
        return connection.scalar(query.where(moves.c.journey_key == journey, moves.c.to_step == "look")) or 0


class _Race:
    """Those whose clicks race with their deadlines."""

    def __init__(self, ring: Ring, clickers: Clickers, journey: str, moments: Sequence[float | None]) -> None:
        self.journey = journey
        self._ring = ring
        self._clickers = clickers
        self._moments = list(moments)
        self._over = False
        self._due: list[tuple[datetime, UUID]] = []
        self._seen: set[UUID] = set()
        self._looked = 0.0
        _publish(ring, journey, len(moments), SHORT)
        _all_there(ring, journey, len(moments), self.tick)  # a send that dies would come much later

    def tick(self) -> None:
        """Have everybody click whose moment has come."""
        if self._over:
            return
        if time.monotonic() - self._looked > 0.25:
            self._looked = time.monotonic()
            with suppress(Unavailable):  # it may be the database that is down
                self._look()
        now = datetime.now(UTC)
        for at, message_id in self._due:
            if at <= now:
                self._clickers.click(message_id)
        self._due = [each for each in self._due if each[0] > now]

    def _look(self) -> None:
        for each in waiting(self._ring.site, self.journey).values():
            if each.run_id not in self._seen and self._moments:
                self._seen.add(each.run_id)
                if (moment := self._moments.pop()) is not None:
                    self._due.append((each.deadline + (moment - 1) * SHORT, each.message_id))

    def is_over(self) -> bool:
        """Whether all have clicked who do, and all runs have ended."""
        self.tick()
        if self._over or self._due:
            return self._over
        with self._ring.site.read() as connection:
            states = connection.execute(sa.select(runs.c.ended_at).where(runs.c.journey_key == self.journey)).all()
        self._over = bool(states) and all(row.ended_at is not None for row in states)
        return self._over


def _life(round: Round) -> Life:
    """Return the life of the process that a round kills by a strike."""
    what, point = _STRIKES[round.fault]
    return Life(strike=Strike(point, 1 if what == "relay" else round.arrival))


def _play(
    ring: Ring, clickers: Clickers, round: Round, crowd: Sequence[Waiting], tick: Callable[[], None]
) -> tuple[float, bool]:
    """Have a crowd click while something is hit; return when everything was up again, in seconds since the epoch, and
    whether their runs have gone on.
    """
    site = ring.site

    def click() -> None:
        for each, habit in zip(crowd, round.habits, strict=True):
            for kind in habit:
                clickers.click(each.message_id, kind)
            tick()

    def ticking() -> bool:
        tick()
        return False

    def last() -> None:
        ring.until(ticking, timedelta(seconds=round.lasts))

    match round.fault:
        case "temporal":
            site.kill("temporal")
            click()
            last()
            site.start_again("temporal")
        case "database" if site.kind == "sqlite":
            with site.locked_database():
                click()
                last()
        case "database":
            site.kill("database")
            click()
            last()
            site.start_again("database")
        case _:
            what = _STRIKES[round.fault][0]
            site.restart(what, _life(round))
            click()
            site.died(what, ring.pick(timedelta(seconds=60), timedelta(seconds=20)))
            site.restart(what)
    at = time.time()
    people = [each.run_id for each, habit in zip(crowd, round.habits, strict=True) if "person" in habit]
    return at, ring.until(lambda: ticking() or _have_left(ring, people), REACHES)


def _have_left(ring: Ring, run_ids: Sequence[UUID]) -> bool:
    with ring.site.read() as connection:
        query = sa.select(sa.func.count()).where(runs.c.id.in_(run_ids), runs.c.ended_at.is_(None))
        return connection.scalar(query) == 0


def _judge(
    ring: Ring, clickers: Clickers, recovered: Mapping[UUID, float], patient: list[Passed], racing: list[Passed]
) -> None:
    everybody = [*patient, *racing]
    answered, tried, answers = clickers.answered(), clickers.tried(), clickers.answers()
    stored = {each.message_id: len(each.clicks) for each in everybody}
    ring.count("clicks answered 302", answered.total())
    ring.count("requests", len(clickers.tries))
    ring.count("runs", len(everybody))

    lost = [str(message) for message, times in answered.items() if stored.get(message, 0) < times]
    ring.check(
        "every click answered 302 is stored", not lost, f"{answered.total()} answered, {len(lost)} missing {lost[:3]}"
    )
    made_up = [str(message) for message, times in stored.items() if message is not None and times > tried[message]]
    ring.check("no click is stored that nobody made", not made_up, f"{len(made_up)} {made_up[:3]}")
    unfair = {answer: times for answer, times in answers.items() if not is_fair(answer)}
    ring.check("a degraded answer is a 503 with problem+json, or nobody is there", not unfair, f"{dict(answers)}")

    people = [each for each in patient if each.message_id in answered]
    slowest = max((_took(each, recovered) for each in people if each.left), default=0.0)
    stuck = [str(each.run_id) for each in people if not each.left]
    ring.check(
        "every human click reaches its waiting run within 60 s of recovery",
        not stuck and slowest <= REACHES.total_seconds(),
        f"{len(people)} runs, the slowest after {slowest:.2f} s, {len(stuck)} not reached {stuck[:3]}",
    )
    consumed = [each for each in everybody if any(why == "clicked" for _, why, _, _ in each.left)]
    twice = [str(each.run_id) for each in consumed if len(each.left) != 1 or each.left[0][2] not in _ids(each)]
    ring.check(
        "each is consumed once", not twice, f"{len(consumed)} runs went on by a click, {len(twice)} amiss {twice[:3]}"
    )
    moved = [str(each.run_id) for each in patient if each.others and not each.clicks and each.left]
    ring.check(
        "what no person did is stored and moves nobody", not moved, f"{sum(each.others for each in everybody)} stored"
    )
    wrong = wrong_branches(racing, SHORT) + wrong_branches((each for each in patient if each.left), LONG)
    ways = [each.left[0][1] for each in racing if each.left]
    seen = f"{ways.count('clicked')} clicked and {ways.count('timed_out')} timed out among {len(racing)} that raced"
    ring.check("never a wrong branch", not wrong and len(ways) == len(racing), f"{seen}; {wrong[:3]}")
    late = wrongly_late(racing, SHORT)
    ring.check("late clicks are recorded as late", not late, f"{len(late)} amiss {late[:3]}")


def _took(each: Passed, recovered: Mapping[UUID, float]) -> float:
    """Return how many seconds after its first click, or after recovery, a run went on."""
    first = each.clicks[0][1].timestamp() if each.clicks else 0.0
    return each.left[0][0].timestamp() - max(first, recovered[each.run_id])


def _ids(each: Passed) -> set[UUID | None]:
    return {id for id, _, _ in each.clicks}


LINE = Line(
    "clicks", "clicks while API, relay, Temporal and the database are killed, locked and restarted", run, busy=True
)
