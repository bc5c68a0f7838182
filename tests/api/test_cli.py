"""Every command against the real API, over SQLite."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from api.parts import ApiParts
from tests.support.commands import Ran, run_command, served
from tests.support.world import AWAIT_CLICK, DAY, KEYS, MAIL, TEXT, World
from wend.channels.port import Refused
from wend.storage.database import Database

Wend = Callable[..., Ran]

JOURNEY = """\
key: tour
name: A tour
steps:
  - {id: mail, type: send_email, message: hello}
  - {id: look, type: wait_for_click, sent_by: mail, link: details, within: P1D, on_click: text, on_timeout: exit}
  - {id: text, type: send_sms, message: ping}
"""


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this machine stand in Greenwich: instants are told in its zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


@pytest.fixture
def parts(world: World) -> ApiParts:
    return ApiParts(world.database, KEYS, world.time, "https://wend.example")


@pytest.fixture
def wend(parts: ApiParts) -> Iterator[Wend]:
    """Runs a command against the API."""
    with served(parts) as url:
        yield lambda *words, **more: run_command(*words, api=url, **more)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file, and returns where it is."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


File = Callable[[str, str], Path]


# -- profiles ---------------------------------------------------------------------------------------------------


def test_profiles_are_imported_from_a_file(wend: Wend, file: File) -> None:
    people = file("people.csv", "external_id,email,tier\nada,ada@example.com,gold\ngrace,grace@example.com,\n")
    assert wend("profiles", "import", people).said == "2 profiles: 2 new, 0 known"
    assert wend("profiles", "import", people, "--json").json == {"created": 0, "updated": 2, "lines": 2}
    assert "ada@example.com" in wend("profiles", "show", "--external-id", "ada").out


def test_an_import_reads_what_comes_in_if_it_is_told_the_format(wend: Wend) -> None:
    line = '{"external_id": "ada", "attributes": {"tier": "gold"}}\n'
    refused = wend("profiles", "import", "-", input=line)
    assert refused.exit_code == 2
    assert "--format" in refused.err
    assert wend("profiles", "import", "-", "--format", "ndjson", "--json", input=line).json["created"] == 1


def test_an_import_with_problems_tells_them_by_line_and_imports_nothing(wend: Wend, file: File) -> None:
    people = file("people.csv", "external_id,email\nada,not an address\n,grace@example.com\n")
    refused = wend("profiles", "import", people)
    assert refused.exit_code == 1
    assert refused.out == ""
    assert "line 2: identities.email" in refused.said
    assert "line 3: external_id: is required" in refused.said
    assert wend("profiles", "list", "--json").json == []


def test_a_profile_is_put_shown_found_and_deleted(wend: Wend) -> None:
    options = (
        "--external-id",
        "ada",
        "--email",
        "ada@Example.com",
        "--attribute",
        "visits=3",
        "--attribute",
        "tier=gold",
    )
    (put,) = wend("profiles", "put", *options, "--time-zone", "Europe/Paris", "--json").json
    assert put["created"]
    shown = wend("profiles", "show", put["id"], "--json").json
    assert shown["attributes"] == {"visits": 3, "tier": "gold"}
    found = wend("profiles", "find", "email", "ada@EXAMPLE.com", "--json").json
    assert [each["id"] for each in found] == [put["id"]]
    assert put["id"] in wend("profiles", "find", "email", "ada@example.com").out
    assert "0 open run(s) ended" in wend("profiles", "delete", "--external-id", "ada", "--yes").said
    assert wend("profiles", "show", put["id"]).exit_code == 1


def test_profiles_are_put_from_a_file(wend: Wend, file: File) -> None:
    people = file("people.yaml", "- {external_id: ada}\n- {external_id: grace}\n")
    assert len(wend("profiles", "put", people, "--json").json) == 2
    assert "2" not in wend("profiles", "list", "--limit", "1", "--json").out.split()
    assert "There are more" in wend("profiles", "list", "--limit", "1").err


def test_an_identity_that_several_share_names_nobody(wend: Wend, world: World) -> None:
    ids = [str(world.person(name, email="family@example.com")) for name in ("ada", "grace")]
    refused = wend("profiles", "show", "--email", "family@example.com")
    assert refused.exit_code == 1
    assert all(id in refused.err for id in ids)


# -- segments ---------------------------------------------------------------------------------------------------


def test_a_segment_by_rule_is_put_counted_and_sampled(wend: Wend, world: World, file: File) -> None:
    world.person("ada", attributes={"tier": "gold"})
    world.person("grace")
    rule = (
        "key: gold\nname: Gold\nrule:\n  all:\n    - {attribute: tier, op: eq, value: gold}\n    - {identity: email}\n"
    )
    put = wend("segments", "put", file("gold.yaml", rule))
    assert "attribute tier eq gold" in put.said
    assert wend("segments", "count", "gold").out.strip() == "1"
    assert wend("segments", "show", "gold", "--json").json["count"] == 1
    assert [each["external_id"] for each in wend("segments", "sample", "gold", "--json").json] == ["ada"]
    assert "ada" in wend("segments", "members", "gold").out
    assert "Gold" in wend("segments", "list").out


def test_members_of_a_list_come_and_go(wend: Wend, world: World, file: File) -> None:
    ada = world.person("ada")
    world.person("grace")
    assert wend("segments", "put", file("staff.yaml", "key: staff\nname: Staff\n")).exit_code == 0
    added = wend("segments", "add", "staff", "grace", "nobody", "--profile", ada)
    assert "2 added, 0 removed" in added.out
    assert "nobody" in added.err
    assert wend("segments", "remove", "staff", "grace", "--json").json["removed"] == 1
    assert wend("segments", "count", "staff", "--json").json == {"count": 1}
    assert wend("segments", "delete", "staff", "--yes", "--json").json == {"key": "staff", "deleted": True}
    assert wend("segments", "add", "staff").exit_code == 2


def test_a_list_is_replaced_as_a_whole(wend: Wend, world: World, file: File) -> None:
    for name in ("ada", "bob", "cem", "dee"):
        world.person(name)
    wend("segments", "put", file("staff.yaml", "key: staff\nname: Staff\n"))
    wend("segments", "add", "staff", "ada", "bob")
    unasked = wend("segments", "replace", "staff", "bob")
    assert unasked.exit_code == 2
    assert "1 profile(s) the only members of staff" in unasked.err
    replaced = wend("segments", "replace", "staff", "bob", "--file", file("staff.txt", "cem\n\ndee\nnobody\n"), "--yes")
    assert "2 added, 1 removed" in replaced.out
    assert "nobody" in replaced.err
    assert wend("segments", "count", "staff", "--json").json == {"count": 3}
    assert wend("segments", "replace", "staff", "--yes").exit_code == 2


def test_a_rule_is_tried_before_it_is_saved(wend: Wend, world: World, file: File) -> None:
    world.person("ada", attributes={"tier": "gold"})
    world.person("bob")
    rule = file("gold.yaml", "key: gold\nname: Gold\nrule: {attribute: tier, op: eq, value: gold}\n")
    tried = wend("segments", "preview", rule)
    assert "would be in it 1" in tried.said
    assert "ada" in tried.out
    assert wend("segments", "preview", rule, "--size", "0", "--json").json == {"count": 1, "sample": []}
    assert wend("segments", "list", "--json").json == []
    assert "rule: is required" in wend("segments", "preview", file("staff.yaml", "key: staff\nname: Staff\n")).err


def test_a_rule_with_problems_tells_all_of_them_with_their_paths(wend: Wend, file: File) -> None:
    rule = "key: odd\nname: Odd\nrule:\n  any:\n    - {attribute: tier, op: equals, value: 1}\n    - {segmnt: gold}\n"
    refused = wend("segments", "put", file("odd.yaml", rule))
    assert refused.exit_code == 1
    assert "rule.any.0" in refused.err
    assert "rule.any.1" in refused.err
    problems = wend("segments", "put", file("odd.yaml", rule), "--json")
    assert problems.out == ""
    assert '"problems"' in problems.err


# -- messages ---------------------------------------------------------------------------------------------------


def test_a_message_is_put_made_ready_and_previewed(wend: Wend, world: World, file: File) -> None:
    world.person("ada", attributes={"first_name": "Ada"})
    text = "{{ profile.first_name }}, look: {{ 'https://example.com/a' | link: 'shop' }}"
    document = f'key: news\nname: News\ncontent:\n  channel: sms\n  text: "{text}"\n'
    assert "draft" in wend("messages", "put", file("news.yaml", document)).out
    assert "no ready version yet" in wend("messages", "versions", "news").out
    assert "ready, as version 1" in wend("messages", "ready", "news").said
    preview = wend("messages", "preview", "news", "--external-id", "ada")
    assert "Ada, look: https://example.com/a" in preview.said
    assert "shop" in preview.out
    assert wend("messages", "show", "news", "--json").json["version"] == 1
    assert {each["key"] for each in wend("messages", "list", "--json").json} == {"hello", "news", "ping"}
    assert "shop" in wend("messages", "versions", "news").out


def test_a_file_without_a_key_is_refused_before_anything_is_asked(wend: Wend, file: File) -> None:
    refused = wend("messages", "put", file("news.yaml", "name: News\n"))
    assert refused.exit_code == 1
    assert "key: is required" in refused.err


# -- journeys ---------------------------------------------------------------------------------------------------


def test_a_journey_goes_from_draft_to_its_end(wend: Wend, file: File) -> None:
    path = file("tour.yaml", JOURNEY)
    assert "publish it with: wend publish tour" in wend("journeys", "put", path).said
    assert wend("check", path).exit_code == 0
    assert wend("check", "tour", "--json").json["publishable"]
    assert "version 1, is published: live" in wend("publish", "tour").said
    assert "has not changed" in wend("publish", "tour", path).said
    assert wend("publish", "tour", path, "--json").json["new"] is False
    assert "hello (version 1)" in wend("versions", "tour").out
    assert [each["key"] for each in wend("journeys", "--json").json] == ["tour"]
    assert "A tour" in wend("journeys", "--state", "live").out
    assert "finished; nobody is inside" in wend("close", "tour").said


def test_a_draft_comes_back_as_a_file_that_can_be_put_again(wend: Wend, file: File) -> None:
    wend("journeys", "put", file("tour.yaml", JOURNEY))
    again = wend("journeys", "draft", "tour").out
    assert wend("publish", "tour", file("again.yaml", again), "--json").json["version"] == 1


def test_a_published_version_is_shown_as_it_was(wend: Wend, file: File) -> None:
    wend("publish", "tour", file("tour.yaml", JOURNEY))
    wend("journeys", "put", file("tour.yaml", JOURNEY.replace("P1D", "P2D")))
    wend("publish", "tour")
    assert "within: P1D" in wend("version", "tour", 1).out
    assert wend("version", "tour", 2, "--json").json["definition"]["steps"][1]["within"] == "P2D"
    assert wend("version", "tour", 3).err.startswith("error: There is no version")


def test_a_check_tells_every_problem_and_exits_1(wend: Wend, file: File) -> None:
    path = file(
        "tour.yaml", JOURNEY.replace("on_click: text", "on_click: txt").replace("message: hello", "message: hallo")
    )
    checked = wend("check", path)
    assert checked.exit_code == 1
    assert "steps.look.on_click" in checked.out
    assert "did you mean 'hello'?" in checked.out
    saved = wend("journeys", "put", path)
    assert "cannot be published yet" in saved.said
    assert wend("check", "tour").exit_code == 1
    refused = wend("publish", "tour")
    assert refused.exit_code == 1
    assert "steps.look.on_click" in refused.err


def test_a_file_that_is_no_yaml_is_refused_with_its_line(wend: Wend, file: File) -> None:
    refused = wend("check", file("tour.yaml", "key: tour\nsteps: [\n"))
    assert refused.exit_code == 1
    assert "line " in refused.err


def test_a_journey_shows_its_figures_step_by_step(wend: Wend, world: World) -> None:
    world.journey(MAIL, {**AWAIT_CLICK, "on_click": "text", "on_timeout": "exit"}, TEXT)
    clicked, waiting = world.enter(world.person("ada")), world.enter(world.person("grace"))
    for run_id in (clicked, waiting):
        world.send(run_id)
    world.click(clicked)
    world.advance(clicked)
    figures = wend("journey", "trip", "--json").json["figures"]
    assert {each["step"]: each["here"] for each in figures["steps"]} == {"mail": 0, "look": 1, "text": 1}
    shown = wend("journey", "trip")
    assert "message settled 2" in shown.said
    assert "clicked 1" in shown.said
    assert "accepted 2" in shown.said
    assert "of version 1" in wend("journey", "trip", "--version", "1").said


def test_a_scheduled_journey_says_when_it_takes_members_in(wend: Wend, world: World) -> None:
    world.listed("staff", [world.person("ada"), world.person("grace", email=None)])
    world.journey(MAIL, entry={"segment": "staff", "namespace": "email"})
    assert len(wend("journey", "trip", "--json").json["next_occurrences"]) == 1
    assert "takes members in at 2026-12-01" in wend("publish", "trip").said
    audience = wend("audience", "trip")
    assert "no identity 1" in audience.said
    assert "ada" in audience.out
    assert wend("audience", "trip", "--json").json["entering"] == 1
    assert wend("entries", "trip").out.startswith("Nobody entered trip yet")


def test_a_stop_ends_everybody(wend: Wend, world: World) -> None:
    world.journey(DAY)
    world.enter(world.person("ada"))
    assert "go on to their end" in wend("close", "trip").said
    unasked = wend("stop", "trip")
    assert unasked.exit_code == 2
    assert "--yes" in unasked.err
    assert wend("journey", "trip", "--json").json["state"] == "closed"
    stopped = wend("stop", "trip", "--yes")
    assert stopped.exit_code == 0
    assert "stopped; 1 run(s) ended" in stopped.said
    again = wend("stop", "trip", "--yes")
    assert again.exit_code == 1
    assert "is stopped and cannot be stopped" in again.err


# -- runs, entries, events --------------------------------------------------------------------------------------


def test_a_run_is_started_once_for_one_key(wend: Wend, world: World) -> None:
    world.person("ada")
    world.journey(MAIL)
    words = ("start", "trip", "--external-id", "ada", "--property", "order=A-17", "--property", "n=2", "--key", "a1")
    started = wend(*words)
    assert "wend run " in started.said
    run_id = wend(*words, "--json").json["id"]
    assert run_id in started.out
    assert wend("run", run_id, "--json").json["properties"] == {"order": "A-17", "n": 2}
    assert "to be started" in wend("run", run_id).said
    (entry,) = wend("entries", "trip", "--kind", "api", "--json").json
    shown = wend("entry", "trip", entry["id"])
    assert "members 1" in shown.said
    assert wend("runs", "trip", "--entry", entry["id"], "--json").json[0]["id"] == run_id


def test_a_run_is_shown_with_its_whole_path_in_words(wend: Wend, world: World) -> None:
    world.journey(MAIL, {**AWAIT_CLICK, "on_click": "day", "on_timeout": "exit"}, DAY, TEXT)
    run_id = world.enter(world.person("ada"), properties={"order": "A-17"})
    world.send(run_id)
    world.later(timedelta(hours=1))
    world.click(run_id, note="bot")
    world.click(run_id)
    world.advance(run_id)
    shown = wend("run", run_id).said
    for said in (
        "running at day",
        "entered the journey",
        "email hello accepted",
        "mail → look the message was accepted",
        "not counted: bot",
        "look → day clicked details at 2026-12-01 10:00:00",
        "order=A-17",
    ):
        assert said in shown
    assert wend("runs", "trip", "--step", "day", "--json").json[0]["id"] == str(run_id)
    assert "day" in wend("runs", "trip").out


def test_a_late_click_is_shown_with_how_late_it_was(wend: Wend, world: World) -> None:
    world.journey(MAIL, {**AWAIT_CLICK, "on_click": "day", "on_timeout": "exit"}, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    world.later(timedelta(days=1))
    world.advance(run_id)
    world.later(timedelta(hours=2, minutes=3))
    world.click(run_id)
    shown = wend("run", run_id).said
    assert "no click on details by 2026-12-02 09:00:00" in shown
    assert "late by 2 h 3 min" in shown
    assert "completed" in shown


def test_a_failed_run_says_why(wend: Wend, world: World) -> None:
    world.journey(MAIL)
    run_id = world.enter(world.person("ada"))
    world.send(run_id, Refused("recipient_refused", "the mailbox does not exist"))
    assert "the mailbox does not exist" in wend("run", run_id).said
    assert "failed" in wend("runs", "trip", "--state", "failed").out


def test_an_event_is_told_once(wend: Wend, world: World) -> None:
    ada = world.person("ada")
    words = ("event", "order_placed", "--profile", ada, "--property", "total=99.5", "--id", "A-17")
    assert "is recorded" in wend(*words).said
    assert "known already" in wend(*words).said
    assert wend(*words, "--json").json["new"] is False
    assert wend("event", "order_placed", "--external-id", "ada", "--json").json["new"] is True
    assert wend("event", "click", "--profile", ada).exit_code == 1


@pytest.mark.parametrize("words", [["runs"], ["runs", "trip"]])
def test_runs_keep_their_ids_whole_on_a_narrow_terminal(wend: Wend, world: World, words: list[str]) -> None:
    world.journey(MAIL, {**AWAIT_CLICK, "on_click": "day", "on_timeout": "exit"}, DAY)
    run_id = world.enter(world.person("ada"))
    world.send(run_id)
    narrow = wend(*words, env={"COLUMNS": "80"})
    head, line = narrow.out.splitlines()
    assert line.startswith(str(run_id))
    assert "look" in line
    assert max(len(head), len(line)) <= 80
    assert "--json" in narrow.err
    wide = wend(*words)
    assert "2026-12-02 09:00:00" in wide.out
    assert "until (UTC)" in wide.out
    assert wide.err == ""


# -- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "profiles show 6dd4fba4-8d3e-4b34-9b07-4d8c2d9b9d5e",
        "segments show none",
        "messages show none",
        "journey none",
        "versions none",
        "publish none",
        "check none",
        "audience none",
        "close none",
        "stop none",
        "entries none",
        "entry none 6dd4fba4-8d3e-4b34-9b07-4d8c2d9b9d5e",
        "run 6dd4fba4-8d3e-4b34-9b07-4d8c2d9b9d5e",
        "start none --profile 6dd4fba4-8d3e-4b34-9b07-4d8c2d9b9d5e",
        "event order_placed --profile 6dd4fba4-8d3e-4b34-9b07-4d8c2d9b9d5e",
    ],
)
def test_what_does_not_exist_is_refused_in_words(wend: Wend, words: str) -> None:
    refused = wend(*words.split())
    assert refused.exit_code == 1
    assert refused.out == ""
    assert refused.err.startswith("error: There is no ")


def test_a_person_has_to_be_named_in_one_way(wend: Wend) -> None:
    assert wend("start", "trip").exit_code == 2
    assert wend("start", "trip", "--email", "a@example.com", "--external-id", "ada").exit_code == 2
    assert wend("event", "x", "--external-id", "ada", "--property", "nothing").exit_code == 2


def test_a_key_is_asked_for_and_taken_from_the_environment(world: World) -> None:
    token = "a token of sixteen letters"
    with served(ApiParts(world.database, KEYS, world.time, "https://wend.example", api_token=token)) as url:
        refused = run_command("journeys", api=url)
        assert refused.exit_code == 1
        assert "WEND_API_TOKEN" in refused.err
        assert run_command("journeys", api=url, env={"WEND_API_TOKEN": token}).exit_code == 0
