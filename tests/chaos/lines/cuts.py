"""The wires from Wend to Temporal, its providers and its database are cut, while people enter, get mail and click."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tests.chaos.life import AT_ONCE
from tests.chaos.lines.clickers import Clickers, is_fair, passages, wrong_branches
from tests.chaos.ring import Line, Ring
from tests.chaos.site import Link
from wend.sink.faults import Fault
from wend.storage.tables import events, outbox, runs, sent_messages

CUT = 104
"""How often the long form cuts each wire, on all databases together."""

WITHIN = timedelta(seconds=8)
"""How long a click is waited for: a lost mail holds its run up for no longer."""

SLOW = timedelta(milliseconds=150)
"""How long the provider takes: a cut finds sends under way."""


@dataclass(frozen=True)
class Cut:
    """One cut: which wire, for how long, and how long until the next one."""

    link: Link
    lasts: float
    pause: float

    def __str__(self) -> str:
        return f"{self.link} for {self.lasts} s, then {self.pause} s whole"


def run(ring: Ring) -> None:
    """Cut one wire after another under people who enter at a rate, and compare."""
    cuts = plan(ring)
    site, key = ring.site, ring.key("cut")
    people = ring.pick(12, 8 * len(cuts) // 3)
    site.email(ring.key("mail"))
    site.sms(ring.key("text"))
    site.people(key, people, **{key: True})
    site.segment(key, {"attribute": key, "op": "exists"})
    site.sink.faults(Fault(kind="delay", channel="sms", times=None, delay=SLOW))
    site.rewire(*_links(ring), pace="brisk")  # an answer of Temporal's that a cut swallows is waited out
    since = site.sink.last()
    with Clickers(site) as clickers:
        site.take_in(key, key, _steps(ring), rate=f"{ring.pick(4, 2)}/s")
        all_clicked = threading.Event()
        clicking = threading.Thread(target=_click_all, args=(ring, clickers, since, all_clicked))
        clicking.start()
        try:
            ring.until(lambda: site.sink.copies(since), timedelta(seconds=120))
            for number, cut in enumerate(cuts):
                _cut(ring, cut)
                if number % 25 == 24:
                    ring.say(f"{number + 1} cuts")
            over = ring.until(
                lambda: _over(ring, key) == people, ring.pick(timedelta(seconds=150), timedelta(minutes=8))
            )
        finally:
            all_clicked.set()
            clicking.join()
        clickers.finish()
        _judge(ring, key, people, over, since, clickers)


def plan(ring: Ring) -> list[Cut]:
    """Return the cuts, no wire twice in a row where that can be."""
    times = {"temporal": ring.share(CUT), "provider": ring.share(CUT), "database": CUT}
    links = [link for link in _links(ring) for _ in range(ring.pick(1, times[link]))]
    ring.random.shuffle(links)
    cuts = [
        Cut(link, round(ring.random.uniform(0.2, 1.0), 2), round(ring.random.uniform(0.3, 0.9), 2)) for link in links
    ]
    for cut in cuts:
        ring.planned(str(cut))
    return cuts


def _links(ring: Ring) -> tuple[Link, ...]:
    # An SQLite file has no wire.
    return ("temporal", "provider") if ring.kind == "sqlite" else ("temporal", "provider", "database")


def _steps(ring: Ring) -> list[dict[str, Any]]:
    return [
        {"id": "mail", "type": "send_email", "message": ring.key("mail")},
        {
            "id": "look",
            "type": "wait_for_click",
            "sent_by": "mail",
            "link": "details",
            "within": f"PT{WITHIN.seconds}S",
            "on_click": "text",
            "on_timeout": "exit",
        },
        {"id": "text", "type": "send_sms", "message": ring.key("text")},
    ]


def _cut(ring: Ring, cut: Cut) -> None:
    for do, lasts in ((ring.site.cut, cut.lasts), (ring.site.mend, cut.pause)):
        do(cut.link)
        until = time.monotonic() + lasts
        ring.until(lambda until=until: time.monotonic() > until, timedelta(seconds=5), every=0.02)  # type: ignore[misc]


def _click_all(ring: Ring, clickers: Clickers, since: int, enough: threading.Event) -> None:
    """Have somebody click in each mail, as soon as it is there."""
    while not enough.wait(0.1):
        for mail in ring.site.sink.messages("email", since):
            clickers.click(UUID(mail.message_id))
            since = mail.id


def _over(ring: Ring, key: str) -> int:
    query = sa.select(sa.func.count()).where(runs.c.journey_key == key, runs.c.ended_at.is_not(None))
    with ring.site.read() as connection:
        return connection.scalar(query) or 0


def _judge(ring: Ring, key: str, people: int, over: bool, since: int, clickers: Clickers) -> None:
    with ring.site.read() as connection:
        entered = connection.execute(sa.select(runs.c.profile_id, runs.c.state).where(runs.c.journey_key == key)).all()
        sends = connection.execute(sa.select(sent_messages).where(sent_messages.c.journey_key == key)).all()
        theirs = sa.select(runs.c.id).where(runs.c.journey_key == key)
        stored = Counter(connection.scalars(sa.select(events.c.message_id).where(events.c.run_id.in_(theirs))))
        untold = connection.scalar(sa.select(sa.func.count()).where(outbox.c.done_at.is_(None)))
    copies = ring.site.sink.copies(since)
    for name, number in (("runs", len(entered)), ("sends", len(sends)), ("clicks", stored.total())):
        ring.count(name, number)
    states = Counter(row.state for row in entered)
    once = over and len({row.profile_id for row in entered}) == len(entered) == states["completed"] == people
    ring.check("everybody enters once and comes to an end", once, f"{dict(states)} of {people}")
    twice = [str(row.id) for row in sends if copies[str(row.id)] > 1]
    ring.check("nothing is sent twice", not twice, f"{len(sends)} sends, {len(twice)} twice {twice[:3]}")
    lost = [str(row.id) for row in sends if row.state == "accepted" and not copies[str(row.id)]]
    ring.check("what counts as accepted has come", not lost, f"{len(lost)} have not {lost[:3]}")
    missing = [str(row.id) for row in sends if not copies[str(row.id)] and row.state not in ("uncertain", "refused")]
    uncertain = [row for row in sends if row.state == "uncertain"]
    ring.check("what is missing is listed", not missing, f"{len(uncertain)} uncertain, {len(missing)} neither")
    # An attempt that finds no database for as long as it lasts leaves its send uncertain, too.
    ring.count("attempts lost", sum(row.reason == "attempt_lost" for row in uncertain))
    most = AT_ONCE * len(ring.plan)  # a line of the plan for each cut
    seen = f"{len(uncertain)} of at most {most}"
    ring.check("uncertain ones are at most cuts × sends in flight", len(uncertain) <= most, seen)
    _judge_clicks(ring, key, clickers, stored)
    ring.check("nothing waits to be told", not untold, f"{untold} parcels")


def _judge_clicks(ring: Ring, key: str, clickers: Clickers, stored: Counter[Any]) -> None:
    answered, tried = clickers.answered(), clickers.tried()
    lost = [str(id) for id, count in answered.items() if stored[id] < count]
    ring.check("every click answered 302 is stored", not lost, f"{answered.total()} answered, {len(lost)} missing")
    made_up = [str(id) for id, count in stored.items() if count > tried[id]]
    ring.check("no click is stored that nobody made", not made_up, f"{len(made_up)} {made_up[:3]}")
    answers = clickers.answers()
    unfair = {answer: count for answer, count in answers.items() if not is_fair(answer.split(";")[0])}
    ring.check("a degraded answer is a 503 with problem+json, or nobody is there", not unfair, f"{dict(answers)}")
    passed = [each for each in passages(ring.site, key) if each.came_at is not None]
    wrong = wrong_branches(passed, WITHIN)
    ways = Counter(why for each in passed for _, why, _, _ in each.left)
    # Whoever had no mail, surely, leaves the wait at once; nobody here is refused for good.
    ring.check(
        "the branch is the one that the clicks' stamps say", not wrong, f"{dict(ways)}, {len(wrong)} {wrong[:3]}"
    )
    eaten = Counter(click for each in passed for _, _, click, _ in each.left if click is not None)
    again = [str(click) for click, count in eaten.items() if count > 1]
    ring.check("each click is consumed once", not again, f"{eaten.total()} consumed, {len(again)} twice")
    disordered = [str(each.run_id) for each in passed if not all(a[0] <= b[0] for a, b in pairwise(each.left))]
    ring.check("moves follow one another", not disordered, f"{len(disordered)}")


LINE = Line("cuts", "the wires to Temporal, the providers and the database are cut", run, busy=True)
