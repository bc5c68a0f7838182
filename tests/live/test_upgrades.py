"""Releases under runs that wait: another loop behind a patch and without one, every state of a patch, two builds."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.common import WorkerDeploymentVersion
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

import worker
from tests.replay.changed import (
    DEPRECATED,
    PATCHED,
    REMOVED,
    ChangedJourneyRun,
    DeprecatedJourneyRun,
    PatchedJourneyRun,
)
from tests.support.commands import Ran, run_command
from tests.support.eventually import assert_eventually
from tests.support.world import AWAIT_CLICK, MAIL, TEXT, Serving, serving
from wend.cli.histories import stand
from wend.cli.state import Addresses, StateDirectory
from wend.devserver import DevServer, find_executable
from wend.storage.database import Database
from workflows.journey_run import JourneyRun
from workflows.patches import Patch
from workflows.segment_entry import SegmentEntry

AN_HOUR = timedelta(hours=1)
PAUSE = {"id": "pause", "type": "wait", "for": "PT1H"}


@asynccontextmanager
async def release(trip: Serving, loop: type[JourneyRun], **options: Any) -> AsyncIterator[None]:
    """Run a worker of the release that has this loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "WORKFLOWS", [loop, SegmentEntry])
        working = trip.working(runner=UnsandboxedWorkflowRunner(), **options)
        await working.__aenter__()
    try:
        yield
    finally:
        await working.__aexit__(None, None, None)


async def command(client: Client, *words: object) -> Ran:
    environment = {"TEMPORAL_ADDRESS": client.service_client.config.target_host, "TEMPORAL_NAMESPACE": client.namespace}
    return await asyncio.to_thread(run_command, *words, env=environment)


async def waits(trip: Serving, run_id: UUID, step: str) -> None:
    """Wait until a run's workflow waits at a step with a timer."""
    await trip.until(lambda: trip.world.row(run_id).parked_until is not None and trip.world.row(run_id).step == step)

    async def has_its_timer() -> None:
        assert EventType.EVENT_TYPE_TIMER_STARTED in await kinds(trip.handle(run_id))

    await assert_eventually(has_its_timer)


async def kinds(handle: WorkflowHandle[Any, Any]) -> list["EventType.ValueType"]:
    return [event.event_type for event in (await handle.fetch_history()).events]


async def pauses(handle: WorkflowHandle[Any, Any]) -> list[bool]:
    """Return of each send, in order, whether the loop paused before it."""
    found = await kinds(handle)
    steps = [each for each in found if each in (_FIRED, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)]
    return [steps[place - 1 : place] == [_FIRED] for place, each in enumerate(steps) if each != _FIRED]


_FIRED = EventType.EVENT_TYPE_TIMER_FIRED


class ShortTasks(Interceptor):
    """Has workflow tasks given up after a second, not ten: the SDK reports the first failure of a task only."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        class Outbound(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
                input.task_timeout = timedelta(seconds=1)
                return await super().start_workflow(input)

        return Outbound(next)


async def test_another_loop_takes_over_runs_that_wait_and_without_a_patch_it_does_no_harm(
    sqlite_database: Database, time_skipping_env: WorkflowEnvironment, tmp_path: Path
) -> None:
    """Runs wait for a click and for a timer; a release stands still on them; the next one, with a patch, goes on."""
    config = time_skipping_env.client.config()
    config["interceptors"] = [*config["interceptors"], ShortTasks()]
    client, key = Client(**config), f"upgraded-{uuid4().hex[:12]}"
    ours = f"WendJourney = '{key}'"
    async with serving(sqlite_database, client, key) as trip:
        world = trip.world
        clicks = {"when": {"attribute": "clicks", "op": "eq", "value": True}, "next": "look"}
        which = {"id": "which", "type": "if", "cases": [clicks], "else": "pause"}
        look = AWAIT_CLICK | {"on_click": "text", "on_timeout": "exit"}
        world.journey(MAIL, which, look, PAUSE, TEXT, key=key)
        async with release(trip, JourneyRun):
            with time_skipping_env.with_time_skipping_disabled():
                ada = await trip.start(world.person("ada", attributes={"clicks": True}), key)
                ben = await trip.start(world.person("ben"), key)
            await waits(trip, ada, "look")
            await waits(trip, ben, "pause")

        # The gate says so before the release, and the server keeps it from doing harm after it.
        world.click(ada)
        await trip.relay.deliver_all()
        await time_skipping_env.fast_forward(trip.handle(ben), AN_HOUR + timedelta(seconds=1))
        kept = tmp_path / "kept"
        assert (await command(client, "replay", "--where", ours, "--save", kept)).exit_code == 0
        assert (await command(client, "replay", "--from", kept)).said == "2 replayed, 0 do not replay"
        async with release(trip, ChangedJourneyRun):
            said = await _gate(client, ours, ChangedJourneyRun)
            assert said.exit_code == 1
            assert "2 replayed, 2 do not replay" in said.said
            for run_id in (ada, ben):
                await assert_eventually(partial(_stands_still, trip.handle(run_id)))
        assert [message.to for message in trip.sms.begun] == []
        assert [world.row(run_id).state for run_id in (ada, ben)] == ["running", "running"]

        assert (await _gate(client, ours, PatchedJourneyRun)).said == "2 replayed, 0 do not replay"
        async with release(trip, PatchedJourneyRun):
            cleo = await trip.start(world.person("cleo"), key)
            for run_id in (ada, ben, cleo):
                assert (await trip.ended(run_id)).run.state == "completed"
        paused = [await pauses(trip.handle(run_id)) for run_id in (ada, ben, cleo)]
    # Ben's and Cleo's own wait is a timer too: it stands before their texts.
    assert paused == [[False, False], [False, True], [True, True]]
    assert sorted(message.to for message in trip.email.begun) == [
        f"{name}@example.com" for name in ("ada", "ben", "cleo")
    ]
    assert len({message.to for message in trip.sms.begun}) == len(trip.sms.begun) == 3


async def _gate(client: Client, query: str, loop: type[JourneyRun]) -> Ran:
    """Return what ``wend replay`` of the release with this loop says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "WORKFLOWS", [loop, SegmentEntry])
        return await command(client, "replay", "--where", query)


async def _stands_still(handle: WorkflowHandle[Any, Any]) -> None:
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    failed = [
        event.workflow_task_failed_event_attributes.cause
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    assert WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR in failed


async def test_a_patch_is_kept_deprecated_and_removed_as_the_open_runs_allow(
    sqlite_database: Database, temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"patched-{uuid4().hex[:12]}"
    ours = f"WendJourney = '{key}'"

    async def stands(patch: Patch, may: str, *open_runs: int) -> None:
        async def check() -> None:  # visibility is a moment behind
            found = await stand(temporal_client, patch, ours)
            assert (found.may, found.open_with, found.open_without) == (may, *open_runs)

        await assert_eventually(check)

    async with serving(sqlite_database, temporal_client, key) as trip:
        world = trip.world
        world.journey(MAIL, AWAIT_CLICK | {"on_click": "text"}, TEXT, key=key)

        async def waiting(name: str) -> UUID:
            run_id = await trip.start(world.person(name), key)
            await waits(trip, run_id, "look")
            return run_id

        async def ends(run_id: UUID) -> None:
            world.click(run_id)
            await trip.relay.deliver_all()
            assert (await trip.ended(run_id)).run.state == "completed"

        async with release(trip, JourneyRun):
            ada = await waiting("ada")
        async with release(trip, PatchedJourneyRun):
            ben = await waiting("ben")
            await stands(PATCHED, "keep", 1, 1)
            await ends(ada)
            await stands(PATCHED, "deprecate", 1, 0)
        async with release(trip, DeprecatedJourneyRun):
            cleo = await waiting("cleo")
            await stands(DEPRECATED, "keep", 2, 0)
            await stands(REMOVED, "removed too early", 2, 0)
            monkeypatch.setattr("workflows.patches.PATCHES", (DEPRECATED,))
            said = await command(temporal_client, "patches", "--where", ours)
            assert said.exit_code == 0
            assert "keep: open runs need it" in said.said
            assert f"{PATCHED.id} is needed by run/{key}/" in said.said
            await ends(ben)
            await stands(DEPRECATED, "remove", 1, 0)
        async with release(trip, ChangedJourneyRun):
            await stands(REMOVED, "gone", 1, 0)
            monkeypatch.setattr("workflows.patches.PATCHES", (REMOVED,))
            said = await command(temporal_client, "patches", "--where", ours)
            assert (said.exit_code, "nothing: it is removed" in said.said) == (0, True)
            await ends(cleo)
            assert await pauses(trip.handle(cleo)) == [True, True]
    assert len(trip.email.begun) == len(trip.sms.begun) == 3


async def test_a_release_that_does_not_know_a_patch_of_open_runs_says_so(
    sqlite_database: Database,
    temporal_server: DevServer,
    temporal_client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked of the server that a ``wend up`` on a state directory names, where the environment names none."""
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    StateDirectory(tmp_path).announce(Addresses.here("http://127.0.0.1:1", temporal_server.address, None, None))
    key = f"unknown-{uuid4().hex[:12]}"
    ours = f"WendJourney = '{key}'"
    async with serving(sqlite_database, temporal_client, key) as trip:
        trip.world.journey(MAIL, AWAIT_CLICK, key=key)
        told = await asyncio.to_thread(run_command, "patches", "--where", ours, "--dir", tmp_path)
        assert told.said == "There is no patch: this release's workflow code has one way for every run."
        assert told.exit_code == 0
        async with release(trip, PatchedJourneyRun):
            run_id = await trip.start(trip.world.person("ada"), key)
            await waits(trip, run_id, "look")

    async def check() -> None:
        said = await asyncio.to_thread(run_command, "patches", "--where", ours, "--dir", tmp_path)
        assert said.exit_code == 1
        assert "1 open run(s) are marked by patches that this release does not know" in said.said

    await assert_eventually(check)


async def test_runs_go_over_to_the_build_that_is_made_current(
    sqlite_database: Database, temporal_server: DevServer, temporal_client: Client
) -> None:
    """Both builds are up, and Temporal is told which is current by the command that the documents name."""
    key = f"builds-{uuid4().hex[:12]}"
    builds = {name: WorkerDeploymentVersion(key, name) for name in ("old", "new")}
    async with serving(sqlite_database, temporal_client, key) as trip:
        world = trip.world
        world.journey(MAIL, AWAIT_CLICK | {"on_click": "text"}, TEXT, key=key)

        async def started(name: str) -> UUID:
            run_id = await trip.start(world.person(name), key)
            await waits(trip, run_id, "look")
            return run_id

        async with release(trip, PatchedJourneyRun, build=builds["new"]):
            async with release(trip, JourneyRun, build=builds["old"]):
                await _set_current(temporal_server, key, "old")
                ada, ben = await started("ada"), await started("ben")
                assert {await _build_of(trip.handle(each)) for each in (ada, ben)} == {"old"}
                await _set_current(temporal_server, key, "new")
                cleo = await started("cleo")
                assert await _build_of(trip.handle(cleo)) == "new"
                world.click(ada)
                await trip.relay.deliver_all()
                await trip.ended(ada)
            for run_id in (ben, cleo):
                world.click(run_id)
            await trip.relay.deliver_all()
            for run_id in (ben, cleo):
                await trip.ended(run_id)
        assert {await _build_of(trip.handle(each)) for each in (ada, ben, cleo)} == {"new"}
        # The loop that began a run is the one that it goes on by, whichever build works on it.
        assert [await pauses(trip.handle(each)) for each in (ada, ben, cleo)] == [[False, False]] * 2 + [[True, True]]
    assert len(trip.email.begun) == len(trip.sms.begun) == 3


async def _set_current(server: DevServer, deployment: str, build: str) -> None:
    """Make a build the current one, once its worker has made itself known."""
    words = ["worker", "deployment", "set-current-version", "--deployment-name", deployment, "--build-id", build]
    line = [str(find_executable()), *words, "--yes", "--address", server.address, "--namespace", server.namespace]

    def run() -> None:
        ran = subprocess.run(line, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr

    await assert_eventually(run, interval=timedelta(milliseconds=200))


async def _build_of(handle: WorkflowHandle[Any, Any]) -> str:
    described = (await handle.describe()).raw_description.workflow_execution_info
    return described.versioning_info.deployment_version.build_id
