"""What providers tell of messages, fifty times over, shuffled and at once: the same as once and in order."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, get_args
from uuid import UUID

import httpx2
import sqlalchemy as sa

from tests.chaos.ring import Line, Ring
from tests.chaos.site import Life, Strike
from wend.sends.standing import KINDS, EventKind
from wend.sink.faults import Fault
from wend.storage.tables import moves, provider_events, runs, sent_messages

COPIES = 50

Sent = Literal["accepted", "lost", "refused"]
"""What the provider did when the message came: took it, dropped the connection, refused it for good."""

BEGAN = datetime(2026, 12, 1, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """One event of a script, told of two messages that fared alike."""

    number: int
    kind: EventKind
    occurred_at: datetime

    def of(self, message_id: UUID) -> dict[str, Any]:
        """Return the event as a provider sends it."""
        return {
            "id": f"{message_id}/{self.number}",
            "message_id": str(message_id),
            "kind": self.kind,
            "occurred_at": self.occurred_at.isoformat(),
        }


@dataclass(frozen=True)
class Script:
    """How one message fares, and what is told of it afterwards."""

    sent: Sent
    told: tuple[Told, ...]


def draw(random: Random, messages: int) -> list[Script]:
    """Draw what is told of so many messages: any kinds, some of them twice with other instants."""
    scripts = []
    for number in range(messages):
        kinds = random.choices(KINDS, k=random.randint(1, 5))
        instants = sorted(random.sample(range(10_000), len(kinds)))
        told = tuple(
            Told(place, kind, BEGAN + timedelta(seconds=at))
            for place, (kind, at) in enumerate(zip(kinds, instants, strict=True))
        )
        scripts.append(Script(get_args(Sent)[number % 3], told))
    return scripts


def run(ring: Ring) -> None:
    messages, kills = ring.pick((3, 1), (150, ring.share(140)))
    scripts = draw(ring.random, messages)
    for number, script in enumerate(scripts[:12]):
        ring.planned(f"{number}: {script.sent}, then {', '.join(each.kind for each in script.told)}")
    plain, stormy = ring.key("plain"), ring.key("stormy")
    once, often = (_send(ring, key, scripts) for key in (plain, stormy))
    before = _moved(ring, plain, stormy)
    for script, message_id in zip(scripts, once, strict=True):
        for each in script.told:
            ring.site.call("POST", "/v1/provider-events", each.of(message_id))
    storm = [each.of(id) for script, id in zip(scripts, often, strict=True) for each in script.told] * COPIES
    ring.random.shuffle(storm)
    degraded = _pour(ring, storm, kills)
    _judge(ring, scripts, once, often, degraded)
    after = _moved(ring, plain, stormy)
    ring.check("no run is moved", before == after, f"{len(before)} runs, {len(before.items() ^ after.items())} moved")


def _send(ring: Ring, key: str, scripts: Sequence[Script]) -> list[UUID]:
    """Have a message sent for each script, and return their ids in the order of the scripts."""
    site = ring.site
    site.email(key)
    people = site.people(key, len(scripts), crowd=key)
    site.segment(key, {"attribute": "crowd", "op": "eq", "value": key})
    for number, script in enumerate(scripts):
        if script.sent != "accepted":
            kind: Literal["lose", "refuse"] = "lose" if script.sent == "lost" else "refuse"
            site.sink.faults(Fault(kind=kind, channel="email", recipient=f"^{key}-{number}@"))
    mail = {"id": "mail", "type": "send_email", "message": key, "on_failure": "rest"}
    site.take_in(key, key, [mail, {"id": "rest", "type": "wait", "for": "P1D"}])
    query = sa.select(sent_messages.c.profile_id, sent_messages.c.id).where(
        sent_messages.c.journey_key == key, sent_messages.c.settled_at.is_not(None)
    )

    def settled() -> dict[UUID, UUID]:
        with site.read() as connection:
            return {row.profile_id: row.id for row in connection.execute(query)}

    if not ring.until(lambda: len(settled()) == len(scripts), timedelta(minutes=5)):
        raise AssertionError(f"{len(settled())} of {len(scripts)} messages of {key} are settled")
    found = settled()
    return [found[UUID(person)] for person in people]


def _pour(ring: Ring, storm: Sequence[Mapping[str, Any]], kills: int) -> dict[int, int]:
    """Tell everything from several hands at once, each batch until it is taken in, while the API is killed; return the
    degraded answers.
    """
    site, size = ring.site, max(1, len(storm) // (kills * 12))
    batches = [list(storm[start : start + size]) for start in range(0, len(storm), size)]
    degraded: dict[int, int] = {}

    def tell(batch: list[Mapping[str, Any]]) -> None:
        def taken() -> bool:
            with suppress(httpx2.TransportError):
                answer = site.http.post("/v1/provider-events", json=batch, timeout=40)
                if not answer.is_success:
                    degraded[answer.status_code] = degraded.get(answer.status_code, 0) + 1
                return answer.is_success
            return False

        if not ring.until(taken, timedelta(seconds=150), every=0.1):
            raise AssertionError("a batch of events is not taken in")

    share = -(-len(batches) // kills)
    for start in range(0, len(batches), share):
        site.restart("api", Life(strike=Strike("provider_events.before_commit", ring.random.randint(1, 4))))
        with ThreadPoolExecutor(6) as hands:
            told = [hands.submit(tell, batch) for batch in batches[start : start + share]]
            if site.died("api", ring.pick(timedelta(seconds=120), timedelta(seconds=20))):
                site.start_again("api")
            for each in told:
                each.result()
    return degraded


def _moved(ring: Ring, *journeys: str) -> dict[UUID, int]:
    """Return how many moves each run has made."""
    query = sa.select(moves.c.run_id, sa.func.count()).where(moves.c.journey_key.in_(journeys)).group_by(moves.c.run_id)
    with ring.site.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _judge(
    ring: Ring, scripts: Sequence[Script], once: Sequence[UUID], often: Sequence[UUID], degraded: Mapping[int, int]
) -> None:
    instants = [sent_messages.c[f"{kind}_at"] for kind in KINDS]
    query = sa.select(sent_messages.c.id, sent_messages.c.state, sent_messages.c.reason, *instants)
    with ring.site.read() as connection:
        ledger = {
            row.id: tuple(row)[1:] for row in connection.execute(query.where(sent_messages.c.id.in_([*once, *often])))
        }
        stored = connection.scalar(sa.select(sa.func.count()).where(provider_events.c.message_id.in_([*once, *often])))
        failed = connection.scalar(
            sa.select(sa.func.count()).where(
                runs.c.journey_key.in_((ring.key("plain"), ring.key("stormy"))), runs.c.state == "failed"
            )
        )
    wanted = 2 * sum(len(script.told) for script in scripts)
    ring.count("messages", len(once) + len(often))
    ring.count("events told", wanted // 2 * (COPIES + 1))
    differ = [
        f"{script}: {ledger[one]} and {ledger[other]}"
        for script, one, other in zip(scripts, once, often, strict=True)
        if ledger[one] != ledger[other]
    ]
    seen = f"{len(scripts)} pairs, {len(differ)} differ {differ[:1]}"
    ring.check("each event fifty times, shuffled: the same state as once, in order", not differ, seen)
    ring.check("each event is stored once", stored == wanted, f"{stored} of {wanted}")
    ring.check("degraded answers are 503", set(degraded) <= {503}, f"{degraded}")
    ring.check("nobody fails by it", failed == 0, f"{failed} runs failed")


LINE = Line("provider_events", "providers' events, each fifty times, shuffled, under a killed API", run, busy=True)
