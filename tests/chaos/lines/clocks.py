"""Clocks that are five minutes off: no decision is contradicted by a later stamp, and an alarm says so."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal, get_args
from uuid import UUID

import sqlalchemy as sa

from tests.chaos.life import Life, Part
from tests.chaos.lines.clickers import Clickers, Passed, is_fair, passages, waiting, wrong_branches, wrongly_late
from tests.chaos.ring import Line, Ring
from wend.storage.tables import runs, sent_messages

OFF = timedelta(minutes=5)

WITHIN = timedelta(seconds=2)
"""How long runs wait for a click."""

PROMPT = timedelta(seconds=100)
"""How long after the last deadline the last run may end: minutes would say that somebody waits for a wrong clock."""

Process = Literal["api", "worker", "relay"]
PROCESSES: Sequence[Process] = get_args(Process)


@dataclass(frozen=True)
class Wrong:
    """Whose clock is off, and by how much it is ahead.

    Attributes:
        what: For people. A database's clock is off where all others are, the other way.
        ahead: By process.
    """

    what: tuple[str, ...]
    ahead: Mapping[Process, timedelta]

    def and_(self, other: "Wrong") -> "Wrong":
        """Return both at once."""
        return Wrong((*self.what, *other.what), {**self.ahead, **other.ahead})


def wrongs(random: Random, *, sqlite: bool, quick: bool) -> list[Wrong]:
    """Draw which clocks are wrong, one set after another."""
    both = (OFF, -OFF)
    if sqlite:  # Wend is one process, and SQLite has no clock: Temporal's is the only other one
        return [Wrong((f"clock of Wend {_way(by)}",), {"worker": by}) for by in both]
    found = [Wrong((f"clock of the {what} {_way(by)}",), {what: by}) for what in PROCESSES for by in both]
    database = [Wrong((f"clock of the database {_way(-by)}",), dict.fromkeys(PROCESSES, by)) for by in both]
    if not quick:
        return [*found, *database]
    api, worker = random.choice(found[:2]), random.choice(found[2:4])
    return random.sample([api.and_(worker), random.choice(database)], 2)


def _way(by: timedelta) -> str:
    return f"5 minutes {'ahead' if by > timedelta(0) else 'behind'}"


def run(ring: Ring) -> None:
    people = ring.pick(5, 100)
    found = wrongs(ring.random, sqlite=ring.kind == "sqlite", quick=ring.quick)
    moments = [[ring.random.choice((None, 0.3, 0.6, 1.3)) for _ in range(people)] for _ in found]
    for wrong, chosen in zip(found, moments, strict=True):
        said = " and ".join(wrong.what)
        ring.planned(f"{said}: {people} people, clicks at {chosen[:6]} of their waits")
    everything: list[Passed] = []
    silent: list[str] = []
    slow: list[str] = []
    with Clickers(ring.site) as clickers:
        for number, (wrong, chosen) in enumerate(zip(found, moments, strict=True)):
            said = " and ".join(wrong.what)
            logs = {part: _size(ring, part) for part in ring.site.parts}
            for process in PROCESSES if ring.kind == "postgresql" else ("worker",):
                ring.site.restart(process, Life(clock=wrong.ahead.get(process, timedelta(0))))
            passed, prompt = _through(ring, clickers, ring.key(f"wrong-{number}"), chosen)
            everything += passed
            for what in wrong.what * len(passed):
                ring.site.faults.write(what)
            if not prompt:
                slow += wrong.what
            parts: Sequence[Part] = ("wend",) if ring.kind == "sqlite" else tuple(wrong.ahead)
            silent += [f"{part}, {said}" for part in parts if not _complained(ring, part, logs[part])]
        _judge(ring, clickers, everything, sum(map(len, moments)))
    ring.check("nobody waits for a wrong clock", not slow, f"{len(found)} wrong clocks, {slow or 'all prompt'}")
    ring.check("an alarm says so", not silent, f"{len(found)} wrong clocks, silent: {silent or 'none'}")


def _through(ring: Ring, clickers: Clickers, key: str, moments: Sequence[float | None]) -> tuple[list[Passed], bool]:
    """Have people go through a journey; return how, and whether they were prompt."""
    site = ring.site
    site.email(f"{key}-mail")
    site.sms(f"{key}-text")
    site.people(key, len(moments), crowd=key)
    site.segment(key, {"attribute": "crowd", "op": "eq", "value": key})
    look = {"type": "wait_for_click", "sent_by": "mail", "within": f"PT{WITHIN.total_seconds():.0f}S"}
    steps = [
        {"id": "mail", "type": "send_email", "message": f"{key}-mail"},
        {"id": "look", **look, "on_click": "nap", "on_timeout": "nap"},
        {"id": "nap", "type": "wait", "for": "PT1S"},
        {"id": "text", "type": "send_sms", "message": f"{key}-text"},
    ]
    site.take_in(key, key, steps)
    left, due, seen = list(moments), list[tuple[datetime, UUID]](), set[UUID]()

    def over() -> bool:
        for each in waiting(site, key).values():
            if each.run_id not in seen:
                seen.add(each.run_id)
                if (moment := left.pop()) is not None:
                    due.append((each.deadline + (moment - 1) * WITHIN, each.message_id))
        now = datetime.now(UTC)
        for theirs in [theirs for theirs in due if theirs[0] <= now]:
            due.remove(theirs)
            clickers.click(theirs[1])
        return not due and _ended(ring, key) == len(moments)

    everybody = ring.until(over, PROMPT + WITHIN)
    clickers.finish()
    return passages(site, key), everybody


def _ended(ring: Ring, key: str) -> int:
    with ring.site.read() as connection:
        query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.ended_at.is_not(None))
        return int(connection.scalar(query) or 0)


def _size(ring: Ring, part: Part) -> int:
    log = ring.site.directory / f"{part}.log"
    return log.stat().st_size if log.exists() else 0


def _complained(ring: Ring, part: Part, since: int) -> bool:
    """Whether a process has logged since then that clocks disagree."""

    def found() -> bool:
        with (ring.site.directory / f"{part}.log").open("rb") as log:
            log.seek(since)
            return any(_says(line) == "clocks disagree" for line in log)

    return ring.until(found, timedelta(seconds=60))


def _says(line: bytes) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    return str(told.get("event")) if isinstance(told, dict) else ""


def _judge(ring: Ring, clickers: Clickers, passed: Sequence[Passed], people: int) -> None:
    ring.count("runs", len(passed))
    ring.count("clicks answered 302", clickers.answered().total())
    through = [each for each in passed if each.state == "completed"]
    seen = f"{len(through)} of {people} through"
    ring.check("everybody comes through, by one branch", len(through) == people == len(passed), seen)
    wrong = wrong_branches(passed, WITHIN)
    ways = [why for each in passed for _, why, _, _ in each.left]
    seen = (
        f"{ways.count('clicked')} clicked, {ways.count('timed_out')} timed out, {len(wrong)} contradicted {wrong[:2]}"
    )
    ring.check("no decision is contradicted by a later stamp", not wrong, seen)
    first = [each for each in passed for _, why, id, _ in each.left if why == "clicked" and id != each.clicks[0][0]]
    ring.check("the first click counts", not first, f"{len(first)} amiss")
    late = wrongly_late(passed, WITHIN)
    ring.check("late clicks are recorded as late", not late, f"{len(late)} amiss {late[:2]}")
    unordered = [str(each.run_id) for each in passed if not each.ordered]
    ring.check("moves follow one another", not unordered, f"{len(unordered)} runs amiss {unordered[:3]}")
    answered = clickers.answered()
    lost = [str(each.message_id) for each in passed if len(each.clicks) < answered[each.message_id or each.run_id]]
    ring.check("every click answered 302 is stored", not lost, f"{answered.total()} answered, {len(lost)} missing")
    unfair = {answer: times for answer, times in clickers.answers().items() if not is_fair(answer)}
    ring.check("no answer is wrong", not unfair, f"{dict(clickers.answers())}")
    _judge_sends(ring, passed)


def _judge_sends(ring: Ring, passed: Sequence[Passed]) -> None:
    query = sa.select(sent_messages.c.id, sent_messages.c.state, sent_messages.c.claimed_at, sent_messages.c.settled_at)
    with ring.site.read() as connection:
        journeys = [f"{ring.key('wrong')}-{number}" for number in range(100)]
        sent = connection.execute(query.where(sent_messages.c.journey_key.in_(journeys))).all()
    copies = ring.site.sink.copies()
    amiss = [str(row.id) for row in sent if row.state != "accepted" or copies[str(row.id)] != 1]
    seen = f"{len(sent)} sends, {len(amiss)} amiss {amiss[:3]}"
    ring.check("each message is sent once, and known to be", len(sent) == 2 * len(passed) and not amiss, seen)
    backwards = [str(row.id) for row in sent if row.settled_at is None or row.settled_at < row.claimed_at]
    ring.check("no send ends before it begins", not backwards, f"{len(backwards)} amiss {backwards[:3]}")


LINE = Line("clocks", "the clock of API, worker, relay or database five minutes off", run)
