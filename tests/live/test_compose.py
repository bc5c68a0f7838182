"""docker-compose.yml without a container engine: what it says, and the very commands of Wend's in it, run as processes.

The processes get the environment that the file gives their containers, with addresses of servers that run here.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from tests.support.eventually import assert_eventually
from tests.support.ports import lasting_port
from tests.support.programs import in_words
from wend.child import Child
from wend.devserver import DevServer, find_executable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("wend:")}
TOKEN = "a-token-that-only-this-test-knows"
SECRETS = {"POSTGRES_PASSWORD": "c0ffee", "WEND_TOKEN_KEYS": f"1:{'ab' * 32}", "WEND_API_TOKEN": TOKEN}
PATIENCE = timedelta(seconds=120)
START = "import os, runpy, sys; os.chdir(sys.argv.pop(1)); runpy.run_module('wend.cli', run_name='__main__')"
"""``python -m wend.cli`` in another directory."""


class MissingVariable(Exception):
    """What Compose refuses to go on without."""


def interpolated(value: object, variables: Mapping[str, str]) -> str:
    """Return a value with its variables filled in, as Compose does it."""

    def fill(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        found = variables.get(match["name"], "")
        if not found and match["kind"] == ":?":
            raise MissingVariable(f"{match['name']}: {match['word']}")
        return found or (match["word"] if match["kind"] == ":-" else "")

    return re.sub(r"(?P<dollar>\$\$)|\$\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<word>[^}]*))?\}", fill, str(value))


def environment(service: str, variables: Mapping[str, str]) -> dict[str, str]:
    given = SERVICES[service].get("environment", {})
    # One without a value is taken over from the variables, if it is among them.
    taken_over = {name: variables[name] for name, value in given.items() if value is None and name in variables}
    return taken_over | {name: interpolated(value, variables) for name, value in given.items() if value is not None}


# -- what the file says -----------------------------------------------------------------------------------------------


def test_it_holds_every_process_of_wend() -> None:
    commands = {tuple(each["command"][:2]) for each in OURS.values()}
    assert commands == {("wend", name) for name in ("migrate", "api", "worker", "relay", "sink")}


def test_images_are_pinned_to_a_release() -> None:
    for name, each in SERVICES.items():
        _, _, tag = each["image"].partition(":")
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", tag), f"{name}: {each['image']}"


def test_temporal_is_of_one_release_and_the_same_as_the_development_servers() -> None:
    said = subprocess.run([find_executable(), "--version"], capture_output=True, text=True, check=True).stdout
    tags = {name: each["image"].rpartition(":")[2] for name, each in SERVICES.items() if name.startswith("temporal")}
    assert f"Server {tags['temporal']}," in said
    assert f"UI {tags['temporal-ui']}" in said
    assert tags["temporal-schema"] == tags["temporal-namespace"] == tags["temporal"]


def test_history_shards_are_many_since_their_number_is_for_ever() -> None:
    assert SERVICES["temporal"]["environment"]["NUM_HISTORY_SHARDS"] == 512


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_has_a_default(secret: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    uses = re.findall(r"\$\{" + secret + r"([^}]*)\}", text)
    assert uses
    assert all(use.startswith(":?") for use in uses)
    with pytest.raises(MissingVariable, match=secret):
        interpolated(f"${{{secret}{uses[0]}}}", {})


def test_every_process_waits_for_what_it_needs() -> None:
    for name, each in SERVICES.items():
        for needed, how in each.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], f"{name} waits for the health of {needed}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[needed]["restart"].startswith("on-failure"), f"{needed} is a job"
    for name in ("api", "worker", "relay"):
        assert "migrations" in SERVICES[name]["depends_on"]


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for each in SERVICES.values() for port in each.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_volumes_and_configs_are_declared() -> None:
    mounted = {volume.partition(":")[0] for each in SERVICES.values() for volume in each.get("volumes", ())}
    assert mounted == set(COMPOSE["volumes"])
    for each in SERVICES.values():
        for config in each.get("configs", ()):
            assert COMPOSE["configs"][config["source"]]["content"]


@pytest.mark.parametrize("service", ["worker", "relay"])
def test_metrics_are_told_to_the_other_containers(service: str) -> None:
    given = environment(service, SECRETS)
    assert (given["WEND_METRICS_HOST"], given["WEND_METRICS_PORT"]) == ("0.0.0.0", "9464")
    assert given["WEND_API_TOKEN"] == TOKEN, "beyond loopback they want a key"


def test_workers_can_be_many() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


def test_the_image_is_made_of_the_lock_and_of_what_is_installed() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.M) for word in line.split()[:-1]}
    assert {"requirements/run.txt", "pyproject.toml", "worker.py", "wend", "workflows", "activities", "api"} <= copied
    assert all((ROOT / path).exists() for path in copied)
    assert "--require-hashes -r requirements/run.txt" in dockerfile
    assert re.search(r"^USER wend$", dockerfile, re.M)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed


# -- what its commands do ---------------------------------------------------------------------------------------------


class Installation:
    """Wend's processes as the file names them, on a PostgreSQL and a Temporal server of this machine's."""

    def __init__(self, directory: Path, database_url: str, temporal: DevServer) -> None:
        self.directory = directory
        self.api_port, self.sink_port, self.smtp_port = lasting_port(), lasting_port(), lasting_port()
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.sink_url = f"http://127.0.0.1:{self.sink_port}"
        self.children: dict[str, Child] = {}
        self._variables = {
            **SECRETS,
            "WEND_PUBLIC_URL": self.api_url,
            "WEND_CHANNELS__SMTP__HOST": "127.0.0.1",
            "WEND_CHANNELS__SMTP__PORT": str(self.smtp_port),
            "WEND_CHANNELS__HTTP_SMS__URL": f"{self.sink_url}/sms",
        }
        self._here = {
            "WEND_DATABASE_URL": database_url,
            "TEMPORAL_ADDRESS": temporal.address,
            "WEND_HOST": "127.0.0.1",
            "WEND_PORT": str(self.api_port),
            "WEND_METRICS_HOST": "127.0.0.1",
            "WEND_METRICS_PORT": "0",
        }
        self._arguments = {
            "0.0.0.0": "127.0.0.1",
            "/data/sink.db": str(directory / "sink.db"),
        }

    def environment(self, service: str) -> dict[str, str]:
        """Return what the file gives the container, with this machine's addresses, and nothing from around us."""
        given = environment(service, self._variables)
        here = {name: value for name, value in self._here.items() if name in given}
        system = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "PYTHONPATH": str(ROOT)}
        return {**system, **given, **here}

    def start(self, service: str) -> Child:
        """Start a service's command; its directory has no .env of somebody's."""
        program, *arguments = SERVICES[service]["command"]
        assert program == "wend"
        arguments = [self._arguments.get(each, each) for each in arguments]
        if service == "sink":
            arguments += ["--port", str(self.sink_port), "--smtp-port", str(self.smtp_port)]
        child = Child(
            f"wend {' '.join(arguments)}",
            [sys.executable, "-c", START, str(self.directory), *arguments],
            log=self.directory / f"{service}.log",
            environment=self.environment(service),
        )
        child.start()
        self.children[service] = child
        return child

    def log(self, service: str) -> str:
        """Return what a service has printed."""
        return (self.directory / f"{service}.log").read_text()

    def stop(self) -> None:
        """End whatever still runs."""
        for child in self.children.values():
            child.stop(signal.SIGKILL)


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str, temporal_server: DevServer) -> Iterator[Installation]:
    """An installation of which nothing runs yet."""
    installed = Installation(tmp_path, postgres_url, temporal_server)
    yield installed
    installed.stop()


def run_namespace_job(installed: Installation) -> str:
    """Run the script of the job that makes the namespace, with the ``temporal`` program of this environment."""
    service = SERVICES["temporal-namespace"]
    [script] = service["command"]
    given = installed.environment("temporal-namespace")
    given["PATH"] = f"{find_executable().parent}:{given['PATH']}"
    done = subprocess.run(
        [*service["entrypoint"], interpolated(script, {})], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_a_journey_runs_on_the_commands_of_the_file(installation: Installation) -> None:
    run_namespace_job(installation)
    assert "720h" in run_namespace_job(installation), "a second run finds the namespace, with its retention"
    migrations = installation.start("migrations")
    assert migrations.wait(PATIENCE)
    assert migrations.returncode == 0, installation.log("migrations")

    running = [installation.start(service) for service in ("sink", "api", "worker", "relay")]
    async with httpx2.AsyncClient(timeout=60) as client:

        async def get(url: str) -> httpx2.Response:
            assert all(child.is_running() for child in running), "\n".join(map(installation.log, installation.children))
            try:
                response = await client.get(url, headers={"Authorization": f"Bearer {TOKEN}"})
            except httpx2.TransportError as error:
                raise AssertionError(f"{url}: {error!r}") from error
            assert response.status_code == 200, response.text
            return response

        async def is_healthy(url: str) -> None:
            await get(url)

        await assert_eventually(partial(is_healthy, f"{installation.api_url}/healthz"), timeout=PATIENCE)
        await assert_eventually(partial(is_healthy, f"{installation.sink_url}/api/counts"), timeout=PATIENCE)
        assert (await client.get(f"{installation.api_url}/v1/journeys")).status_code == 401

        run = await publish_and_start(client, installation.api_url)

        async def arrived(channel: str) -> dict[str, Any]:
            caught = (await get(f"{installation.sink_url}/api/messages?channel={channel}")).json()["items"]
            assert len(caught) == 1
            return dict(caught[0])

        mail = await assert_eventually(partial(arrived, "email"), timeout=PATIENCE)
        [link] = re.findall(rf"{installation.api_url}/c/[\w-]+", mail["html"])
        clicked = await client.get(link, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        assert (clicked.status_code, clicked.headers["location"]) == (302, "https://example.com/product")

        text = await assert_eventually(partial(arrived, "sms"), timeout=PATIENCE)
        assert text["text"] == "Here it is, Ada"

        async def has_ended() -> None:
            path = (await get(f"{installation.api_url}/v1/runs/{run}")).json()
            assert path["state"] == "completed", path

        await assert_eventually(has_ended, timeout=PATIENCE)

    for child in running:
        os.kill(child.pid, signal.SIGTERM)
    for service in ("api", "worker", "relay", "sink"):
        child = installation.children[service]
        assert child.wait(PATIENCE), f"{service} still runs:\n{installation.log(service)}"
        assert child.returncode == 0, installation.log(service)


async def publish_and_start(client: httpx2.AsyncClient, api: str) -> str:
    """Make a journey of a mail, a click and a text message, and start a run; returns the run's id."""
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    html = '<a data-link="product" href="https://example.com/product">See it</a>'
    mail = {"channel": "email", "from": "shop@example.com", "subject": "New", "html": html}
    text = {"channel": "sms", "text": "Here it is, {{ profile.first_name }}"}
    steps = [
        {"id": "announce", "type": "send_email", "message": "announcement"},
        {
            "id": "interested",
            "type": "wait_for_click",
            "sent_by": "announce",
            "link": "product",
            "within": "PT1H",
            "on_timeout": "exit",
        },
        {"id": "tell", "type": "send_sms", "message": "launched"},
    ]
    person = {
        "external_id": "ada",
        "identities": {"email": "ada@example.com", "phone": "+33612345678"},
        "attributes": {"first_name": "Ada"},
    }
    calls: list[tuple[str, str, Any]] = [
        ("POST", "profiles", person),
        ("PUT", "messages/announcement", {"name": "Announcement", "content": mail}),
        ("POST", "messages/announcement/ready", {}),
        ("PUT", "messages/launched", {"name": "Launched", "content": text}),
        ("POST", "messages/launched/ready", {}),
        ("PUT", "journeys/launch/draft", {"key": "launch", "name": "Launch", "steps": steps}),
        ("POST", "journeys/launch/publish", None),
        ("POST", "journeys/launch/runs", {"profile": {"namespace": "external_id", "value": "ada"}}),
    ]
    for method, path, body in calls:
        response = await client.request(method, f"{api}/v1/{path}", json=body)
        assert response.is_success, f"{method} {path}: {response.text}"
    del client.headers["Authorization"]
    return str(response.json()["id"])


# -- and what they refuse ---------------------------------------------------------------------------------------------


def without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda given: {each: value for each, value in given.items() if each != name}


@pytest.mark.parametrize(
    ("service", "change", "told"),
    [
        pytest.param("worker", without("WEND_TOKEN_KEYS"), "WEND_TOKEN_KEYS is not set", id="worker without link keys"),
        pytest.param("api", without("WEND_API_TOKEN"), "WEND_API_TOKEN", id="open API without a token"),
        pytest.param(
            "relay",
            lambda given: {**given, "WEND_DATABASE_URL": "sqlite:///wend.db"},
            "needs PostgreSQL",
            id="several processes on SQLite",
        ),
    ],
)
def test_a_process_that_lacks_something_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    change: Callable[[dict[str, str]], dict[str, str]],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # it has no .env of somebody's
    for name in [name for name in os.environ if name.startswith(("WEND_", "TEMPORAL_"))]:
        monkeypatch.delenv(name)
    for name, value in change(environment(service, SECRETS)).items():
        monkeypatch.setenv(name, value)
    done = in_words(*SERVICES[service]["command"][1:], "--patience", "0")
    assert done.exit_code == 1, done.said
    assert told in done.said
    assert not any(secret in done.said for secret in SECRETS.values())
