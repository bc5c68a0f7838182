"""The commands that run a journey, against the real API, over SQLite."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest

from api.parts import ApiParts
from tests.support.commands import Ran, run_command, served
from tests.support.world import AWAIT_CLICK, DAY, KEYS, MAIL, TEXT, World
from wend.cli.output import Output
from wend.storage.database import Database
from wend.temporal import run_workflow_id

Wend = Callable[..., Ran]

LOOK = {**AWAIT_CLICK, "on_click": "text", "on_timeout": "exit"}
NOBODY = "6dd4fba4-8d3e-4b34-9b07-4d8c2d9b9d5e"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this machine stand in Greenwich, and nobody say who they are."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("WEND_ACTOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


@pytest.fixture
def wend(world: World) -> Iterator[Wend]:
    """Runs a command against the API."""
    with served(ApiParts(world.database, KEYS, world.time, "https://wend.example")) as url:
        yield lambda *words, **more: run_command(*words, api=url, **more)


def actions(wend: Wend, *words: object) -> list[tuple[str, str]]:
    """Return who did what, the latest first."""
    return [(each["by"], each["action"]) for each in wend("audit", *words, "--json").json]


# -- pause and resume -------------------------------------------------------------------------------------------


def test_a_journey_is_paused_and_goes_on(wend: Wend, world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    paused = wend("pause", "trip", "--entries", "queue", "--waits", "freeze")
    assert paused.exit_code == 0
    assert "trip is paused until it is resumed; who would enter is queued, waits are frozen; 1 run(s) in" in paused.said
    assert "wend resume trip" in paused.said
    world.claim(run_id)
    shown = wend("journey", "trip").said
    assert "since 2026-12-01 09:00:00 UTC, until it is resumed; who would enter is queued, waits are frozen" in shown
    assert "1 are held before their next send" in shown
    assert "held since 2026-12-01 09:00:00" in wend("run", run_id).said
    assert " held " in wend("runs", "trip").said
    again = wend("pause", "trip")
    assert again.exit_code == 1
    assert "is paused and cannot be paused" in again.err
    resumed = wend("resume", "trip", "--rate", "20")
    assert "trip is live; 1 of 1 run(s) inside were held, and go on at 20 per second" in resumed.said
    assert wend("audit", "trip", "--json").json[0]["detail"]["rate"] == 20


def test_a_pause_may_end_by_itself(wend: Wend, world: World) -> None:
    world.journey(MAIL)
    paused = wend("pause", "trip", "--until", "2026-12-24T08:00+01:00", "--json").json
    assert paused["resume_at"] == "2026-12-24T07:00:00Z"
    later = wend("resume", "trip", "--at", "2026-12-27T08:00Z")
    assert "trip is paused, and goes on by itself at 2026-12-27 08:00:00 UTC" in later.said
    assert "until 2026-12-27 08:00:00 UTC" in wend("journey", "trip").said
    assert "2026-12-27 08:00" in wend("top", "--once").said
    assert wend("resume", "trip", "--at", "2026-11-27T08:00Z").exit_code == 1
    for words in (["--at", "2026-12-27T08:00"], ["--at", "2026-12-27T08:00Z", "--rate", "5"]):
        assert wend("resume", "trip", *words).exit_code == 2


# -- moving, taking out -----------------------------------------------------------------------------------------


def test_runs_are_moved_once_somebody_has_seen_how_many(wend: Wend, world: World) -> None:
    world.journey(MAIL, LOOK, TEXT)
    for name in ("ada", "bob"):
        world.send(world.enter(world.person(name)))
    world.enter(world.person("cem"))
    world.journey(MAIL, LOOK, TEXT, name="Second")
    preview = wend("move", "trip", "--to", 2, "--preview")
    assert "1 look look 2" in preview.said
    assert "1 more are sending at this moment" in preview.said
    unasked = wend("move", "trip", "--to", 2)
    assert unasked.exit_code == 2
    assert "1 look look 2" in " ".join(unasked.err.split())
    assert "Move 2 run(s) of trip to version 2?" in " ".join(unasked.err.replace("│", " ").split())
    assert wend("journey", "trip", "--version", 2, "--json").json["figures"]["inside"] == 0
    moved = wend("move", "trip", "--to", 2, "--from", 1, "--rate", 50, "--yes")
    assert "2 run(s) of trip are moved to version 2" in moved.said
    assert "2 went to another" in wend("journey", "trip", "--version", 1).said
    nobody = wend("move", "trip", "--to", 2)
    assert nobody.exit_code == 1
    assert "1 run(s) are sending at this moment" in nobody.err
    assert wend("move", "trip", "--to", 2, "--yes").exit_code == 1


def test_a_step_that_is_gone_is_mapped(wend: Wend, world: World) -> None:
    world.journey(DAY)
    run_id = world.enter(world.person("ada"))
    world.journey({**DAY, "id": "night"})
    refused = wend("move", "trip", "--to", 2, "--yes")
    assert refused.exit_code == 1
    assert "steps.day: version 2 has no such step" in refused.err
    assert wend("move", "trip", "--to", 2, "--map", "day").exit_code == 2
    moved = wend("move", "trip", "--to", 2, "--at-or-before", "day", "--map", "day=night", "--yes", "--json").json
    assert moved["moving"] == [{"version": 1, "step": "day", "runs": 1}]
    shown = wend("run", run_id).said
    assert "moved to version 2" in shown
    assert "night came from version 1" in shown
    assert "day → night" in wend("audit", "trip").said


def test_a_run_is_found_and_ended_by_its_workflow(wend: Wend, world: World) -> None:
    world.journey(DAY)
    ada = world.person("ada")
    run_id = world.enter(ada)
    workflow_id = run_workflow_id("trip", ada, 1)
    shown = wend("run", workflow_id, "--json").json
    assert (shown["id"], shown["workflow_id"], shown["workflow_url"]) == (str(run_id), workflow_id, None)
    assert workflow_id in wend("run", run_id).said
    unasked = wend("exit", run_id)
    assert unasked.exit_code == 2
    assert "trip at day, for good?" in " ".join(unasked.err.replace("│", " ").split())
    assert f"is out of trip: run {run_id} ended" in wend("exit", workflow_id, "--yes").said
    assert "exited: taken out" in wend("run", run_id).said
    again = wend("exit", run_id, "--yes")
    assert again.exit_code == 1
    assert "is exited already" in again.err
    unknown = wend("run", run_workflow_id("trip", ada, 2))
    assert unknown.err.startswith("error: There is no run 'run/trip/")


def test_a_person_is_taken_out_of_one_journey_or_of_all(wend: Wend, world: World) -> None:
    ada = world.person("ada")
    for key in ("trip", "tour", "walk"):
        world.journey(DAY, key=key)
        world.enter(ada, key)
    words = ("profiles", "exit", "--external-id", "ada")
    assert wend(*words).exit_code == 2
    assert "out of journey trip: 1 run(s) ended" in wend(*words, "--journey", "trip", "--yes").said
    assert len(wend(*words, "--yes", "--json").json["runs"]) == 2
    assert "out of all journeys: no run was open" in wend("profiles", "exit", ada, "--yes").said
    told = wend("audit", "--external-id", "ada").said
    assert told.count(f"profile {ada} out of 1 run(s)") == 3  # one record for each journey
    assert told.count(f"profile {ada} out of 0 run(s)") == 1


# -- light changes, differences ---------------------------------------------------------------------------------


def test_light_changes_hold_at_once(wend: Wend, world: World) -> None:
    world.journey(MAIL)
    said = wend("adjust", "trip", "--name", "Second wave", "--rate", "100/s").said
    assert "which is live, has now: name Second wave rate 100/s" in said
    shown = wend("journey", "trip").said
    assert "Journey trip: Second wave" in shown
    assert "rate 100/s, whatever the version says" in shown
    assert wend("adjust", "trip").exit_code == 2
    refused = wend("adjust", "trip", "--rate", "fast")
    assert refused.exit_code == 1
    assert "is no rate" in refused.err


def test_another_version_of_a_message_is_chosen(wend: Wend, world: World) -> None:
    world.journey(TEXT)
    world.message("ping", {"channel": "sms", "text": "Pong"})
    chosen = wend("choose-message", "trip", "ping", 2)
    assert "trip sends ping (version 2) from now on, in 1 of its versions" in chosen.said
    refused = wend("choose-message", "trip", "ping", 3)
    assert refused.exit_code == 1
    assert "wend messages versions ping" in refused.err
    assert "ping: its version 2" in wend("audit", "trip").said


def test_an_older_version_is_compared_and_restored(wend: Wend, world: World) -> None:
    world.journey(DAY)
    world.journey({**DAY, "for": "P2D"}, MAIL)
    said = wend("diff", "trip", 1, 2).said
    assert "~ steps.day.for: P1D → P2D" in said
    assert "+ steps.mail:" in said
    assert wend("diff", "trip", 2).said == "Nothing differs"
    restored = wend("restore", "trip", 1)  # the draft is version 2, so nothing is lost
    assert "says what version 1 does" in restored.said
    assert wend("diff", "trip", 1, "draft", "--json").json["differences"] == []
    assert wend("restore", "trip", 1).exit_code == 0  # it is version 1 already
    unasked = wend("restore", "trip", 2)
    assert unasked.exit_code == 2
    assert "which differs from version 2" in " ".join(unasked.err.replace("│", " ").split())
    assert wend("restore", "trip", 2, "--yes").exit_code == 0
    assert wend("diff", "trip", 1, "newest").exit_code == 2


# -- who did what, how everything stands ------------------------------------------------------------------------


def test_it_is_known_who_did_what(wend: Wend, world: World) -> None:
    world.journey(MAIL)
    wend("pause", "trip")
    wend("resume", "trip", env={"WEND_ACTOR": "Zoë 李"})
    wend("close", "trip", env={"WEND_ACTOR": "ada"})
    # That nobody was inside ended it, whoever closed it.
    assert actions(wend, "trip")[-4:] == [("ada", "close"), ("Zoë 李", "resume"), ("cli", "pause"), ("wend", "publish")]
    told = wend("audit", "--limit", 2)
    assert "2026-12-01 09:00:00 Zoë 李 resume trip 1 0 held, 100 per second" in told.said
    assert "There are more" in told.err
    refused = wend("pause", "trip", env={"WEND_ACTOR": "a" * 101})
    assert refused.exit_code == 1
    assert "WEND_ACTOR" in refused.err


def test_top_tells_how_everything_stands(wend: Wend, world: World) -> None:
    assert "There is no journey" in wend("top").said
    world.journey(MAIL, DAY)
    world.send(world.enter(world.person("ada")))
    world.later(timedelta(seconds=20))
    world.journey(DAY, key="tour")
    world.enter(world.person("bob"), "tour")
    world.later(timedelta(days=1, seconds=-10))
    told = wend("top", "--once").said
    assert "tour live 1 0 0 – 0 0 day 1" in told
    assert "trip live 1 0 0 10 s 0 0 day 1" in told
    assert {each["key"] for each in wend("top", "--json").json} == {"tour", "trip"}
    assert "trip" in wend("top", "--once", env={"COLUMNS": "80"}).out


def test_top_ends_with_ctrl_c_and_without_a_complaint(
    wend: Wend, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.journey(DAY)
    drawn: list[Any] = []
    waits = iter([None, KeyboardInterrupt()])

    class Live:
        def update(self, what: Any, *, refresh: bool) -> None:
            drawn.append(what)

    @contextmanager
    def live(_: Output) -> Iterator[Live]:
        yield Live()

    def wait(_: float) -> None:
        if interrupt := next(waits):
            raise interrupt

    monkeypatch.setattr(Output, "is_live", True)
    monkeypatch.setattr(Output, "live", live)
    monkeypatch.setattr(import_module("wend.cli.top"), "sleep", wait)
    assert wend("top") == Ran(0, "", "")
    assert len(drawn) == 2


# -- what is refused --------------------------------------------------------------------------------------------


def test_what_does_not_exist_is_refused_in_words(wend: Wend) -> None:
    for words in (
        "pause none",
        "resume none",
        "move none --to 1",
        "adjust none --name x",
        "choose-message none hello 1",
        "diff none 1",
        "restore none 1",
        "audit none",
        f"exit {NOBODY} --yes",
        f"exit run/none/{NOBODY}/1 --yes",
        f"profiles exit {NOBODY} --yes",
        "profiles exit --external-id nobody --yes",
    ):
        refused = wend(*words.split())
        assert (refused.exit_code, refused.out) == (1, ""), words
        assert refused.err.startswith("error: There is no "), words
