"""How a Wend process lives in the ring: what it is, where its neighbours are, and what will befall it."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Part = Literal["wend", "api", "worker", "relay", "sink"]
Broken = Literal["claim-removed", "cursor-not-saved", "outbox-not-written"]
Pace = Literal["brisk", "patient"]
"""How long an attempt at a send may take: see ``tests.chaos.pace``."""

AT_ONCE = 8
"""Activities that a worker has under way at once, unless a line asks for another number."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Strike:
    """A process kills itself at an arrival at a probe.

    Attributes:
        point: The probe's name.
        arrival: Which of its arrivals since the process started, from 1.
    """

    point: str
    arrival: int = 1

    def __str__(self) -> str:
        return f"{self.point}#{self.arrival}"


class Life(_Model):
    """One life of a Wend process, from its start to its end.

    Attributes:
        strike: When it kills itself; ``None`` for never.
        clock: How far the host's clock is ahead of the others', as this process reads it.
        activities: Activities under way at once.
        batch: Runs that a fan-out claims at once; ``None`` for as many as the product does.
        broken: Which broken build it is; ``None`` takes the whole ring's.
        pace: Of its attempts at sends; ``None`` takes the whole ring's.
    """

    strike: Strike | None = None
    clock: timedelta = timedelta(0)
    activities: int = AT_ONCE
    batch: int | None = None
    broken: Broken | None = None
    pace: Pace | None = None


class Wiring(_Model):
    """Where everything is, as a Wend process is told it.

    Attributes:
        port: The API's.
        temporal: ``host:port``.
    """

    database_url: str
    port: int
    temporal: str
    smtp_port: int
    sink_port: int
    token_keys: str


class Order(_Model):
    """What the zygote is asked to fork.

    Attributes:
        log: Where the process writes what it has to say.
        faults: The log of faults.
        sink_file: Where the sink keeps its messages.
    """

    part: Part
    wiring: Wiring
    life: Life = Life()
    log: Path
    faults: Path
    sink_file: Path
