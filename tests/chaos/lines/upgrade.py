"""Old databases with data in them are migrated while workers of the new code try to run."""

import asyncio

from tests.chaos.ring import Line, Ring
from tests.support.old_databases import OLD_DATABASES
from tests.support.upgrading import ENOUGH, Upgraded, upgrade_under_a_worker
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.temporal import connect


def run(ring: Ring) -> None:
    """Upgrade one database of each schema that there ever was, and compare what came of its runs."""
    for revision in OLD_DATABASES:
        ring.planned(f"schema {revision}")
        _upgrade(ring, revision)


def _upgrade(ring: Ring, revision: str) -> None:
    async def go(url: str) -> Upgraded:
        with DevServer(port=0, ui_port=None, dynamic_config=PROMPT_TIMERS) as server:
            return await upgrade_under_a_worker(url, await connect(server.address), revision)

    upgraded = asyncio.run(go(ring.site.empty_database()))
    ring.site.faults.write("migration under a worker")
    refusals = sum(upgraded.refusals.values())
    ring.count(f"runs ({revision})", len(upgraded.runs))
    ring.check(f"{revision}: no row is lost by the migration", upgraded.lost == 0, f"{upgraded.lost} are")
    said = f"{refusals} refusals: {list(upgraded.refusals)}"
    held = len(upgraded.refusals) == 1 and refusals >= ENOUGH
    ring.check(f"{revision}: a worker that does not fit the schema refuses to start, and says why", held, said)
    try:
        upgraded.check(revision)
        failed = ""
    except AssertionError as error:
        failed = str(error)
    said = failed or f"{len(upgraded.runs)} runs where they should be, {len(upgraded.uncertain)} sends uncertain"
    ring.check(f"{revision}: open runs go on, and nothing is sent twice", not failed, said)


LINE = Line("upgrade", "Old databases with data are migrated while workers of the new code start", run, quick=False)
