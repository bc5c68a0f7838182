"""``python -m tests.chaos``: runs the ring, prints how it goes, writes ``reports/chaos.json`` and ``reports/chaos.md``.

Each database has two drivers of its own, and all run at once; within one, line follows line.
"""

import argparse
import itertools
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import structlog

from tests.chaos.broken import FAILING
from tests.chaos.driving import drive_all, forking, installed
from tests.chaos.life import Broken
from tests.chaos.lines import NAMES, load
from tests.chaos.report import LineReport, Report
from tests.chaos.ring import Line
from tests.chaos.site import Kind
from wend import childexec

TIME_LIMIT = {True: timedelta(minutes=10), False: timedelta(hours=4)}
"""The ring stops by itself; quick or not."""

INTERRUPTED = 130
ENDS_WITHIN = timedelta(seconds=30)
"""Of an interruption, whatever is under way."""


def main(arguments: Sequence[str]) -> int:
    """Run it; returns 0 where every line came out as it was to."""
    asked = _parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)  # everything is ended as on Ctrl-C
    # What lines run in the driver itself fails as it is to; that is no news.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        report = _drive_both(asked) if asked.database == "both" else _drive_one(asked)
    except KeyboardInterrupt:
        _tell(asked, "interrupted; everything was ended")
        return INTERRUPTED
    if not asked.part:
        _tell(asked, f"{'Good' if report.good else 'NOT good'}: {asked.report / 'chaos.md'}")
    return 0 if report.good else 1


def _drive_both(asked: argparse.Namespace) -> Report:
    """Have a process drive each database, and put their reports together."""
    options = [f"--seed={asked.seed}", "--part"]
    options += ["--quick"] * asked.quick + ["--proof"] * asked.proof
    options += [f"--broken={asked.broken}"] * bool(asked.broken)
    _tell(asked, f"seed {asked.seed}, {_form(asked)} form")
    with tempfile.TemporaryDirectory(prefix="wend-chaos-reports-") as directory:
        parts: list[Path] = []
        shim = [sys.executable, "-I", "-S", childexec.__file__, str(os.getpid()), "-1", "-1"]
        drivers = []
        try:
            for kind, lane in itertools.product(get_args(Kind), _lanes(asked)):
                part = Path(directory) / f"{kind}-{lane[0]}"
                own = [f"--database={kind}", f"--lines={','.join(lane)}", f"--report={part}"]
                own += [f"--keep={asked.keep / lane[0]}"] if asked.keep else []
                drivers.append(subprocess.Popen([*shim, sys.executable, "-m", "tests.chaos", *options, *own]))
                parts.append(part)
            for driver in drivers:
                driver.wait()
        except KeyboardInterrupt:
            for driver in drivers:
                with suppress(ProcessLookupError):
                    driver.terminate()
            for driver in drivers:
                driver.wait()
        written = [Report.read(part) for part in parts if (part / "chaos.json").exists()]
    report = Report(seed=asked.seed, form=_form(asked), lines=[line for each in written for line in each.lines])
    report.write(asked.report)  # of an interrupted one, what it has come to
    ended = [driver.returncode for driver in drivers]
    if INTERRUPTED in ended or len(written) != len(parts):
        _tell(asked, f"the drivers ended with {ended}")
        raise KeyboardInterrupt
    return report


def _lanes(asked: argparse.Namespace) -> list[list[str]]:
    """Return the lines that each of a database's installations is for: two go side by side.

    Lines of the short form mostly wait, all of them. In the long one, those that do go beside those that do not.
    """
    lines = _chosen(asked.lines, quick=asked.quick)
    if asked.quick:
        lanes = lines[::2], lines[1::2]
    else:
        lanes = [line for line in lines if line.busy], [line for line in lines if not line.busy]
    return [[line.key for line in lane] for lane in lanes if lane]


def _drive_one(asked: argparse.Namespace) -> Report:
    deadline = time.monotonic() + TIME_LIMIT[asked.quick].total_seconds()
    share = len(get_args(Kind)) if asked.part else 1
    found: list[LineReport] = []
    if not asked.part:
        _tell(asked, f"seed {asked.seed}, {_form(asked)} form")

    def drive(broken: Broken | None, quick: bool) -> None:
        chosen = [line for line in _chosen(asked.lines, quick=quick) if line.quick or not (broken and asked.proof)]
        keep = asked.keep / (broken or asked.database) if asked.keep else None
        with installed(asked.database, zygote, broken, keep, quick=quick) as site:
            for line in drive_all(
                site, chosen, asked.seed, quick=quick, deadline=deadline, databases=share,
                tell=lambda text: _tell(asked, text),
            ):  # fmt: skip
                found.append(line)
                Report(seed=asked.seed, form=_form(asked), lines=found).write(asked.report)

    with forking() as zygote:
        drive(asked.broken, asked.quick)
        for broken in FAILING if asked.proof and asked.database != "postgresql" else ():
            drive(broken, quick=True)
    return Report(seed=asked.seed, form=_form(asked), lines=found)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short form")
    parser.add_argument("--seed", type=int, help="the same seed makes the same plan; made up if it is not given")
    parser.add_argument("--database", choices=(*get_args(Kind), "both"), default="both")
    parser.add_argument("--lines", help="only these, with commas between: " + ", ".join(NAMES))
    parser.add_argument("--broken", choices=get_args(Broken), help="a build with a bug that the ring has to see")
    parser.add_argument("--proof", action="store_true", help="then every broken build, whose lines have to fail")
    parser.add_argument("--report", type=Path, default=Path("reports"), help="directory of the reports")
    parser.add_argument("--keep", type=Path, help="directory for logs and databases, kept")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)  # one of the drivers of both databases
    asked = parser.parse_args(arguments)
    if asked.seed is None:
        asked.seed = secrets.randbelow(10**6)
    return asked


def _chosen(named: str | None, *, quick: bool) -> list[Line]:
    names = named.split(",") if named else NAMES
    if unknown := set(names) - set(NAMES):
        sys.exit(f"There is no line {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    # Those that only the long form has can be asked for by name.
    return [line for line in map(load, names) if line.quick or named or not quick]


def _form(asked: argparse.Namespace) -> str:
    return "quick" if asked.quick else "long"


def _interrupt(*_: Any) -> None:
    # A worker in this process may wait for ever for a server that is gone; its children end with it.
    hanging = threading.Timer(ENDS_WITHIN.total_seconds(), os._exit, [INTERRUPTED])
    hanging.daemon = True
    hanging.start()
    raise KeyboardInterrupt


def _tell(asked: argparse.Namespace, text: str) -> None:
    whose = f"{asked.database:<11}" if asked.part else ""
    print(f"{time.strftime('%H:%M:%S')} {whose}{text}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
