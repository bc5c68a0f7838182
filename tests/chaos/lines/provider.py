"""A provider answers nothing but 503 for an hour, then is slow; one recipient in a hundred is refused for good."""

from temporalio.testing import WorkflowEnvironment

from tests.chaos.ring import Line, Ring
from tests.chaos.skipping import on_a_skipping_server, told
from tests.support.outage import TRIES_IN_OUTAGE, Outage, provider_outage
from wend.storage.database import Database

PEOPLE, RATE = 300, 20
"""In the long form."""


def run(ring: Ring) -> None:
    """Have people mailed through an hour's outage, and compare what came of it."""
    people, rate = ring.pick((30, 8), (PEOPLE, RATE))
    ring.planned(f"{people} people are mailed, {rate}/s; the provider is away for an hour of their workflows' time")

    async def away(database: Database, environment: WorkflowEnvironment) -> Outage:
        return await provider_outage(database, environment, people, rate, ring.seed)

    outage = on_a_skipping_server(ring.site, away)
    ring.site.faults.write("provider away for an hour")
    for name in ("people", "accepted", "refused", "tries", "texts"):
        ring.count(name, getattr(outage, name))
    said = told({"doubled": outage.doubled, "uncertain": outage.uncertain, "unended": outage.unended})
    held = (outage.doubled, outage.uncertain, outage.unended) == (0, 0, 0)
    ring.check("no duplicates, none uncertain, all runs end", held, said)
    held = outage.accepted + outage.refused == people and outage.tries >= people * (TRIES_IN_OUTAGE + 1)
    ring.check("everybody but the refused is mailed", held, f"{outage.accepted} of {people}, {outage.refused} refused")
    # The server lets about a second's worth through at once, and from then on so many per second.
    held = outage.ahead <= 3 * rate
    said = f"{outage.accepted} in {outage.drained_in.total_seconds():.1f} s at {rate}/s"
    ring.check("the backlog drains at the configured rate", held, said)
    said = f"{outage.texts} texts in {outage.texted_in.total_seconds():.1f} s, {outage.overtaken} mails still waiting"
    ring.check("other channels are unaffected", outage.overtaken > 0, said)
    held = outage.took_failure_path == outage.refused > 0
    ring.check("refused ones take on_failure", held, f"{outage.took_failure_path} of {outage.refused}")


LINE = Line(
    "provider", "A provider answers 503 for a skipped hour, then is slow; one in a hundred is refused", run, quick=False
)
