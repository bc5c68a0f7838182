"""The reference journey, click path, beside the hand-written floor: history events, and runs per second."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.floor import FloorActivities, FloorInput, FloorRun
from tools.lost_tasks import without_lost_tasks
from tools.rig import LINK, Rig
from wend.journeys.durations import format_duration
from wend.profiles import store as profile_store
from wend.profiles.model import ProfileUpsert
from wend.runs.reading import page_runs
from wend.storage.database import Database
from wend.storage.tables import entries, journeys, runs, sent_messages
from wend.temporal import run_attributes
from worker import CACHED_RUNS, STICKY_TIMEOUT, WORKFLOW_TASKS

WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Measured:
    """One side of the comparison; ``cpu_ms`` is this process's CPU time per run, the server's not counted."""

    runs_per_second: float
    cpu_ms: float
    events: int


def steps(pause: timedelta) -> list[dict[str, Any]]:
    """Return the reference journey's steps; launch day is so long after the click, so that everybody waits for it."""
    return [
        {"id": "announce", "type": "send_email", "message": "announcement"},
        {
            "id": "interested",
            "type": "wait_for_click",
            "sent_by": "announce",
            "link": LINK,
            "within": "PT1H",
            "on_click": "launch-day",
            "on_timeout": "exit",
        },
        {"id": "launch-day", "type": "wait", "for": format_duration(pause)},
        {"id": "launched", "type": "send_sms", "message": "thanks"},
    ]


async def measure_wend(rig: Rig, key: str, count: int, pause: timedelta) -> Measured:
    """Take ``count`` people through the journey, from a segment; every one clicks as soon as the mail is there."""
    with rig.database.write() as connection:
        people = [ProfileUpsert(external_id=f"{key}-{n}", identities=_addresses(n)) for n in range(count)]
        profile_store.upsert(connection, people, datetime.now(UTC))
    entry = {"segment": "everybody", "schedule": {"start": {"after_publish": "PT0S"}}}
    already = len(rig.email.sent)
    async with rig.worker():
        rig.publish(key, steps(pause), entry)
        relaying = asyncio.create_task(rig.relay.run(asyncio.Event()))
        clicked = already
        while True:
            if _count(rig.database, key):
                break
            await asyncio.sleep(0.01)
        began, cpu = time.monotonic(), time.process_time()  # the schedule has fired, and the verdicts are written
        while _count(rig.database, key, runs.c.ended_at.is_not(None)) < _count(rig.database, key):
            sent = rig.email.sent[clicked:]
            clicked += len(sent)
            for each in sent:
                await asyncio.to_thread(rig.events.record_click, each.message_id, 1, None)
            await asyncio.sleep(0.05)
        took, used = time.monotonic() - began, time.process_time() - cpu
        everybody = _count(rig.database, key)
        relaying.cancel()
        with rig.database.read() as connection:
            run = page_runs(connection, journey=key, limit=1)[0]
        await rig.client.get_workflow_handle(run.workflow_id).result()
    events = await _events(rig.client.get_workflow_handle(run.workflow_id))
    return Measured(everybody / took, 1000 * used / everybody, events)


async def measure_floor(
    database: Database, client: Client, key: str, count: int, pause: timedelta, *, patient: bool = False
) -> Measured:
    """Take ``count`` people through the floor's workflow; each is clicked for as soon as its mail is in the ledger.

    With ``patient`` that is only once the workflow waits for the click: whoever clicks before spares it a timer.
    """
    people = _prepare(database, key, count)
    gate = asyncio.Semaphore(16)

    async def start(run_id: UUID, profile_id: UUID) -> WorkflowHandle[Any, Any]:
        async with gate:
            return await client.start_workflow(
                FloorRun.run,
                FloorInput(run_id, profile_id, WITHIN, pause),
                id=f"floor/{run_id}",
                task_queue=key,
                search_attributes=run_attributes("floor", 1, profile_id, run_id),
                static_summary="Product launch announcement, version 1",
                static_details=f"Run `{run_id}` of profile `{profile_id}`",
            )

    async def click(handle: WorkflowHandle[Any, Any]) -> None:
        async with gate:
            await handle.signal(FloorRun.record_click, "click")

    began, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(16) as executor:
        async with Worker(
            client,
            task_queue=key,
            workflows=[FloorRun],
            activities=[FloorActivities(database).floor_send],
            activity_executor=executor,
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_workflow_tasks=WORKFLOW_TASKS,
            max_cached_workflows=CACHED_RUNS,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        ):
            starting = [asyncio.create_task(start(*person)) for person in people]
            by_run = {}
            waiting = {run_id for run_id, _ in people}
            for (run_id, _), task in zip(people, starting, strict=True):
                by_run[run_id] = await task
            while waiting:
                mailed = [run_id for run_id in _mailed(database) if run_id in waiting]
                if patient:
                    mailed = [run_id for run_id in mailed if await _waits(by_run[run_id])]
                await asyncio.gather(*(click(by_run[run_id]) for run_id in mailed))
                waiting.difference_update(mailed)
                await asyncio.sleep(0.05)
            await asyncio.gather(*(handle.result() for handle in by_run.values()))
            took, used = time.monotonic() - began, time.process_time() - cpu
    return Measured(count / took, 1000 * used / count, await _events(by_run[people[0][0]]))


def _addresses(number: int) -> dict[str, str | None]:
    return {"email": f"p{number}@example.com", "phone": f"+1202555{number % 10000:04d}"}


def _prepare(database: Database, key: str, count: int) -> list[tuple[UUID, UUID]]:
    """Put rows there that the floor's ledger may point to."""
    now = datetime.now(UTC)
    entry_id = uuid4()
    people = [(uuid4(), uuid4()) for _ in range(count)]
    with database.write() as connection:
        connection.execute(
            sa.insert(journeys).values(
                key=key, name=key, state="live", draft_revision=0, version=0, created_at=now, updated_at=now
            )
        )
        row = {"id": entry_id, "journey_key": key, "version": 1, "occurrence": "floor", "kind": "api", "state": "done"}
        connection.execute(sa.insert(entries).values(**row, due_at=now, opened_at=now, members=count))
        rows = [
            {
                "id": run_id,
                "journey_key": key,
                "version": 1,
                "entry_id": entry_id,
                "profile_id": profile_id,
                "entry_number": 1,
                "once": False,
                "properties": {},
                "state": "running",
                "sequence": 0,
                "moves": 0,
                "woken": False,
                "created_at": now,
            }
            for run_id, profile_id in people
        ]
        connection.execute(sa.insert(runs), rows)
    return people


def _mailed(database: Database) -> Sequence[UUID]:
    with database.read() as connection:
        query = sa.select(sent_messages.c.run_id).where(
            sent_messages.c.journey_key == "floor", sent_messages.c.channel == "email"
        )
        return connection.scalars(query.where(sent_messages.c.state == "accepted")).all()


def _count(database: Database, key: str, *conditions: sa.ColumnElement[bool]) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).where(runs.c.journey_key == key, *conditions)) or 0


async def _waits(handle: WorkflowHandle[Any, Any]) -> bool:
    history = await handle.fetch_history()
    return any(event.event_type == EventType.EVENT_TYPE_TIMER_STARTED for event in history.events)


async def _events(handle: WorkflowHandle[Any, Any]) -> int:
    history = await handle.fetch_history()
    assert history.events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
    return len(without_lost_tasks(history.events))
