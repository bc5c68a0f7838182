"""``make bench``: prints a table of ratios and writes them as JSON.

python -m bench [--runs 200] [--members 100000] [--json reports/bench.json]
"""

import argparse
import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

from rich.console import Console
from rich.table import Table

from bench import entering
from bench.reference import measure_floor, measure_wend, steps
from tools.rig import LINK, installed
from wend.documents import parse_definition
from wend.journeys.definition import JourneyVersion
from wend.journeys.facts import ProfileView
from wend.journeys.simulation import Simulation
from wend.journeys.state import message_id

NAMESPACE = UUID(int=0)


def simulate(count: int) -> float:
    """Return simulated runs of the reference journey per second on one core, every one clicking."""
    start_at = datetime(2026, 12, 1, 8, tzinfo=UTC)
    document = {"key": "bench", "name": "Bench", "steps": steps(timedelta(days=9))}
    version = JourneyVersion(parse_definition(document))
    simulation = Simulation(start_at)
    began = time.perf_counter()
    for number in range(count):
        person, run = uuid5(NAMESPACE, f"p{number}"), uuid5(NAMESPACE, f"r{number}")
        simulation.profiles[person] = ProfileView(person, {}, {"email": "a@example.com", "phone": "+12025550100"})
        simulation.start(version, person, run)
        clicked = message_id(run, "announce", 1)

        def click(person: UUID = person, clicked: UUID = clicked) -> None:
            simulation.record(person, "click", message_id=clicked, link=LINK)

        simulation.at(start_at + timedelta(minutes=10), click)
    simulation.run()
    assert all(run.finish is not None for run in simulation.runs)
    return count / (time.perf_counter() - began)


async def measure(count: int) -> dict[str, float]:
    """Return the figures; both sides take turns on one server and one database."""
    pause = timedelta(seconds=1)
    async with installed() as rig:
        floor = [await measure_floor(rig.database, rig.client, "floor-a", count, pause)]
        wend = [await measure_wend(rig, "wend-a", count, pause)]
        floor.append(await measure_floor(rig.database, rig.client, "floor-b", count, pause))
    best = max(each.runs_per_second for each in floor)
    return {
        "history events, floor": floor[0].events,
        "history events, wend": wend[0].events,
        "history events, ratio": wend[0].events / floor[0].events,
        "runs/s, floor": best,
        "runs/s, wend": wend[0].runs_per_second,
        "runs/s, ratio": wend[0].runs_per_second / best,
        "process CPU per run (ms), floor": floor[1].cpu_ms,
        "process CPU per run (ms), wend": wend[0].cpu_ms,
        "process CPU per run, ratio": wend[0].cpu_ms / floor[1].cpu_ms,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--json", type=Path, default=Path("reports/bench.json"))
    options = parser.parse_args()
    figures = asyncio.run(measure(options.runs))
    figures["simulated runs/s"] = simulate(5000)
    figures |= entering.measure(options.members)
    table = Table("what", "measured")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.2f}")
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
