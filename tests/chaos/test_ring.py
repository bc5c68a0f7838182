"""The ring's short form: every line on both databases, and every broken build seen."""

import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast, get_args

import pytest

from tests.chaos.broken import FAILING
from tests.chaos.driving import drive
from tests.chaos.life import Broken
from tests.chaos.lines import NAMES, fanout, load, sends
from tests.chaos.probes import FANOUT_POINTS, SEND_POINTS
from tests.chaos.report import LineReport
from tests.chaos.ring import Ring
from tests.chaos.site import Kind, Site

SEED = 1
PATIENCE_SECONDS = 400

SEEN_BY: dict[Broken, str] = {
    "claim-removed": "sends",
    "cursor-not-saved": "fanout",
    "outbox-not-written": "duplicates",
}
"""The quickest line that has to fail on each broken build; ``python -m tests.chaos --proof`` runs all lines on each."""

SEEN_AS: dict[Broken, str] = {
    "claim-removed": "at_most_once: never two in the sink",
    "cursor-not-saved": "exactly one workflow per run (large)",
    "outbox-not-written": "each start through the API has its one workflow",
}
"""The check that has to fail in that line."""


def _driven(site: Site, name: str) -> LineReport:
    return drive(site, load(name), SEED, quick=True, deadline=time.monotonic() + PATIENCE_SECONDS)


@pytest.mark.parametrize("name", [name for name in NAMES if load(name).quick])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_nothing_is_lost_and_nothing_is_done_twice(site_on: Callable[[Kind], Site], name: str, kind: Kind) -> None:
    report = _driven(site_on(kind), name)
    failed = [f"{check.name}: {check.seen}" for check in report.checks if not check.held]
    assert report.held, (report.error, failed)
    assert report.faults


@pytest.mark.parametrize("broken", get_args(Broken))
def test_a_broken_build_is_seen(site_of_broken_builds: Site, broken: Broken) -> None:
    site_of_broken_builds.broken = broken
    report = _driven(site_of_broken_builds, SEEN_BY[broken])
    assert SEEN_BY[broken] in FAILING[broken]
    assert report.error is None
    assert SEEN_AS[broken] in {check.name for check in report.checks if not check.held}


def _planning(name: str, kind: Kind, seed: int) -> Ring:
    """Return a ring of the long form that only plans: its installation is not there."""
    nowhere = cast("Site", SimpleNamespace(kind=kind))
    return Ring(name, nowhere, seed, quick=False, deadline=0, databases=len(get_args(Kind)))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_plan_follows_from_the_seed_alone(kind: Kind) -> None:
    def plan(seed: int) -> list[str]:
        made = [_planning(name, kind, seed) for name in ("sends", "fanout")]
        sends.plan(made[0])
        fanout.plan(made[1])
        return [*made[0].plan, *made[1].plan]

    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


def test_the_long_form_strikes_a_hundred_times_at_each_point() -> None:
    counted: Counter[str] = Counter()
    for kind in get_args(Kind):
        ring = _planning("any", kind, SEED)
        counted.update(strike.point for strike in sends.plan(ring))
        counted.update(strike.point for strike in fanout.plan(ring).small)
    assert set(counted) == {*SEND_POINTS, *FANOUT_POINTS}
    assert min(counted.values()) >= 100
