"""What the rows of one journey's entries and runs say, and what Temporal knows of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import sqlalchemy as sa
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from tests.chaos.site import Site
from wend.storage.tables import entries, exclusions, journey_versions, runs
from wend.temporal import run_workflow_id

A_PAGE_TAKES = timedelta(minutes=2)
"""At the most, from a server that has hardly any processor to itself."""

AT_ONCE = 16
"""Workflows that are asked for at the same time."""

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


def take_in_under_fire(site: Site, key: str, segment: str, steps: Sequence[Mapping[str, Any]], **entry: Any) -> None:
    """Publish a journey that takes a segment in at once, under a worker that is to die of it.

    On SQLite the API dies along, maybe before it has answered: it must have published by then.
    """
    try:
        site.take_in(key, segment, steps, **entry)
    except httpx2.TransportError:
        with site.read() as connection:
            published = sa.select(sa.func.count()).where(journey_versions.c.journey_key == key)
            if not connection.scalar(published):
                raise


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


def existing(site: Site, ids: Collection[str]) -> set[str]:
    """Return which of these workflows there are: asked one by one, so that nothing lags behind."""
    found: set[str] = set()

    async def look(client: Client, id: str) -> None:
        try:
            await client.get_workflow_handle(id).describe(rpc_timeout=A_PAGE_TAKES)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        else:
            found.add(id)

    _with_each(site, ids, look)
    return found


def give_up_the_dead(site: Site, ids: Collection[str]) -> None:
    """End the attempts in these workflows whose worker is dead, as Temporal would when their time is up."""
    alive = site.identities()

    async def end(client: Client, id: str) -> None:
        described = await client.get_workflow_handle(id).describe(rpc_timeout=A_PAGE_TAKES)
        for pending in described.raw_description.pending_activities:
            if pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
                continue
            if pending.last_worker_identity not in alive:
                handle = client.get_async_activity_handle(workflow_id=id, run_id=None, activity_id=pending.activity_id)
                await handle.fail(ApplicationError("Its worker is dead."))

    async def end_where_it_is(client: Client, id: str) -> None:
        with suppress(RPCError):  # a workflow that is not there yet, an attempt whose time has just come
            await end(client, id)

    _with_each(site, ids, end_where_it_is)


def _with_each(site: Site, ids: Collection[str], work: Callable[[Client, str], Awaitable[None]]) -> None:
    async def all_of_them(client: Client) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(id: str) -> None:
            async with places:
                await work(client, id)

        await asyncio.gather(*map(one, ids))

    site.temporal(all_of_them)
