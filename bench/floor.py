"""The floor: the reference journey written by hand as one small Temporal program, and nothing more.

The same sends and waits, search attributes, summaries and input sizes, and a ledger row per send with the same
indexes. It is what Wend's generality is measured against.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from wend.storage.database import Database
    from wend.storage.tables import sent_messages


@dataclass(frozen=True)
class FloorInput:
    """One person's passage."""

    run_id: UUID
    profile_id: UUID
    within: timedelta
    pause: timedelta


@dataclass(frozen=True)
class FloorSend:
    """One message to send."""

    run_id: UUID
    profile_id: UUID
    step: str
    channel: str


@workflow.defn(name="FloorRun")
class FloorRun:
    """E-mail, wait for a click, wait for launch day, text."""

    def __init__(self) -> None:
        self._clicked = False

    @workflow.run
    async def run(self, start: FloorInput) -> str:
        workflow.set_current_details("announce")
        await self._send(start, "announce", "email")
        try:
            await workflow.wait_condition(
                lambda: self._clicked, timeout=start.within, timeout_summary="waits for a click on product-details"
            )
        except TimeoutError:
            return "timed out"
        workflow.set_current_details("launch-day")
        await workflow.sleep(start.pause, summary="waits for launch day")
        await self._send(start, "launched", "sms")
        return "completed"

    @workflow.signal(name="record_click")
    def record_click(self, event_id: str) -> None:
        """Take note of a click."""
        self._clicked = True

    async def _send(self, start: FloorInput, step: str, channel: str) -> None:
        await workflow.execute_activity(
            "floor_send",
            FloorSend(start.run_id, start.profile_id, step, channel),
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1)),
            summary=f"{channel} {step}",
        )


class FloorActivities:
    """Writes a ledger row before and after a send that costs nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="floor_send")
    def floor_send(self, send: FloorSend) -> str:
        """Claim, send, settle."""
        message_id = uuid5(send.run_id, f"{send.step}/1")
        now = activity.info().started_time
        row: dict[str, Any] = {
            "id": message_id,
            "run_id": send.run_id,
            "step": send.step,
            "visit": 1,
            "journey_key": "floor",
            "version": 1,
            "profile_id": send.profile_id,
            "message_key": send.step,
            "message_version": 1,
            "channel": send.channel,
            "address": "floor@example.com",
            "state": "claimed",
            "claim": message_id,
            "tries": 1,
            "claimed_at": now,
        }
        with self._database.write() as connection:
            connection.execute(sa.insert(sent_messages).values(**row))
        with self._database.write() as connection:
            connection.execute(
                sa.update(sent_messages)
                .where(sent_messages.c.id == message_id)
                .values(state="accepted", settled_at=now, reference=str(message_id))
            )
        return str(message_id)
