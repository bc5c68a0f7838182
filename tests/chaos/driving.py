"""Drives lines over installations, one after another, and gathers what they found."""

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.broken import FAILING
from tests.chaos.life import Broken, Pace
from tests.chaos.report import LineReport, Verdict
from tests.chaos.ring import Line, Ring
from tests.chaos.site import Kind, Site
from tests.chaos.zygote import Zygote

Tell = Callable[[str], None]


@contextmanager
def forking() -> Iterator[Zygote]:
    """Yield a zygote; its children end with the block."""
    directory = Path(tempfile.mkdtemp(prefix="wend-chaos-zygote-"))
    zygote = Zygote(directory / "zygote.log")
    try:
        zygote.start()
        yield zygote
        zygote.stop()
    except BaseException:
        zygote.stop()
        raise
    finally:
        shutil.rmtree(directory)


@contextmanager
def installed(
    kind: Kind, zygote: Zygote, broken: Broken | None = None, keep: Path | None = None, *, quick: bool = True
) -> Iterator[Site]:
    """Yield an installation; it is gone after the block, but for its files where ``keep`` says where those go."""
    directory = keep or Path(tempfile.mkdtemp(prefix="wend-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    site = Site(kind, directory, zygote, broken, _pace(quick))
    try:
        site.start()
        try:
            yield site
        finally:
            site.close()
    finally:
        if keep is None:
            shutil.rmtree(directory)


def _pace(quick: bool) -> Pace:
    # What stands still for some seconds is of no account among thousands of sends, and the end of a short line.
    return "patient" if quick else "brisk"


def drive(
    site: Site, line: Line, seed: int, *, quick: bool, deadline: float, databases: int = 1, tell: Tell = lambda _: None
) -> LineReport:
    """Run one line; returns what it found, also where it broke off."""
    ring = Ring(line.key, site, seed, quick, deadline, databases, tell)
    began, seen = time.monotonic(), site.faults.length()
    error = None
    try:
        site.pace = _pace(quick)
        site.put_right()
        line.run(ring)
    except Exception as broke:  # noqa: BLE001 - the report tells it, and the ring's verdict
        error = f"{type(broke).__name__}: {broke}"
        tell(traceback.format_exc())
    return LineReport(
        line=line.key,
        what=line.what,
        database=site.kind,
        broken=site.broken,
        plan=ring.plan,
        faults=dict(site.faults.counts(seen)),
        compared=ring.compared,
        checks=[Verdict(name=check.name, held=check.held, seen=check.seen) for check in ring.checks],
        error=error,
        seconds=round(time.monotonic() - began, 1),
        expected=site.broken is None or line.key not in FAILING[site.broken],
    )


def drive_all(
    site: Site, lines: Sequence[Line], seed: int, *, quick: bool, deadline: float, databases: int, tell: Tell
) -> Iterator[LineReport]:
    """Run lines one after another on one installation."""
    for line in lines:
        tell(f"{line.key} on {site.kind}" + (f", {site.broken}" if site.broken else ""))
        report = drive(site, line, seed, quick=quick, deadline=deadline, databases=databases, tell=tell)
        word = "broke off" if report.error else "held" if report.held else "FAILED"
        tell(f"  {word} after {report.seconds:g} s: " + ", ".join(f"{n} × {f}" for f, n in report.faults.items()))
        yield report
