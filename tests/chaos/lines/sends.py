"""A worker is killed at every point of a send."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from tests.chaos.evidence import give_up_the_dead, read_entered, take_in_under_fire
from tests.chaos.faultlog import Befallen
from tests.chaos.life import AT_ONCE
from tests.chaos.probes import SEND_POINTS
from tests.chaos.ring import Line, Ring
from tests.chaos.site import Life, Strike
from wend.storage.tables import runs, sent_messages

STEPS: Sequence[Mapping[str, Any]] = (
    {"id": "mail", "type": "send_email", "message": "sends-mail"},
    {"id": "text", "type": "send_sms", "message": "sends-text"},
    {"id": "mail-surely", "type": "send_email", "message": "sends-mail", "delivery": "at_least_once"},
    {"id": "text-surely", "type": "send_sms", "message": "sends-text", "delivery": "at_least_once"},
)
SURE = frozenset({"mail-surely", "text-surely"})
"""Steps that are sent at least once; the others at most once."""

SENDS = 10_000
"""Sends of the long form, on all databases together."""

STRUCK_AT_EACH = 104
"""How often the long form strikes at each point, on all databases together."""

MOST_ARRIVALS = 10
"""The latest arrival that a strike is planned for."""

LEFT_UNCERTAIN = frozenset({"send.after_claim", "send.during_call", "send.after_accept", "send.before_settle"})
"""Where death leaves a send of which nobody knows whether the provider has it."""


@dataclass(frozen=True)
class Send:
    """A row of the ledger."""

    id: str
    run_id: str
    step: str
    state: str


def run(ring: Ring) -> None:
    """Send without a fault, then with one death after another, and compare ledger and sink."""
    site = ring.site
    strikes = plan(ring)
    site.email("sends-mail")
    site.sms("sends-text")
    _control(ring)
    key = ring.key("struck")
    count = ring.pick(12, ring.share(SENDS) // len(STEPS))
    ring.say("control done")
    seen, since = site.faults.length(), site.sink.last()
    site.people(key, count, **{key: True})
    site.segment(key, {"attribute": key, "op": "exists"})
    site.restart("worker", _life(ring, strikes[0]))
    take_in_under_fire(site, key, key, STEPS)
    struck = _strike_all(ring, strikes, key)
    site.restart("worker", wait=False)
    ring.say("strikes made")
    left = _all_ended(ring, key, count)
    befallen = [each for each in site.faults.entries(seen) if each.fault in SEND_POINTS]
    ring.check("every strike of the plan was made", struck == len(strikes), f"{struck} of {len(strikes)}")
    ring.check("every run went on to its end", left, f"{_ended(ring, key)} of {count} have ended")
    _compare(ring, key, count, site.sink.copies(since), befallen)


def plan(ring: Ring) -> list[Strike]:
    """Return the strikes, one for each life of the worker."""
    each = ring.pick(1, ring.share(STRUCK_AT_EACH))
    points = [point for point in SEND_POINTS for _ in range(each)]
    ring.random.shuffle(points)
    most = ring.pick(3, MOST_ARRIVALS)
    strikes = [Strike(point, ring.random.randint(1, most)) for point in points]
    for strike in strikes:
        ring.planned(str(strike))
    return strikes


def _life(ring: Ring, strike: Strike) -> Life:
    return Life(strike=strike, activities=_at_once(ring))


def _at_once(ring: Ring) -> int:
    """Return how many sends are in flight at most: few where there are few, or none would be left for the next life."""
    return ring.pick(3, AT_ONCE)


def _control(ring: Ring) -> None:
    """Without a fault nothing is uncertain, and everything is sent once."""
    key, count = ring.key("control"), ring.pick(3, 100)
    since = ring.site.sink.last()
    ring.site.people(key, count, **{key: True})
    ring.site.segment(key, {"attribute": key, "op": "exists"})
    ring.site.take_in(key, key, STEPS)
    ended = ring.until(lambda: _ended(ring, key) == count, timedelta(seconds=120))
    states = Counter(send.state for send in _ledger(ring, key))
    copies = Counter(ring.site.sink.copies(since).values())
    sent = {1: count * len(STEPS)}
    held = ended and states == {"accepted": count * len(STEPS)} and copies == sent
    ring.check("without a fault, no send is uncertain and each is sent once", held, f"{dict(states)}, copies {copies}")


def _strike_all(ring: Ring, strikes: Sequence[Strike], key: str) -> int:
    """Let one life of the worker follow another, each with its strike; returns how many were made."""
    for number, strike in enumerate(strikes):
        if number > 0:
            ring.site.start_again("worker", _life(ring, strike), wait=False)
        if not ring.site.died("worker", ring.pick(timedelta(seconds=120), timedelta(seconds=40))):
            ring.say(f"{strike} was not reached")
            return number
        _go_on(ring, key)
        if number % 25 == 24:
            ring.say(f"{number + 1} strikes")
    return len(strikes)


def _go_on(ring: Ring, key: str) -> None:
    """In the short form, do not wait until Temporal finds out that a worker is dead: few would be left to be struck."""
    if ring.quick:
        give_up_the_dead(ring.site, read_entered(ring.site, key).expected)


def _all_ended(ring: Ring, key: str, count: int) -> bool:
    def all_of_them() -> bool:
        if _ended(ring, key) == count:
            return True
        _go_on(ring, key)
        return False

    return ring.until(all_of_them, ring.pick(timedelta(seconds=150), timedelta(minutes=20)), ring.pick(0.3, 0.05))


def _ended(ring: Ring, key: str) -> int:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.ended_at.is_not(None))
    with ring.site.read() as connection:
        return connection.scalar(query) or 0


def _ledger(ring: Ring, key: str) -> list[Send]:
    columns = (sent_messages.c.id, sent_messages.c.run_id, sent_messages.c.step, sent_messages.c.state)
    with ring.site.read() as connection:
        rows = connection.execute(sa.select(*columns).where(sent_messages.c.journey_key == key)).all()
    return [Send(str(row.id), str(row.run_id), row.step, row.state) for row in rows]


def _compare(ring: Ring, key: str, people: int, copies: Counter[str], befallen: Sequence[Befallen]) -> None:
    sends = _ledger(ring, key)
    careful = [send for send in sends if send.step not in SURE]
    sure = [send for send in sends if send.step in SURE]
    uncertain = [send for send in sends if send.state == "uncertain"]
    for name, number in (("runs", people), ("sends", len(sends)), ("messages in the sink", copies.total())):
        ring.count(name, number)
    ring.count("uncertain", len(uncertain))
    expected = people * len(STEPS)
    said = f"{len(sends)} of {expected}"
    ring.check("one row in the ledger for each (run, step, visit)", len(sends) == expected, said)
    twice = [send.id for send in careful if copies[send.id] > 1]
    said = f"{len(twice)} of {len(careful)} came twice: {twice[:3]}"
    ring.check("at_most_once: never two in the sink", not twice, said)
    missing = [send for send in careful if not copies[send.id]]
    unlisted = [send for send in missing if send.state not in ("uncertain", "refused")]
    said = f"{len(missing)} missing, {len(unlisted)} of them not listed: {unlisted[:3]}"
    ring.check("at_most_once: every missing one is listed as uncertain or failed", not unlisted, said)
    never = [send for send in sure if not copies[send.id]]
    said = f"{len(never)} of {len(sure)} never came: {never[:3]}"
    ring.check("at_least_once: each in the sink", not never, said)
    unsettled = [send for send in sends if send.state not in ("accepted", "uncertain", "refused")]
    unsure = [send for send in sure if send.state != "accepted"]
    said = f"{len(unsettled)} unsettled, {len(unsure)} at_least_once not accepted: {(unsettled + unsure)[:3]}"
    ring.check("nothing is left claimed or released", not unsettled and not unsure, said)
    strangers = set(copies) - {send.id for send in sends}
    ring.check("nothing in the sink that the ledger does not know", not strangers, f"{len(strangers)}")
    _explain(ring, uncertain, sends, copies, befallen)


def _explain(
    ring: Ring, uncertain: Sequence[Send], sends: Sequence[Send], copies: Counter[str], befallen: Sequence[Befallen]
) -> None:
    """Every uncertain send was under way when a worker died; and the one that was struck is as its point says."""
    bound = len(befallen) * _at_once(ring)
    said = f"{len(uncertain)} uncertain, {len(befallen)} deaths × {_at_once(ring)} sends in flight"
    ring.check("uncertain ones are at most deaths × sends in flight", len(uncertain) <= bound, said)
    under_way = {run_id for each in befallen for run_id in each.detail["under_way"]}
    unexplained = [send for send in uncertain if send.run_id not in under_way]
    said = f"{len(unexplained)} unexplained: {unexplained[:3]}"
    ring.check("every uncertain one was under way when a worker died", not unexplained, said)
    by_id = {send.id: send for send in sends}
    wrong = []
    for each in befallen:
        send = by_id.get(each.detail.get("message", ""))
        if each.fault not in LEFT_UNCERTAIN or send is None or send.step in SURE:
            continue
        came = each.fault in ("send.after_accept", "send.before_settle")
        if send.state != "uncertain" or copies[send.id] != came:
            wrong.append(f"{each.fault}: {send.state}, {copies[send.id]} in the sink")
    said = f"{len(wrong)} otherwise: {wrong[:3]}"
    ring.check("the struck at_most_once send is uncertain, and in the sink where the provider took it", not wrong, said)


LINE = Line("sends", "A worker is killed at every point of a send", run, busy=True)
