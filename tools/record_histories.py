"""Records histories of every workflow type on a real server, for the replay gate.

Histories are added, never edited: an existing file is left alone unless ``--again`` names it.

    python -m tools.record_histories
"""

import argparse
import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from activities import fanout
from tools.rig import LINK, Rig, installed
from wend.channels.port import NotAccepted, Refused, Unknown
from wend.journeys.state import message_id
from wend.lifecycle.ending import stop
from wend.reconciling.asking import Options, ask
from wend.runs.reading import page_runs
from wend.sends.operating import ask_resend
from wend.wire import RECONCILE_ALL, SEGMENT_ENTRY, EntryFigures, EntryInput

HISTORIES = Path("tests/replay/histories")


def mail_and_wait(within: str = "PT20S") -> list[dict[str, Any]]:
    return [
        {"id": "announce", "type": "send_email", "message": "announcement"},
        {
            "id": "interested",
            "type": "wait_for_click",
            "sent_by": "announce",
            "link": LINK,
            "within": within,
            "on_click": "thanks",
            "on_timeout": "exit",
        },
        {"id": "thanks", "type": "send_sms", "message": "thanks"},
    ]


async def clicked(rig: Rig) -> WorkflowHandle[Any, Any]:
    """A click wakes a parked run, which sends and ends."""
    rig.publish("clicked", mail_and_wait())
    async with rig.worker():
        run_id, handle = await rig.start("clicked")
        await rig.until(run_id, lambda run: run.step == "interested")
        await rig.click(run_id)
        await handle.result()
    return handle


async def timed_out(rig: Rig) -> WorkflowHandle[Any, Any]:
    """Nobody clicks."""
    rig.publish("timed-out", mail_and_wait("PT0.5S"))
    async with rig.worker():
        _, handle = await rig.start("timed-out")
        await handle.result()
    return handle


async def click_then_timer(rig: Rig) -> WorkflowHandle[Any, Any]:
    """With no worker up, a click comes in and then the deadline passes: both in one workflow task."""
    return await _both(rig, "click-then-timer", click_first=True)


async def timer_then_click(rig: Rig) -> WorkflowHandle[Any, Any]:
    """With no worker up, the deadline passes and then a late click comes in: both in one workflow task."""
    return await _both(rig, "timer-then-click", click_first=False)


async def _both(rig: Rig, key: str, *, click_first: bool) -> WorkflowHandle[Any, Any]:
    rig.publish(key, mail_and_wait("PT2S"))
    async with rig.worker():
        run_id, handle = await rig.start(key)
        await _has(handle, EventType.EVENT_TYPE_TIMER_STARTED)
    if click_first:
        await rig.click(run_id)
    await _has(handle, EventType.EVENT_TYPE_TIMER_FIRED)
    if not click_first:
        await rig.click(run_id)  # late, and its bell rings all the same: the run has not decided yet
    async with rig.worker():
        await handle.result()
    return handle


async def refused(rig: Rig) -> WorkflowHandle[Any, Any]:
    """The provider refuses for good, and the run fails where everybody sees it."""
    rig.publish("refused", mail_and_wait())
    rig.email.script(Refused("recipient_refused"))
    async with rig.worker():
        run_id, handle = await rig.start("refused")
        await rig.until(run_id, lambda run: run.state == "failed")
        await _has(handle, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    return handle


async def stopped(rig: Rig) -> WorkflowHandle[Any, Any]:
    """The journey is stopped while the run waits."""
    rig.publish("stopped", [{"id": "pause", "type": "wait", "for": "P30D"}])
    async with rig.worker():
        run_id, handle = await rig.start("stopped")
        await rig.until(run_id, lambda run: run.step == "pause")
        with rig.database.write() as connection:
            stop(connection, "stopped", datetime.now(UTC))
        await rig.relay.deliver_all()
        await handle.result()
    return handle


async def resent(rig: Rig) -> WorkflowHandle[Any, Any]:
    """An uncertain message is sent again, on the second try."""
    rig.publish("resent", [*mail_and_wait()[:1], {"id": "pause", "type": "wait", "for": "P30D"}])
    rig.email.script(Unknown("timed_out"))
    async with rig.worker():
        run_id, _ = await rig.start("resent")
        await rig.until(run_id, lambda run: run.step == "pause")
        rig.email.script(NotAccepted("rate_limited", retry_after=timedelta(milliseconds=50)))
        id = message_id(run_id, "announce", 1)
        with rig.database.write() as connection:
            asked_at = ask_resend(connection, id, datetime.now(UTC))
        await rig.relay.deliver_all()
        handle = rig.client.get_workflow_handle(f"resend/{id}/{asked_at.isoformat()}")
        await handle.result()
    return handle


async def reconciled(rig: Rig) -> WorkflowHandle[Any, Any]:
    """A journey is compared with what Temporal has, and everything fits together."""
    rig.publish("reconciled", [{"id": "pause", "type": "wait", "for": "P30D"}])
    async with rig.worker():
        with rig.database.write() as connection:
            ask(connection, "reconciled", Options(), datetime.now(UTC))
        await rig.relay.deliver_all()
        handle = rig.client.get_workflow_handle("reconcile/reconciled")
        await handle.result()
    return handle


async def all_reconciled(rig: Rig) -> WorkflowHandle[Any, Any]:
    """Every journey that is not over is to be compared."""
    async with rig.worker():
        handle = await rig.client.start_workflow(RECONCILE_ALL, id="wend/reconcile", task_queue="wend")
        await handle.result()
    return handle


async def entry(rig: Rig) -> WorkflowHandle[Any, Any]:
    """A segment of three enters."""
    await _entered(rig, "entered")
    return await _entry_of(rig, "entered")


async def entry_held(rig: Rig) -> WorkflowHandle[Any, Any]:
    """A segment of three enters under a ceiling that lets one in every two seconds: three rounds, two pauses."""
    patience, fanout.PATIENCE = fanout.PATIENCE, timedelta(0)
    try:
        await _entered(rig, "held", {"per_hour": 1800, "spread": True})
    finally:
        fanout.PATIENCE = patience
    return await _entry_of(rig, "held")


async def entry_continued(rig: Rig) -> WorkflowHandle[Any, Any]:
    """A fan-out that has continued as new, with everybody started by then."""
    await _entered(rig, "entered")
    before = await (await _entry_of(rig, "entered")).result()
    opened = EntryFigures(UUID(before["entry_id"]), before["occurrence"], 3, 3, 0)
    async with rig.worker():
        handle = await rig.client.start_workflow(
            SEGMENT_ENTRY, EntryInput("entered", opened=opened), id="entry/entered/continued", task_queue="wend"
        )
        await handle.result()
    return handle


async def first_answer(rig: Rig) -> WorkflowHandle[Any, Any]:
    """A run of a fan-out: its first answer travels with its start."""
    await _entered(rig, "entered")
    with rig.database.read() as connection:
        run = page_runs(connection, journey="entered", limit=1)[0]
    return rig.client.get_workflow_handle(run.workflow_id)


async def _entered(rig: Rig, key: str, ceiling: dict[str, Any] | None = None) -> None:
    with rig.database.read() as connection:
        if page_runs(connection, journey=key):
            return
    entry = {"segment": "everybody", "schedule": {"start": {"after_publish": "PT1S"}}}
    rig.publish(key, mail_and_wait("PT0.5S"), entry | ({"ceiling": ceiling} if ceiling else {}))
    async with rig.worker():
        await rig.relay.deliver_all()
        while True:
            with rig.database.read() as connection:
                runs = page_runs(connection, journey=key)
            if runs and all(run.state == "completed" for run in runs):
                break
            await asyncio.sleep(0.1)
        await (await _entry_of(rig, key)).result()


async def _entry_of(rig: Rig, key: str) -> WorkflowHandle[Any, Any]:
    async for found in rig.client.list_workflows(f"WorkflowType = 'SegmentEntry' AND WendJourney = '{key}'"):
        return rig.client.get_workflow_handle(found.id)
    raise AssertionError("no segment entry was fired")


RECORDINGS: dict[str, Callable[[Rig], Awaitable[WorkflowHandle[Any, Any]]]] = {
    "journey_run_clicked": clicked,
    "journey_run_timed_out": timed_out,
    "journey_run_click_then_timer": click_then_timer,
    "journey_run_timer_then_click": timer_then_click,
    "journey_run_refused": refused,
    "journey_run_stopped": stopped,
    "journey_run_first_answer": first_answer,
    "message_resend": resent,
    "reconcile_all": all_reconciled,
    "reconciliation": reconciled,
    "segment_entry": entry,
    "segment_entry_held": entry_held,
    "segment_entry_continued": entry_continued,
}


async def _has(handle: WorkflowHandle[Any, Any], kind: "EventType.ValueType") -> None:
    while True:
        history = await handle.fetch_history()
        if any(event.event_type == kind for event in history.events):
            return
        await asyncio.sleep(0.05)


def _without_this_machine(text: str) -> str:
    """Return a recording without the paths and the name of the machine that it was made on."""
    text = re.sub(r'(File \\")[^"\\]*?/(?=(?:site-packages|workflows|activities)/)', r"\1", text)
    return re.sub(r'("identity": ")[^"]*(")', r"\1recorder\2", text)


async def main(again: set[str]) -> None:
    """Record what is missing."""
    HISTORIES.mkdir(parents=True, exist_ok=True)
    async with installed() as rig:
        for name, record in RECORDINGS.items():
            path = HISTORIES / f"{name}.json"
            if path.exists() and name not in again:
                continue
            handle = await asyncio.wait_for(record(rig), timeout=60)
            history = await handle.fetch_history()
            document = {"workflow_id": handle.id, **json.loads(history.to_json())}
            path.write_text(_without_this_machine(json.dumps(document, indent=1)) + "\n")
            print(f"{path}: {len(history.events)} events")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="append", default=[], help="record this one anew")
    asyncio.run(main(set(parser.parse_args().again)))
