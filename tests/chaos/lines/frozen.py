"""Worker and relay are frozen for longer than what they hold is theirs, and go on as if nothing had been.

On PostgreSQL others of their kind take over meanwhile.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tests.chaos.life import AT_ONCE, Life
from tests.chaos.pace import ATTEMPTS, CLAIM_LASTS
from tests.chaos.ring import Line, Ring
from tests.chaos.site import What
from wend.sink.faults import Fault
from wend.storage.tables import outbox, runs, sent_messages

SHORT = CLAIM_LASTS + timedelta(seconds=0.5)
"""Longer than claims on starts and leases on parcels last."""

LONG = ATTEMPTS["brisk"].end + timedelta(seconds=0.5)
"""Longer than an attempt at a send."""

SLOW = timedelta(seconds=0.6)
"""How long the provider takes to answer: a freeze finds sends under way."""


def run(ring: Ring) -> None:
    people, rounds = ring.pick((8, 1), (12, ring.share(104) if ring.kind == "sqlite" else 104))
    frozen: tuple[What, ...] = ("worker",) if ring.kind == "sqlite" else ("worker", "relay")
    lengths = [LONG if number % 4 == 0 else SHORT for number in range(rounds)]
    ring.planned(f"{' and '.join(frozen)} frozen {rounds} times under the sends of {people} people each")
    keys = [ring.key(f"round-{number}") for number in range(rounds)]
    site = ring.site
    site.sms(ring.key("text"))
    site.sink.faults(Fault(kind="delay", channel="sms", times=None, delay=SLOW))
    stuck = []
    if site.pace != "brisk":
        site.restart("worker", Life(pace="brisk"))
    with nullcontext() if ring.kind == "sqlite" else site.one_more("worker", "relay", pace="brisk"):
        for number, (key, lasts) in enumerate(zip(keys, lengths, strict=True)):
            if not _freeze(ring, key, people, frozen, lasts):
                stuck.append(key)
            if number % 10 == 0:
                ring.say(f"{number + 1}/{rounds}")
    _judge(ring, keys, people, stuck)


def _freeze(ring: Ring, key: str, people: int, frozen: Sequence[What], lasts: timedelta) -> bool:
    """Take people in, freeze for so long what sends to them, wait until all are through; return whether they are."""
    site = ring.site
    site.people(key, people, crowd=key)
    site.segment(key, {"attribute": "crowd", "op": "eq", "value": key})
    text = {"type": "send_sms", "message": ring.key("text")}
    site.take_in(
        key, key, [{"id": "text", **text}, {"id": "nap", "type": "wait", "for": "PT1S"}, {"id": "more", **text}]
    )
    ring.until(lambda: _under_way(ring, key), timedelta(seconds=20), every=0.01)
    for what in frozen:
        site.freeze(what)
    until = time.monotonic() + lasts.total_seconds()
    ring.until(lambda: time.monotonic() > until, lasts * 2)
    for what in frozen:
        site.thaw(what)
    return ring.until(lambda: _all_over(ring, key, people), timedelta(seconds=150))


def _under_way(ring: Ring, key: str) -> int:
    query = sa.select(sa.func.count()).where(sent_messages.c.journey_key == key, sent_messages.c.state == "claimed")
    with ring.site.read() as connection:
        return int(connection.scalar(query) or 0)


def _all_over(ring: Ring, key: str, people: int) -> bool:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.ended_at.is_not(None))
    with ring.site.read() as connection:
        return connection.scalar(query) == people


def _judge(ring: Ring, keys: list[str], people: int, stuck: list[str]) -> None:
    with ring.site.read() as connection:
        entered = connection.execute(
            sa.select(runs.c.profile_id, runs.c.journey_key, runs.c.state).where(runs.c.journey_key.in_(keys))
        ).all()
        query = sa.select(sent_messages.c.id, sent_messages.c.state, sent_messages.c.reason)
        sent: list[Any] = list(connection.execute(query.where(sent_messages.c.journey_key.in_(keys))))
        waiting = connection.scalar(sa.select(sa.func.count()).where(outbox.c.done_at.is_(None)))
    copies = ring.site.sink.copies()
    ring.count("runs", len(entered))
    ring.count("sends", len(sent))
    completed = [row for row in entered if row.state == "completed"]
    everybody = len(completed) == len({(row.profile_id, row.journey_key) for row in entered}) == people * len(keys)
    seen = f"{len(completed)} of {people * len(keys)} through, {len(stuck)} rounds stuck"
    ring.check(
        "everybody enters once and comes through", everybody and not stuck and len(entered) == len(completed), seen
    )
    twice = [str(row.id) for row in sent if copies[str(row.id)] > 1]
    ring.check("nothing is sent twice", not twice, f"{len(sent)} sends, {len(twice)} twice {twice[:3]}")
    lost = [str(row.id) for row in sent if row.state == "accepted" and copies[str(row.id)] != 1]
    ring.check(
        "nothing is lost", len(sent) == 2 * people * len(keys) and not lost, f"{len(sent)} sends, {len(lost)} lost"
    )
    missing = [str(row.id) for row in sent if not copies[str(row.id)] and row.state not in ("uncertain", "refused")]
    uncertain = sum(row.state == "uncertain" for row in sent)
    ring.check("what is missing is listed", not missing, f"{uncertain} uncertain, {len(missing)} neither {missing[:3]}")
    most = AT_ONCE * len(keys)
    ring.check(
        "uncertain ones are at most freezes × sends under way", uncertain <= most, f"{uncertain} of at most {most}"
    )
    held = [str(row.id) for row in sent if row.state in ("claimed", "released")]
    ring.check("nothing is left claimed", not held, f"{len(held)} held {held[:3]}, {waiting} parcels wait")


LINE = Line("frozen", "worker and relay frozen for longer than their claims last", run)
