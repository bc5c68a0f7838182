"""Words and tables about a journey that runs: pauses, moves, differences, who did what, how everything stands."""

import io
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich.console import Console, RenderableType

from wend.cli.auditing import draw_audit, say_deed
from wend.cli.changing import draw_differences
from wend.cli.figures import draw_journey, say_pause
from wend.cli.inputs import read_instant
from wend.cli.running import draw_move, read_steps
from wend.cli.telling import draw_run
from wend.cli.top import REFRESH, draw_top, say_fullest, watch
from wend.errors import Conflict

AT = "2026-12-01T09:00:00Z"
SHOWN = "2026-12-01 09:00:00 UTC"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this machine stand in Greenwich: instants are told in its zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def lines(drawn: RenderableType, width: int = 200) -> list[str]:
    """Return what stands in each line, blanks between words taken as one."""
    file = io.StringIO()
    Console(file=file, width=width, highlight=False, markup=False).print(drawn)
    assert max(map(len, file.getvalue().splitlines())) <= width
    return [" ".join(line.split()) for line in file.getvalue().splitlines() if line.strip()]


# -- pauses and moves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "waits", "until", "said"),
    [
        ("drop", "run", None, "until it is resumed; nobody enters meanwhile, waits run on"),
        ("queue", "freeze", AT, f"until {SHOWN}; who would enter is queued, waits are frozen"),
    ],
)
def test_a_pause_is_said_in_words(entries: str, waits: str, until: str | None, said: str) -> None:
    assert say_pause({"entries": entries, "waits": waits}, until) == said


def test_an_instant_names_its_offset() -> None:
    assert read_instant(None, "--until") is None
    assert read_instant("2026-12-01T09:00+01:00", "--until") == "2026-12-01T09:00:00+01:00"
    assert read_instant(AT, "--until") == "2026-12-01T09:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "said"),
    [("2026-12-01T09:00", "in which zone"), ("2026-12-01", "in which zone"), ("tomorrow", "is no instant")],
)
def test_an_instant_without_an_offset_is_refused(given: str, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        read_instant(given, "--until")


@pytest.mark.parametrize(
    ("given", "said"), [(["a"], "OLD=NEW"), (["=b"], "OLD=NEW"), (["a="], "OLD=NEW"), (["a=b", "a=c"], "two places")]
)
def test_a_step_takes_the_place_of_another_one(given: list[str], said: str) -> None:
    assert read_steps(None) == {}
    assert read_steps(["a=b", "c=b", "a=b"]) == {"a": "b", "c": "b"}
    with pytest.raises(typer.BadParameter, match=said):
        read_steps(given)


def test_a_move_is_shown_by_version_and_step() -> None:
    moving = [
        {"version": 1, "step": None, "runs": 2},
        {"version": 1, "step": "look", "runs": 1200},
        {"version": 2, "step": "day", "runs": 3},
    ]
    planned = {"journey": "trip", "to": 3, "runs": 1205, "moving": moving, "sending": 7}
    assert lines(draw_move(planned, {"look": "watch"})) == [
        "version at in version 3 at runs",
        "1 has not begun its beginning 2",
        "1 look watch 1,200",
        "2 day day 3",
        "7 more are sending at this moment: they stay, and can be moved when they wait",
    ]


def test_a_move_that_concerns_nobody_says_so() -> None:
    planned = {"journey": "trip", "to": 3, "runs": 0, "moving": [], "sending": 0}
    assert lines(draw_move(planned, {})) == ["No run that fits waits on another version"]


# -- differences ------------------------------------------------------------------------------------------------


def test_differences_are_told_one_a_line() -> None:
    differences: list[dict[str, Any]] = [
        {"path": "name", "kind": "changed", "before": "Trip", "after": "Tour"},
        {"path": "entry.rate", "kind": "added", "before": None, "after": "100/s"},
        {"path": "steps.text", "kind": "removed", "before": {"id": "text", "type": "send_sms"}, "after": None},
        {"path": "steps.look", "kind": "moved", "before": "text", "after": "exit"},
        {"path": "steps.look.n", "kind": "changed", "before": 1, "after": None},
    ]
    assert lines(draw_differences(differences)) == [
        "~ name: Trip → Tour",
        "+ entry.rate: 100/s",
        '- steps.text: {"id": "text", "type": "send_sms"}',
        "~ steps.look is followed by exit instead of text",
        "~ steps.look.n: 1 → null",
    ]
    assert lines(draw_differences([])) == ["Nothing differs"]


# -- who did what -----------------------------------------------------------------------------------------------


def record(action: str, detail: dict[str, Any], **more: Any) -> dict[str, Any]:
    ids = {"journey": "trip", "version": 1, "run_id": None, "profile_id": None}
    return {"id": 1, "at": AT, "by": "ada", "action": action, "detail": detail, **ids, **more}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            record("pause", {"entries": "drop", "waits": "run", "inside": 1200}),
            "1,200 inside; entries: drop, waits: run",
        ),
        (
            record("pause", {"entries": "queue", "waits": "freeze", "inside": 0, "resume_at": AT}),
            f"0 inside; entries: queue, waits: freeze, until {SHOWN}",
        ),
        (record("pause", {"resume_at": AT}), f"is to go on at {SHOWN}"),
        (record("resume", {"held": 30, "rate": 100}), "30 held, 100 per second"),
        (
            record("move", {"to": 2, "runs": 1200, "rate": 50, "steps": {"look": "watch"}}),
            "1,200 run(s) to version 2, 50 per second, look → watch",
        ),
        (record("close", {"inside": 3}), "3 inside"),
        (record("stop", {"inside": 0}), "0 inside"),
        (record("exit", {}, run_id="r1", profile_id="p1"), "profile p1 out of run r1"),
        (record("exit", {"runs": 2}, profile_id="p1"), "profile p1 out of 2 run(s)"),
        (record("adjust", {"message": "hello", "message_version": 2}), "hello: its version 2"),
        (record("adjust", {"changed": ["name", "rate"], "rate": 1000}), "name, rate 1,000/s"),
        (record("take_in", {"occurrence": "2026-12-01T09:00", "was": "missed"}), "2026-12-01T09:00, which was missed"),
        (record("publish", {}), ""),
        (record("something_new", {"runs": 2}), "runs 2"),
    ],
    ids=lambda each: f"{each['action']} {'-'.join(each['detail'])}" if isinstance(each, dict) else "",
)
def test_an_action_is_said_in_words(told: dict[str, Any], said: str) -> None:
    assert say_deed(told) == said


def test_what_somebody_calls_themselves_cannot_steer_the_terminal() -> None:
    [_, line] = lines(draw_audit([record("restore_draft", {}, by="a\x1b[2Jb")]))
    assert line == "2026-12-01 09:00:00 a\\x1b[2Jb restore draft trip 1 –"


# -- how one journey stands -------------------------------------------------------------------------------------


def figures(**more: Any) -> dict[str, Any]:
    counted: dict[str, Any] = {"excluded": {}, "outcomes": {}, "messages": {}, "clicks": {}, "steps": []}
    numbers = {"members": 5, "entered": 5, "pending": 0, "held": 0, "inside": 5, "moved_in": 0, "moved_out": 0}
    return {"journey": "trip", "version": None, "state": "live", **numbers, **counted, **more}


def journey(**more: Any) -> dict[str, Any]:
    row = {"key": "trip", "name": "Trip", "state": "live", "version": 2, "first_published_at": AT, "description": ""}
    rare: dict[str, Any] = {"pause": None, "resume_at": None, "closes_at": None, "rate": None, "next_occurrences": []}
    return {**row, **rare, "figures": figures(), **more}


def test_a_journey_shows_its_pause_its_window_and_what_was_changed() -> None:
    pause = {"entries": "queue", "waits": "freeze", "rate": 50, "since": AT}
    paused = journey(state="paused", pause=pause, closes_at=AT, rate="100/s", description="For those who asked")
    shown = lines(draw_journey(paused | {"figures": figures(held=3, pending=1)}))
    for line in (
        "state paused",
        "description For those who asked",
        f"paused since {SHOWN}, until it is resumed; who would enter is queued, waits are frozen",
        f"window nobody enters from {SHOWN} on",
        "rate 100/s, whatever the version says",
        "inside 5 (1 have not begun, 3 are held before their next send)",
    ):
        assert line in shown


def test_a_journey_says_no_more_than_there_is_to_say() -> None:
    shown = lines(draw_journey(journey()))
    assert {line.split()[0] for line in shown} & {"paused", "window", "rate", "description", "moved"} == set()
    assert "inside 5" in shown


def test_figures_of_one_version_tell_who_was_moved() -> None:
    of_one = journey(figures=figures(version=1, moved_in=2, moved_out=1000))
    assert "moved 2 came from another version, 1,000 went to another" in lines(draw_journey(of_one))


def test_figures_are_told_step_by_step() -> None:
    step = {"step": "look", "entered": 9, "here": 2, "left": {"clicked": 3, "timed_out": 4}}
    sent = {"messages": {"accepted": 8}, "clicks": {"counted": 3, "late": 1}}
    *_, head, row = lines(draw_journey(journey(figures=figures(steps=[step | sent]))))
    assert head == "step entered here now left, by why messages clicks"
    assert row == "look 9 2 clicked 3, timed out 4 accepted 8 counted 3, late 1"


def test_a_run_that_is_held_says_since_when() -> None:
    ids = {"id": "r1", "journey": "trip", "version": 1, "profile_id": "p1", "entry_id": "e1", "entry_number": 1}
    where = {"workflow_id": "run/trip/p1/1", "workflow_url": "http://127.0.0.1:8233/w", "properties": {}}
    standing = {"state": "running", "step": "mail", "reason": None, "error": None, "ended_at": None, "created_at": AT}
    held = {"held_at": AT, "parked_until": "9999-12-31T23:59:59Z", "moves": [], "messages": [], "clicks": []}
    run: dict[str, Any] = {**ids, **where, **standing, **held}
    shown = lines(draw_run(run))
    assert f"state running at mail, held since {SHOWN}" in shown
    assert "workflow run/trip/p1/1" in shown
    assert "Temporal UI http://127.0.0.1:8233/w" in shown


# -- how everything stands --------------------------------------------------------------------------------------


def at_work(**more: Any) -> dict[str, Any]:
    counts = {"inside": 1250, "held": 0, "pending": 0, "sent_last_minute": 0, "failed": 0, "missed": 0}
    rest = {"overdue_seconds": 0.0, "resume_at": None, "steps": [{"step": "look", "here": 1250}]}
    return {"key": "trip", "name": "Trip", "state": "live", "version": 1, **counts, **rest, **more}


def test_top_has_one_line_per_journey() -> None:
    late = at_work(key="tour", sent_last_minute=240, overdue_seconds=75.5, failed=2, missed=1)
    paused = at_work(key="walk", state="paused", held=3, resume_at=AT, steps=[])
    assert lines(draw_top([at_work(), late])) == [
        "journey state inside held sends/min late failed missed fullest steps",
        "trip live 1,250 0 0 – 0 0 look 1,250",
        "tour live 1,250 0 240 1 min 15 s 2 1 look 1,250",
    ]
    assert lines(draw_top([at_work(), paused])) == [
        "journey state inside held sends/min late failed missed goes on (UTC) fullest steps",
        "trip live 1,250 0 0 – 0 0 – look 1,250",
        "walk paused 1,250 3 0 – 0 0 2026-12-01 09:00 –",
    ]
    assert lines(draw_top([])) == ["There is no journey that is not over: wend journeys"]


def test_top_fits_a_narrow_terminal() -> None:
    journeys = [at_work(key="a-journey-with-a-long-name", overdue_seconds=75.0), at_work(state="finished")]
    shown = lines(draw_top(journeys), width=80)
    assert any(re.match(r"a-jour\S*… live 1,250 0 0 1 min 15 s 0 0 look", line) for line in shown)
    assert any(line.startswith("trip finished 1,250") for line in shown)


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ({}, ""),
        ({"a": 1, "b": 0}, "a 1"),
        ({"a": 1, "b": 1200, "c": 1}, "b 1,200, a 1, c 1"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "d 4, c 3, b 2, …"),
    ],
)
def test_the_fullest_steps_come_first(here: dict[str, int], said: str) -> None:
    assert say_fullest([{"step": step, "here": count} for step, count in here.items()]) == said


def test_who_watches_is_told_when_nobody_answers_and_sees_the_last_answer() -> None:
    answers: Iterator[Any] = iter([Conflict("The API is away.\nStart it."), [at_work(inside=7)]])
    drawn: list[list[str]] = []
    waits: list[float] = []

    def ask() -> list[dict[str, Any]]:
        answer = next(answers)
        if isinstance(answer, Conflict):
            raise answer
        return list(answer)

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch([at_work()], ask, lambda each: drawn.append(lines(each)), wait, Conflict)
    assert waits == [REFRESH] * 3
    first, away, back = drawn
    assert away[1] == "No newer answer: The API is away."
    assert (first[1:], back[-1]) == ([*away[2:]], "trip live 7 0 0 – 0 0 look 1,250")
    assert "every 2 s; Ctrl-C ends" in first[0]


def test_who_watches_is_told_what_is_refused() -> None:
    def ask() -> list[dict[str, Any]]:
        raise Conflict("No.")

    with pytest.raises(Conflict):
        watch([], ask, lambda _: None, lambda _: None, TimeoutError)
