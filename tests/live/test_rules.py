"""The rules that make runs exact, on workflows that really wait on a real server."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner

import workflows.policies
from tests.support.eventually import assert_eventually
from tests.support.flaky import FlakyDatabase
from tests.support.histories import chain
from tests.support.world import AWAIT_CLICK, DAY, LINK, MAIL, TEXT, Serving, serving
from tools.lost_tasks import without_lost_tasks
from wend import wire
from wend.channels.port import NotAccepted, Refused
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.journeys.results import Park
from wend.launching import launch
from wend.runs.advancing import Advancer
from wend.runs.decide import Answer
from wend.runs.instructing import instruct
from wend.runs.starting import StartOrder
from wend.storage.database import Database
from wend.storage.tables import outbox, sent_messages
from wend.temporal import ENTRY, JOURNEY, PROFILE, VERSION, connect
from worker import Core

BOUGHT = {"id": "bought", "type": "wait_for_event", "event": "bought", "within": "P1D"}


@pytest_asyncio.fixture
async def trip(sqlite_database: Database, temporal_client: Client) -> AsyncIterator[Serving]:
    async with serving(sqlite_database, temporal_client, f"rules-{uuid4()}") as served:
        yield served


def claim_start(trip: Serving, run_id: UUID) -> StartOrder:
    """Claim a run as a fan-out does: its first answer travels with its start."""
    (order,) = trip.world.starter.claim(trip.world.row(run_id).entry_id, trip.world.time())
    return order


async def start_claimed(trip: Serving, run_id: UUID) -> None:
    order = claim_start(trip, run_id)
    await launch(trip.client, order, trip.core.task_queue)
    trip.world.starter.mark_started([run_id], trip.world.time())


async def parked(trip: Serving, run_id: UUID, sequence: int = 1) -> None:
    """Wait until the workflow holds this answer, and has been told to park."""

    async def holds() -> None:
        try:
            progress = await trip.handle(run_id).query(wire.PROGRESS, result_type=wire.Progress)
        except RPCError as error:
            raise AssertionError(f"nobody answers yet: {error}") from error
        assert progress.sequence >= sequence

    await assert_eventually(holds)
    assert trip.world.row(run_id).parked_until is not None


async def events_of(trip: Serving, run_id: UUID) -> list[int]:
    history = await trip.handle(run_id).fetch_history()
    return [event.event_type for event in without_lost_tasks(history.events)]


# -- 5: bells -----------------------------------------------------------------------------------------------------


PATIENCE = 60
"""Seconds."""


class Held:
    """Advances that stand still after their commit, until they are let go."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.committed = Event()
        self.go = Event()
        self.holding = False

    @contextmanager
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        advance = Advancer.advance

        def held(advancer: Advancer, run_id: UUID, sequence: int, now: Any) -> Answer:
            answer = advance(advancer, run_id, sequence, now)
            self.asked.append(answer.sequence)
            if self.holding:
                self.holding = False
                self.committed.set()
                assert self.go.wait(PATIENCE)
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(Advancer, "advance", held)
            yield


async def test_a_signal_during_the_last_advance_makes_it_run_again_and_the_run_ends_once(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its local activity has committed the end; the server refuses to complete a workflow with a signal unheard."""
    held = Held()
    trip.world.journey(BOUGHT)
    ada = trip.world.person("ada")
    with held.installed(monkeypatch):
        async with trip.working():
            run_id = await trip.start(ada)
            await parked(trip, run_id)
            held.holding = True
            trip.world.happen(ada, "bought")
            await trip.relay.deliver_all()
            assert await asyncio.to_thread(held.committed.wait, PATIENCE)
            assert trip.world.row(run_id).state == "completed"

            await trip.handle(run_id).signal(wire.WAKE, wire.WakeNotice("in the last moment"))
            held.go.set()
            path = await trip.ended(run_id)

    assert held.asked == [1, 2, 2]
    assert [move.why_kind for move in path.moves] == ["entered", "happened"]
    history = await trip.handle(run_id).fetch_history()
    causes = [
        event.workflow_task_failed_event_attributes.cause
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    assert causes == [WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND]


async def test_a_bell_that_rings_while_the_run_asks_makes_it_ask_again(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    trip.world.journey(BOUGHT | {"where": [{"attribute": "price", "op": "gt", "value": 10}]}, DAY)
    ada = trip.world.person("ada")
    with held.installed(monkeypatch):
        async with trip.working():
            run_id = await trip.start(ada)
            await parked(trip, run_id)
            held.holding = True
            trip.world.happen(ada, "bought", properties={"price": 1})
            await trip.relay.deliver_all()
            assert await asyncio.to_thread(held.committed.wait, PATIENCE)
            trip.world.happen(ada, "bought", properties={"price": 11})
            await trip.relay.deliver_all()
            held.go.set()
            await parked(trip, run_id, 2)

    assert trip.world.row(run_id).step == "day"


async def test_signals_that_come_before_any_worker_is_up_are_heard(trip: Serving) -> None:
    trip.world.journey(BOUGHT)
    ada = trip.world.person("ada")
    run_id = trip.world.request(ada)
    await start_claimed(trip, run_id)
    trip.world.happen(ada, "bought")
    await trip.relay.deliver_all()

    async with trip.working():
        path = await trip.ended(run_id)

    assert [move.why_kind for move in path.moves] == ["entered", "happened"]


async def test_a_click_while_the_send_is_under_way_wakes_nobody_and_is_seen(trip: Serving) -> None:
    trip.world.journey(MAIL, AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}, TEXT)
    clicked = asyncio.Event()

    async def click_at_once(email: Any) -> None:
        await asyncio.to_thread(trip.world.events.record_click, email.message_id, 1, None)
        clicked.set()

    trip.email._answer = click_at_once
    async with trip.working():
        run_id = await trip.start(trip.world.person("ada"))
        path = await trip.ended(run_id)

    assert [move.to_step for move in path.moves] == ["mail", "look", "text", "exit"]
    assert trip.world.rows(outbox, outbox.c.kind == "wake_run") == []
    assert len(trip.sms.sent) == 1


@pytest.fixture(scope="module")
def short_histories() -> Iterator[DevServer]:
    """A server that wants histories to be continued as new after a few events."""
    config = {**PROMPT_TIMERS, "limit.historyCount.suggestContinueAsNew": "25"}
    with DevServer(port=0, ui_port=None, dynamic_config=config) as server:
        yield server


async def test_continuing_as_new_in_place_of_a_park_loses_nothing(
    sqlite_database: Database, short_histories: DevServer
) -> None:
    """A loop that counts events: they come in bursts, so some land in the hand-over from one history to the next."""
    client = await connect(short_histories.address)
    async with serving(sqlite_database, client, "short") as trip:
        beat = {"id": "beat", "type": "wait_for_event", "event": "beat", "within": "P1D", "since": "entry"}
        enough = {"when": {"attribute": "enough", "op": "exists"}, "next": "exit"}
        trip.world.journey(beat, {"id": "again", "type": "if", "cases": [enough], "else": "beat"})
        ada = trip.world.person("ada")

        def counted() -> int:
            return sum(move.why_kind == "happened" for move in trip.world.path(run_id).moves)

        async with trip.working():
            run_id = await trip.start(ada)
            await parked(trip, run_id)
            for burst in range(8):
                for number in range(3):
                    await asyncio.to_thread(trip.world.happen, ada, "beat", f"{burst}/{number}")
                    await trip.relay.deliver_all()
                await trip.until(lambda burst=burst: counted() == 3 * burst + 3)  # type: ignore[misc]
            first = await trip.handle(run_id).describe()
            trip.world.person("ada", attributes={"enough": True})
            trip.world.happen(ada, "beat")
            await trip.relay.deliver_all()
            path = await trip.ended(run_id)
            progress = await trip.handle(run_id).query(wire.PROGRESS, result_type=wire.Progress)

        assert counted() == 25
        assert path.run.state == "completed"
        *continued, ended = [events[-1].event_type for events in await chain(client, trip.handle(run_id))]
        assert set(continued) == {EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW}
        assert len(continued) >= 2
        assert ended == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
        # What operators search by goes along, and the path that they see; the SDK has no way to hand a summary on.
        last = await trip.handle(run_id).describe()
        ours = {attribute.name for attribute in (JOURNEY, VERSION, PROFILE, ENTRY)}
        before, after = (
            {pair.key.name: pair.value for pair in each.typed_search_attributes if pair.key.name in ours}
            for each in (first, last)
        )
        assert before == after
        assert before.keys() == ours
        assert len(progress.path) == len(path.moves)


# -- 4: now -------------------------------------------------------------------------------------------------------


async def test_a_park_in_the_past_or_a_millisecond_ahead_does_not_spin(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    trip.world.journey(
        {"id": "blink", "type": "wait", "for": "PT0.001S"},
        {"id": "past", "type": "wait_until", "at": "2020-01-01T09:00"},
        {"id": "blink-again", "type": "wait", "for": "PT0.0004S"},
    )
    run_id = trip.world.request(trip.world.person("ada"))
    now = trip.world.time()
    monkeypatch.setattr(trip.world, "time", lambda: now - timedelta(hours=1))  # a claim of an hour ago, started now
    order = claim_start(trip, run_id)
    assert order.answer is not None
    assert isinstance(order.answer.plan, Park)
    with held.installed(monkeypatch):
        async with trip.working():
            await launch(trip.client, order, trip.core.task_queue)
            path = await trip.ended(run_id)

    assert [move.to_step for move in path.moves] == ["blink", "past", "blink-again", "exit"]
    assert len(held.asked) <= 4, held.asked
    assert len(await events_of(trip, run_id)) < 20


# -- 1: the row is the authority ----------------------------------------------------------------------------------


async def test_a_reset_run_gets_the_rows_answer_and_nothing_is_sent_twice(trip: Serving) -> None:
    trip.world.journey(MAIL, BOUGHT, TEXT)
    ada = trip.world.person("ada")
    run_id = trip.world.request(ada)
    async with trip.working():
        await start_claimed(trip, run_id)
        await parked(trip, run_id, 2)
        before = trip.world.row(run_id)
        history = await trip.handle(run_id).fetch_history()
        first_task = next(
            event.event_id
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        )
        reset = await trip.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=trip.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=trip.handle(run_id).id),
                reason="an operator tries it",
                workflow_task_finish_event_id=first_task,
                request_id=str(uuid4()),
            )
        )
        assert reset.run_id
        await parked(trip, run_id, 2)
        assert trip.world.row(run_id) == before

        trip.world.happen(ada, "bought")
        await trip.relay.deliver_all()
        path = await trip.ended(run_id)

    assert (len(trip.email.begun), len(trip.sms.begun)) == (1, 1)
    assert [move.to_step for move in path.moves] == ["mail", "bought", "text", "exit"]


async def test_a_second_workflow_for_the_same_run_sends_nothing_and_moves_nothing(trip: Serving) -> None:
    """Both hold the same first answer. Whichever is second finds the first at it, and takes the row's answer."""
    trip.world.journey(MAIL, {"id": "blink", "type": "wait", "for": "PT0.5S"}, TEXT)
    run_id = trip.world.request(trip.world.person("ada"))
    order = claim_start(trip, run_id)
    assert order.answer is not None
    async with trip.working():
        second = trip.client.start_workflow(
            wire.JOURNEY_RUN,
            wire.RunInput(run_id, instruct(order.answer)),
            id=f"second/{run_id}",
            task_queue=trip.core.task_queue,
            result_type=wire.RunEnd,
        )
        _, other = await asyncio.gather(launch(trip.client, order, trip.core.task_queue), second)
        path = await trip.ended(run_id)
        assert await other.result() == wire.RunEnd("completed")

    assert (len(trip.email.begun), len(trip.sms.begun)) == (1, 1)
    assert [move.to_step for move in path.moves] == ["mail", "blink", "text", "exit"]
    assert {message.state for message in path.messages} <= {"accepted"}


async def test_a_row_behind_its_workflow_fails_it_where_operators_see_it(trip: Serving) -> None:
    """A database restored from a backup older than Temporal's."""
    trip.world.journey(BOUGHT)
    run_id = trip.world.request(trip.world.person("ada"))
    order = claim_start(trip, run_id)
    assert order.answer is not None
    held = instruct(order.answer)
    ahead = wire.RunInput(run_id, wire.Instruction(7, held.kind, held.summary, held.until), ask=True)
    async with trip.working():
        handle = await trip.client.start_workflow(
            wire.JOURNEY_RUN, ahead, id=f"ahead/{run_id}", task_queue=trip.core.task_queue
        )
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()

    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "RunBehind"
    assert "stands at answer 1 in the database, and its workflow holds answer 7" in str(cause)
    assert trip.world.row(run_id).sequence == 1


# -- 6: stop ------------------------------------------------------------------------------------------------------


async def test_a_stop_is_true_at_once_and_the_workflows_end_afterwards(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporal hears of it from the outbox, some at a time."""
    monkeypatch.setattr("wend.relay.telling.AT_ONCE", 4)
    trip.world.journey(BOUGHT)
    async with trip.working():
        inside = [await trip.start(person) for person in trip.world.people([f"p{number}" for number in range(10)])]
        for run_id in inside:
            await parked(trip, run_id)

        trip.world.stop()

        assert trip.world.figures().outcomes == {"stopped": 10}
        assert (await trip.handle(inside[0]).describe()).status == WorkflowExecutionStatus.RUNNING
        await trip.relay.deliver_all()
        for run_id in inside:
            assert await trip.handle(run_id).result() == {"outcome": "stopped", "reason": "stopped"}
    assert len(trip.world.rows(outbox, outbox.c.kind == "wake_ended_runs")) == 3


# -- 9: the database is away --------------------------------------------------------------------------------------


async def test_while_the_database_is_away_histories_grow_by_a_handful_and_nothing_is_answered(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows.policies, "FIRST_PAUSE", timedelta(seconds=0.3))
    flaky = FlakyDatabase(trip.world.database)
    core = Core.build(flaky, trip.client, trip.core.executor, trip.core.task_queue)
    trip.world.journey(BOUGHT, TEXT)
    ada = trip.world.person("ada")
    async with trip.working(core=core, runner=UnsandboxedWorkflowRunner()):  # the sandbox has policies of its own
        run_id = await trip.start(ada)
        await parked(trip, run_id)
        flaky.away = True
        trip.world.happen(ada, "bought")
        before = (trip.world.row(run_id), len(await events_of(trip, run_id)))
        await trip.relay.deliver_all()
        await trip.until(lambda: flaky.refused >= 9)  # three rounds of three attempts
        assert trip.world.row(run_id) == before[0]
        waits = await events_of(trip, run_id)
        rounds = flaky.refused // 3
        assert trip.sms.begun == []
        flaky.away = False
        path = await trip.ended(run_id)

    assert [move.why_kind for move in path.moves] == ["entered", "happened", "message_settled"]
    timers = waits.count(EventType.EVENT_TYPE_TIMER_STARTED)
    assert timers <= 1 + rounds
    assert len(waits) - before[1] <= 8 * timers


async def test_an_advance_that_hangs_is_given_up_and_asked_for_again(
    trip: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had committed before it hung: the next one gets the stored answer."""
    monkeypatch.setattr(workflows.policies, "ADVANCE_TIMEOUT", timedelta(seconds=0.5))
    monkeypatch.setattr(workflows.policies, "FIRST_PAUSE", timedelta(seconds=0.1))
    held = Held()
    trip.world.journey(BOUGHT, TEXT)
    ada = trip.world.person("ada")
    with held.installed(monkeypatch):
        async with trip.working(runner=UnsandboxedWorkflowRunner()):
            run_id = await trip.start(ada)
            await parked(trip, run_id)
            held.holding = True
            trip.world.happen(ada, "bought")
            await trip.relay.deliver_all()
            path = await trip.ended(run_id)
            held.go.set()

    assert [move.why_kind for move in path.moves] == ["entered", "happened", "message_settled"]
    assert sorted(set(held.asked)) == [1, 2], "a slow machine may have given up others too"
    assert held.asked.count(2) >= 2
    assert len(trip.sms.begun) == 1


def test_ten_minutes_without_a_database_cost_a_run_less_than_a_dozen_timers() -> None:
    pause, passed, timers = workflows.policies.FIRST_PAUSE, timedelta(0), 0
    while passed < timedelta(minutes=10):
        passed += pause
        pause = min(pause * 2, workflows.policies.LONGEST_PAUSE)
        timers += 1
    assert timers < 12


async def test_a_send_whose_database_is_away_is_made_when_it_is_back(trip: Serving) -> None:
    flaky = FlakyDatabase(trip.world.database)
    core = Core.build(flaky, trip.client, trip.core.executor, trip.core.task_queue)
    trip.world.journey(MAIL)
    run_id = trip.world.request(trip.world.person("ada"))
    await start_claimed(trip, run_id)
    flaky.away = True
    async with trip.working(core=core):
        await trip.until(lambda: flaky.refused >= 2)
        assert trip.email.begun == []
        flaky.away = False
        path = await trip.ended(run_id)

    assert path.run.state == "completed"
    assert len(trip.email.begun) == 1
    assert (await events_of(trip, run_id)).count(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED) == 1


# -- 8: ids and privacy -------------------------------------------------------------------------------------------

CANARY = "canary-5e11"


async def test_no_value_of_a_persons_leaves_the_database_but_to_the_provider(
    trip: Serving, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Histories, search attributes, summaries, logs and the outbox carry ids; the mail alone carries the rest."""
    caplog.set_level(logging.DEBUG)
    link = f'<a data-link="{LINK}" href="https://example.com/{{{{ profile.secret }}}}">'
    html = link + "{{ run.properties.code }}</a>"
    hello = {"channel": "email", "subject": "For {{ profile.secret }}", "from": "news@example.com", "html": html}
    trip.world.message("hello", hello)
    trip.world.message("broken", {**hello, "subject": "{{ profile.nested }}"})
    member = {"when": {"attribute": "secret", "op": "eq", "value": CANARY}, "next": "mail"}
    noted = {"what": {"deeply": CANARY}, "price": 11}
    trip.world.journey(
        {"id": "which", "type": "if", "cases": [member]},
        MAIL,
        AWAIT_CLICK | {"on_click": "birthday", "on_timeout": "exit"},
        {"id": "birthday", "type": "wait_until", "attribute": "birthday", "on_missing": "bought"},
        BOUGHT | {"where": [{"attribute": "what.deeply", "op": "eq", "value": CANARY}]},
        {"id": "noted", "type": "update_profile", "set": {"seen": "canary-in-the-definition"}},
        TEXT | {"on_failure": "broken"},
        {"id": "broken", "type": "send_email", "message": "broken"},
    )
    attributes = {"secret": CANARY, "nested": {"deeply": CANARY}, "birthday": CANARY}
    ada = trip.world.person(CANARY, attributes=attributes, phone="+12025550123")
    trip.sms.script(
        NotAccepted("rate_limited", f"busy {CANARY}", retry_after=timedelta(milliseconds=50)),
        Refused("recipient_refused", f"no {CANARY}"),
    )
    async with trip.working():
        run_id = trip.world.request(ada, properties={"code": CANARY})
        await start_claimed(trip, run_id)
        await trip.until(lambda: trip.world.row(run_id).step == "look")
        trip.world.click(run_id)
        await trip.relay.deliver_all()
        await trip.until(lambda: trip.world.row(run_id).step == "bought")
        trip.world.happen(ada, "bought", CANARY, noted)
        await trip.relay.deliver_all()
        path = await trip.ended(run_id)

    assert CANARY in trip.email.sent[0].subject
    assert [message.state for message in path.messages] == ["accepted", "refused", "refused"]
    assert (path.run.state, path.run.reason) == ("failed", "message_refused")
    history = await trip.handle(run_id).fetch_history()
    said = b"".join(event.SerializeToString() for event in history.events)
    description = await trip.handle(run_id).describe()
    said += description.raw_description.SerializeToString()
    assert str(run_id).encode() in said
    assert b"clicked details" in said
    output = capsys.readouterr()
    said += (output.out + output.err + caplog.text).encode()
    said += json.dumps([row.payload for row in trip.world.rows(outbox)]).encode()
    said += repr([(row.subject, row.error) for row in trip.world.rows(outbox)]).encode()
    for value in (b"canary", b"@example.com", b"2025550123"):
        assert value not in said, said[max(0, said.index(value) - 200) :][:400]
    assert trip.world.rows(sent_messages)
