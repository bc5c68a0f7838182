"""The real Temporal server as a child: it answers, remembers, and is never left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from tests.support.eventually import assert_eventually
from wend.child import ChildFailed, runs
from wend.devserver import RETENTION, DevServer, PortTaken, StateInUse, find_executable

JOURNEY = SearchAttributeKey.for_keyword("WendJourney")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def on_file(tmp_path: Path) -> DevServer:
    return DevServer(port=0, ui_port=None, database=tmp_path / "state" / "temporal.db")


async def connect(server: DevServer) -> Client:
    return await Client.connect(server.address, namespace=server.namespace)


async def test_it_answers_with_our_search_attributes_and_keeps_closed_runs(temporal_server: DevServer) -> None:
    client = await connect(temporal_server)

    namespace = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=temporal_server.namespace)
    )
    ours = await client.count_workflows(
        "WendJourney = 'x' AND WendVersion = 1 AND WendProfile = 'x' AND WendEntry = 'x'"
    )

    assert namespace.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION
    assert ours.count == 0


async def test_a_workflow_still_waits_after_a_restart(tmp_path: Path) -> None:
    server = on_file(tmp_path)
    with server:
        client = await connect(server)
        await client.start_workflow(
            "Waits",
            id="run/launch/1",
            task_queue="nobody",
            search_attributes=TypedSearchAttributes([SearchAttributePair(JOURNEY, "launch")]),
        )

    with server:
        found = await (await connect(server)).get_workflow_handle("run/launch/1").describe()

    assert found.status == WorkflowExecutionStatus.RUNNING
    assert found.typed_search_attributes[JOURNEY] == "launch"
    assert not server.is_running()


async def test_the_ui_is_served() -> None:
    with DevServer(port=0, ui_port=0) as server:
        assert server.ui_url is not None
        host, port = server.ui_url.removeprefix("http://").split(":")

        def listens() -> None:
            try:
                socket.create_connection((host, int(port)), timeout=60).close()
            except ConnectionRefusedError as error:
                raise AssertionError(f"nobody listens on {port} yet") from error

        await assert_eventually(listens)


@pytest.mark.parametrize(
    ("parameter", "what"),
    [("port", "the Temporal server"), ("ui_port", "the Temporal UI"), ("http_port", "Temporal's HTTP API")],
)
def test_a_taken_port_is_named_with_the_option_that_moves_it(taken: int, parameter: str, what: str) -> None:
    ports = {"port": 0, "ui_port": 0, parameter: taken}
    server = DevServer(**ports, options={parameter: "--some-option"})  # type: ignore[arg-type]

    with pytest.raises(PortTaken, match=f"Port {taken}, meant for {what}, is not free") as caught:
        server.start()

    assert "--some-option" in str(caught.value)
    assert not server.is_running()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    database = tmp_path / "temporal.db"
    database.write_text("this is no database " * 100)

    with pytest.raises(ChildFailed, match="file is not a database"):
        DevServer(port=0, ui_port=None, database=database).start()

    assert not database.with_suffix(".pid").exists()


def panicking(path: Path, times: int) -> Path:
    """A server that, so often, does what the real one does whose gRPC port was taken after it was chosen."""
    stack = "\n".join(f"frame {n}" for n in range(40))
    path.write_text(f"""#!/bin/sh
echo start >> {path}.starts
if [ $(wc -l < {path}.starts) -gt {times} ]; then exec {find_executable()} "$@"; fi
echo 'panic: runtime error: nil pointer
{stack}'
exit 2
""")
    path.chmod(0o755)
    return path


def test_a_port_that_is_lost_while_starting_is_replaced(tmp_path: Path) -> None:
    with DevServer(port=0, ui_port=None, executable=panicking(tmp_path / "temporal", times=1)) as server:
        assert server.is_running()


def test_a_server_that_panics_each_time_says_why_and_not_only_where(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=r"panic: runtime error: nil pointer\n…\n(frame \d+\n?){15}$"):
        DevServer(port=0, ui_port=None, executable=panicking(tmp_path / "temporal", times=3)).start()
    assert (tmp_path / "temporal.starts").read_text().count("start") == 3


def test_two_servers_on_one_state_are_refused(tmp_path: Path) -> None:
    with on_file(tmp_path) as first, pytest.raises(StateInUse, match=f"Process {os.getpid()} runs"):
        on_file(tmp_path).start()
    assert not first.is_running()


def test_a_server_outlives_the_thread_that_started_it(temporal_server: DevServer) -> None:
    """The kernel ends a child with the thread that made it: started from a pool, it died with the pool."""
    server = DevServer(port=0, ui_port=None)
    thread = Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert not server._started().wait(timedelta(milliseconds=200))
    finally:
        server.stop()


OWNER = """
import sys
from pathlib import Path
from wend.devserver import DevServer

server = DevServer(port=0, ui_port=None, database=Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a server on ``state/temporal.db`` and prints its process id."""
    command = [sys.executable, "-c", OWNER, str(tmp_path / "state" / "temporal.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def read_pid(owner: subprocess.Popen[str]) -> int:
    assert owner.stdout is not None
    return int(owner.stdout.readline())


async def test_the_server_of_a_killed_process_gives_way_to_the_next(
    tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    orphan = read_pid(owner)
    command = json.loads((tmp_path / "state" / "temporal.pid").read_text())["command"]
    owner.kill()
    owner.wait()

    with on_file(tmp_path) as server:
        assert server.pid != orphan
        await connect(server)

    def gone() -> None:
        assert not runs(orphan, command)

    await assert_eventually(gone)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_a_killed_process_takes_its_server_along(tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    orphan = read_pid(owner)
    command = json.loads((tmp_path / "state" / "temporal.pid").read_text())["command"]
    assert runs(orphan, command)
    owner.kill()
    owner.wait()

    def gone() -> None:
        assert not runs(orphan, command)

    await assert_eventually(gone)


def test_a_process_that_only_has_the_old_id_is_left_alone(tmp_path: Path) -> None:
    """Ids are used again: after a reboot the one on file may be anybody's."""
    database = tmp_path / "state" / "temporal.db"
    database.parent.mkdir()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        record = {"pid": stranger.pid, "owner": 1, "command": ["temporal", "server", "start-dev"]}
        database.with_suffix(".pid").write_text(json.dumps(record))

        with on_file(tmp_path):
            assert stranger.poll() is None

        stranger.send_signal(signal.SIGKILL)


def test_the_terminals_interrupt_reaches_the_parent_alone(temporal_server: DevServer) -> None:
    assert os.getsid(temporal_server.pid) == temporal_server.pid
    assert os.getsid(temporal_server.pid) != os.getsid(0)
