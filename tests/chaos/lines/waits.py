"""Workers are down for the whole of a wait, and all of them are new between two: runs go on where they were."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from tests.chaos.ring import Line, Ring
from wend.storage.tables import moves, runs, sent_messages

NAP = timedelta(seconds=2)

AT_ONCE = timedelta(seconds=60)
"""How soon after its worker is started a run goes on whose time has passed. The worker needs a second or two for that,
and twenty times that on a machine with much else to do; what does not wake by itself would take for ever."""

GATE = "gate"
"""The step behind all waits: whoever is there waits until no worker will be killed any more, and is sent a text."""


def run(ring: Ring) -> None:
    people, times = ring.pick((8, 1), (10, ring.share(104)))
    ring.planned(f"{people} people through {2 * times} waits; workers are down for every second one, and new after it")
    key, site = ring.key("naps"), ring.site
    site.sms(key)
    ids = site.people(key, people, crowd=key)
    site.segment(key, {"attribute": "crowd", "op": "eq", "value": key})
    naps = [
        {"id": f"nap-{number}", "type": "wait", "for": f"PT{NAP.total_seconds():.0f}S"} for number in range(2 * times)
    ]
    gate = {
        "id": GATE,
        "type": "wait_for_event",
        "event": key,
        "within": "P1D",
        "on_event": "text",
        "on_timeout": "exit",
    }
    site.take_in(key, key, [*naps, gate, {"id": "text", "type": "send_sms", "message": key}])
    if not ring.until(lambda: _inside(ring, key) == len(_waiting(ring, key)) == people, timedelta(seconds=120)):
        raise AssertionError(f"{len(_waiting(ring, key))} of {people} runs wait")
    slowest, stuck = 0.0, 0
    for number in range(times):
        site.kill("worker")
        site.faults.write("workers down for the whole of a wait")
        before = _parked(ring, key)
        due = max(before, default=datetime.now(UTC))
        ring.until(partial(_has_passed, due), NAP * 2)
        up_at = time.monotonic()
        site.start_again("worker")
        gone_on = ring.until(partial(_all_beyond, ring, key, due), AT_ONCE + timedelta(seconds=people))
        slowest, stuck = max(slowest, time.monotonic() - up_at), stuck + (not gone_on)
        site.faults.write("all workers new between two steps")
        site.restart("worker")
        if number % 10 == 0:
            ring.say(f"{number + 1}/{times}: all gone on {time.monotonic() - up_at:.1f} s after their worker was up")
    # A round takes a wait or two: what is left of them is waited for without a fault.
    through = ring.until(lambda: _at_gate(ring, key) == people, timedelta(seconds=120) + 2 * len(naps) * NAP)
    for id in ids:
        site.call("POST", "/v1/events", {"id": f"{key}/{id}", "profile_id": id, "name": key})
    ended = through and ring.until(lambda: not _inside(ring, key), timedelta(seconds=120))
    _judge(ring, key, people, len(naps), ended)
    ring.check(
        "the run goes on, at once where its time has passed",
        not stuck and slowest <= AT_ONCE.total_seconds(),
        f"all within {slowest:.1f} s of their worker's start, {stuck} times not",
    )


def _waiting(ring: Ring, journey: str) -> list[tuple[str, datetime]]:
    """Return where each waiting run of a journey waits, and until when."""
    query = sa.select(runs.c.step, runs.c.parked_until).where(runs.c.journey_key == journey)
    with ring.site.read() as connection:
        rows = connection.execute(query.where(runs.c.parked_until.is_not(None), runs.c.ended_at.is_(None)))
        return [(row.step, row.parked_until) for row in rows]


def _parked(ring: Ring, journey: str) -> list[datetime]:
    """Return until when each run of a journey waits that is not at its gate yet."""
    return [until for step, until in _waiting(ring, journey) if step != GATE]


def _at_gate(ring: Ring, journey: str) -> int:
    return sum(step == GATE for step, _ in _waiting(ring, journey))


def _has_passed(instant: datetime) -> bool:
    return datetime.now(UTC) > instant


def _all_beyond(ring: Ring, journey: str, due: datetime) -> bool:
    """Whether no run waits for an instant up to this one."""
    return all(until > due for until in _parked(ring, journey))


def _inside(ring: Ring, journey: str) -> int:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == journey, runs.c.ended_at.is_(None))
    with ring.site.read() as connection:
        return int(connection.scalar(query) or 0)


def _judge(ring: Ring, journey: str, people: int, naps: int, ended: bool) -> None:
    with ring.site.read() as connection:
        rows = connection.execute(
            sa.select(moves.c.run_id, moves.c.at, moves.c.from_step, moves.c.to_step, moves.c.why_kind)
            .where(moves.c.journey_key == journey)
            .order_by(moves.c.run_id, moves.c.number)
        ).all()
        sent = [str(id) for id in connection.scalars(sa.select(sent_messages.c.id).where(_of(journey)))]
    paths: dict[object, list[Any]] = {}
    for row in rows:
        paths.setdefault(row.run_id, []).append(row)
    way = [None, *(f"nap-{number}" for number in range(naps)), GATE, "text"]
    lost = [str(run) for run, path in paths.items() if [row.from_step for row in path] != way]
    ring.count("runs", len(paths))
    ring.count("waits", len(paths) * naps)
    seen = f"{len(paths)} runs of {people} people, {len(lost)} amiss {lost[:3]}"
    ring.check("each run takes each step once, to its end", ended and len(paths) == people and not lost, seen)
    early = [str(run) for run, path in paths.items() if _too_early(path)]
    ring.check("no wait is shorter than it is", not early, f"{len(early)} of {len(paths)} runs {early[:3]}")
    copies = ring.site.sink.copies()
    amiss = [id for id in sent if copies[id] != 1]
    seen = f"{len(sent)} sends, {len(amiss)} amiss {amiss[:3]}"
    ring.check("what stands behind the waits is done once", len(sent) == people and not amiss, seen)


def _too_early(path: Sequence[Any]) -> bool:
    came = {row.to_step: row.at for row in path}
    return any(row.why_kind == "waited" and row.at < came[row.from_step] + NAP for row in path)


def _of(journey: str) -> sa.ColumnElement[bool]:
    return sent_messages.c.journey_key == journey


LINE = Line("waits", "workers down for the whole of a wait, and new between two steps", run)
