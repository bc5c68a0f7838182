"""Workers die while a segment enters: at its opening, between the starts of its runs, at its end."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import httpx2

from tests.chaos.evidence import (
    Entered,
    count_workflows,
    existing,
    read_entered,
    take_in_under_fire,
    unfinished,
    workflows,
)
from tests.chaos.life import AT_ONCE
from tests.chaos.probes import FANOUT_POINTS
from tests.chaos.ring import Line, Ring
from tests.chaos.site import Life, Strike

A_YEAR = ({"id": "year", "type": "wait", "for": "P365D"},)

STRUCK_AT_EACH = 104
"""How often the long form strikes at each point, on all databases together."""

STRIKES_OF_THE_LARGE_ONE = 10
MEMBERS = int(os.environ.get("CHAOS_MEMBERS", "100000"))
"""Of the large entry; ``CHAOS_MEMBERS=20000`` makes it smaller."""

A_MEMBER_TAKES = timedelta(milliseconds=40)
"""At the most, on average, on a machine with other work to do."""

MEMBERS_OF_A_SMALL_ONE = 40
LIVES = 3
"""Of a worker, in which its strike may come: too little may happen in one, on a machine with much else to do."""

OPEN_AT_ONCE = 10
"""Small entries that are not done; more follow as the strikes use them up."""

MOST_ARRIVALS = {"fanout.between_starts": 40, "fanout.after_claim": 4, "fanout.before_mark": 4, "fanout.after_mark": 4}
"""The latest arrival that a strike is planned for; the first, where nothing is said."""


@dataclass(frozen=True)
class Plan:
    """The strikes at the large entry, and at small ones."""

    large: Sequence[Strike]
    small: Sequence[Strike]


class People:
    """Who is in the segment, as whoever put them there knows it: the members' own source.

    Args:
        ring: Whose line it is.
        name: Of the segment.
        count: Members with an e-mail address; every tenth besides has none and is excluded.
    """

    def __init__(self, ring: Ring, name: str, count: int) -> None:
        self.segment = ring.key(name)
        site = ring.site
        self.entering = set(site.people(f"{self.segment}-in", count, **{self.segment: True}))
        self.excluded = set(site.people(f"{self.segment}-no", max(1, count // 10), email=False, **{self.segment: True}))
        site.people(f"{self.segment}-out", max(1, count // 10), other=True)
        site.segment(self.segment, {"attribute": self.segment, "op": "exists"})

    @property
    def members(self) -> int:
        """How many there are."""
        return len(self.entering) + len(self.excluded)


def run(ring: Ring) -> None:
    """One large entry with some deaths; in the long form, as many small ones as a hundred deaths at each point take."""
    strikes = plan(ring)
    _large(ring, strikes.large)
    if strikes.small:
        _small(ring, strikes.small)


def plan(ring: Ring) -> Plan:
    """Return the strikes, one for each life of the worker."""
    return Plan(_plan_large(ring), _plan_small(ring))


def _plan_large(ring: Ring) -> list[Strike]:
    quick = ["fanout.after_claim", "fanout.between_starts", "fanout.before_mark"]
    starting = [point for point in FANOUT_POINTS if point.startswith("fanout.")]
    points = ring.pick(quick, [ring.random.choice(starting) for _ in range(STRIKES_OF_THE_LARGE_ONE)])
    ring.random.shuffle(points)
    starts = ring.pick(20, MEMBERS // 2 // STRIKES_OF_THE_LARGE_ONE)
    batches = ring.pick(2, max(1, starts // 20))
    strikes = [
        Strike(point, ring.random.randint(1, starts if point == "fanout.between_starts" else batches))
        for point in points
    ]
    for strike in strikes:
        ring.planned(f"large: {strike}")
    return strikes


def _plan_small(ring: Ring) -> list[Strike]:
    points = [point for point in FANOUT_POINTS for _ in range(ring.pick(0, ring.share(STRUCK_AT_EACH)))]
    ring.random.shuffle(points)
    strikes = [Strike(point, ring.random.randint(1, MOST_ARRIVALS.get(point, 1))) for point in points]
    for strike in strikes:
        ring.planned(f"small: {strike}")
    return strikes


def _large(ring: Ring, strikes: Sequence[Strike]) -> None:
    # Of the short form's, three lives start no more than 20 each, and leave each 10 claimed at the most.
    people = People(ring, "members", ring.pick(90, MEMBERS))
    key = ring.key("large")
    ring.site.restart("worker", _large_life(ring, strikes[0]))
    take_in_under_fire(ring.site, key, people.segment, A_YEAR, namespace="email")
    struck = 0
    for number, strike in enumerate(strikes):
        if number > 0:
            ring.site.start_again("worker", _large_life(ring, strike), wait=False)
        if not ring.site.died("worker", ring.pick(timedelta(seconds=120), timedelta(minutes=10))):
            break
        struck += 1
    ring.site.restart("worker", wait=False)
    ring.check("every strike of the plan was made (large)", struck == len(strikes), f"{struck} of {len(strikes)}")
    _compare(ring, "large", [key], people, ring.pick(timedelta(seconds=150), MEMBERS * A_MEMBER_TAKES))


def _large_life(ring: Ring, strike: Strike) -> Life:
    # A fan-out says that it lives after each batch, and the ring's patience with it is short.
    return Life(strike=strike, batch=ring.pick(10, 20))


def _small(ring: Ring, strikes: Sequence[Strike]) -> None:
    people = People(ring, "few", MEMBERS_OF_A_SMALL_ONE)
    keys: list[str] = []

    def feed() -> bool:
        died = False
        for _ in range(OPEN_AT_ONCE - len(unfinished(ring.site, keys))):
            keys.append(ring.key(f"small-{len(keys)}"))
            died |= _take_in(ring, keys[-1], people)
        return died

    feed()
    struck = sum(_strike(ring, strike, feed) for strike in strikes)
    ring.site.restart("worker", wait=False)
    ring.check("every strike of the plan was made (small)", struck == len(strikes), f"{struck} of {len(strikes)}")
    _compare(ring, "small", keys, people, timedelta(minutes=10))


def _strike(ring: Ring, strike: Strike, feed: Callable[[], bool]) -> bool:
    """Have a worker live until its strike; returns whether it came, if only in another life."""
    life = Life(strike=strike, batch=10, activities=AT_ONCE)
    for _ in range(LIVES):
        ring.site.restart("worker", life, wait=False)
        if any(ring.site.died("worker", timedelta(seconds=4)) or feed() for _ in range(20)):
            return True
    return False


def _take_in(ring: Ring, key: str, people: People) -> bool:
    """Publish the journey; returns whether the strike came meanwhile and took the API along, which lives again then."""
    if ring.kind == "postgresql":
        ring.site.take_in(key, people.segment, A_YEAR, namespace="email")
        return False
    try:
        ring.site.take_in(key, people.segment, A_YEAR, namespace="email")
    except httpx2.TransportError:  # whoever asks cannot know how far it got
        ring.site.restart("worker")
        if ring.site.http.get(f"/v1/journeys/{key}/versions/1").status_code == 404:
            ring.site.take_in(key, people.segment, A_YEAR, namespace="email")
        return True
    return False


def _compare(ring: Ring, name: str, keys: Sequence[str], people: People, within: timedelta) -> None:
    """Compare members, runs, exclusions and workflows of journeys that all have the same members."""

    done = ring.until(lambda: not unfinished(ring.site, keys), within, every=ring.pick(0.1, 0.5))
    left = unfinished(ring.site, keys)
    ring.check(f"every entry is done ({name})", done, f"{len(left)} of {len(keys)} are not: {left[:3]}")
    read = {key: read_entered(ring.site, key) for key in keys}
    ring.count(f"members ({name})", people.members * len(keys))
    ring.count(f"runs ({name})", sum(each.runs.total() for each in read.values()))
    missing = sum(len(people.entering - set(each.runs)) for each in read.values())
    twice = sum(each.runs.total() - len(each.runs) for each in read.values())
    strangers = sum(len(set(each.runs) - people.entering) for each in read.values())
    said = f"{missing} members without a run, {twice} runs too many, {strangers} runs of non-members"
    ring.check(f"exactly one run per member, none for a non-member ({name})", not (missing + twice + strangers), said)
    sums = [
        (people.members, each.runs.total() + each.excluded.total(), each.entries[0][1] if each.entries else 0)
        for each in read.values()
    ]
    wrong = [each for each in sums if len(set(each)) != 1]
    said = f"(own source, runs + exclusions, counted by the entry): {(wrong or sums)[:3]}"
    ring.check(f"members from their own source = runs + exclusions ({name})", not wrong, said)
    _compare_workflows(ring, name, read)


def _compare_workflows(ring: Ring, name: str, read: dict[str, Entered]) -> None:
    expected = sum(len(each.expected) for each in read.values())
    if ring.quick:  # those that are not there by now never will be
        expected = sum(len(existing(ring.site, each.expected)) for each in read.values())
    # Temporal's visibility follows its workflows, by a moment or by minutes.
    listed = partial(count_workflows, ring.site, list(read))
    ring.until(
        lambda: listed() >= expected, ring.pick(timedelta(minutes=2), timedelta(minutes=15)), ring.pick(0.1, 0.5)
    )
    found = {key: workflows(ring.site, key) for key in read}
    without = sum(len(each.expected - set(found[key])) for key, each in read.items())
    twice = sum(each.total() - len(each) for each in found.values())
    strangers = sum(len(set(found[key]) - each.expected) for key, each in read.items())
    unmarked = sum(each.unmarked for each in read.values())
    ring.count(f"workflows ({name})", sum(each.total() for each in found.values()))
    said = f"{without} runs without a workflow, {twice} with two, {strangers} workflows without a run"
    ring.check(f"exactly one workflow per run ({name})", not (without + twice + strangers), said)
    ring.check(f"every run is marked as started ({name})", not unmarked, f"{unmarked} are not")


LINE = Line("fanout", "Workers die while a segment enters", run, busy=True)
