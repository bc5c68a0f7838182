"""What the rows of one journey's entries and runs say, and what Temporal knows of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from temporalio.client import Client

from tests.chaos.site import Site
from wend.storage.tables import entries, exclusions, runs
from wend.temporal import run_workflow_id

A_PAGE_TAKES = timedelta(minutes=2)
"""At the most, from a server that has hardly any processor to itself."""

_RUNS_OF = "WendJourney = '{}' AND WorkflowType = 'JourneyRun'"


@dataclass(frozen=True)
class Entered:
    """Who has entered a journey.

    Attributes:
        runs: Runs of each profile, by its id.
        expected: The workflow ids that there should be.
        unmarked: Runs that are not known to have a workflow.
        excluded: Profiles that were excluded.
        entries: State and members of each entry.
    """

    runs: Counter[str]
    expected: frozenset[str]
    unmarked: int
    excluded: Counter[str]
    entries: tuple[tuple[str, int], ...]


def read_entered(site: Site, journey: str) -> Entered:
    """Return who has entered a journey, as the database has it."""
    with site.read() as connection:
        rows = connection.execute(
            sa.select(runs.c.profile_id, runs.c.entry_number, runs.c.started_at).where(runs.c.journey_key == journey)
        ).all()
        opened = connection.execute(
            sa.select(entries.c.state, entries.c.members).where(entries.c.journey_key == journey)
        ).all()
        theirs = sa.select(entries.c.id).where(entries.c.journey_key == journey)
        left_out = connection.scalars(sa.select(exclusions.c.profile_id).where(exclusions.c.entry_id.in_(theirs))).all()
    return Entered(
        Counter(str(row.profile_id) for row in rows),
        frozenset(run_workflow_id(journey, row.profile_id, row.entry_number) for row in rows),
        sum(row.started_at is None for row in rows),
        Counter(map(str, left_out)),
        tuple((row.state, row.members) for row in opened),
    )


def unfinished(site: Site, journeys: Sequence[str]) -> list[str]:
    """Return the journeys that do not have one entry alone, which is done."""
    query = sa.select(entries.c.journey_key, entries.c.state).where(entries.c.journey_key.in_(journeys))
    states: dict[str, list[str]] = {key: [] for key in journeys}
    with site.read() as connection:
        for key, state in connection.execute(query):
            states[key].append(state)
    return [key for key, seen in states.items() if seen != ["done"]]


def count_workflows(site: Site, journeys: Sequence[str]) -> int:
    """Return how many executions Temporal lists for the journeys' runs."""

    async def ask(client: Client) -> int:
        queries = [_RUNS_OF.format(journey) for journey in journeys]
        return sum([(await client.count_workflows(query, rpc_timeout=A_PAGE_TAKES)).count for query in queries])

    return site.temporal(ask)


def workflows(site: Site, journey: str) -> Counter[str]:
    """Return how many executions each workflow id of the journey's runs has, as Temporal has it."""

    async def ask(client: Client) -> Counter[str]:
        found = client.list_workflows(_RUNS_OF.format(journey), page_size=1000, rpc_timeout=A_PAGE_TAKES)
        return Counter([each.id async for each in found])

    return site.temporal(ask)
