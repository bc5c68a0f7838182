"""Publish checks: each rule with its path and its remedy, all of it at once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from wend.documents import read_definition
from wend.journeys.checks import MessageInfo, check
from wend.journeys.definition import JourneyDefinition


@dataclass
class MemoryCatalog:
    """A catalog out of two dictionaries."""

    known: dict[str, MessageInfo] = field(
        default_factory=lambda: {
            "news": MessageInfo("email", 1, ("details", "imprint")),
            "plain": MessageInfo("email", 2),
            "unready": MessageInfo("email", 0, ("details",)),
            "ping": MessageInfo("sms", 1, ("offer",)),
        }
    )
    keys: tuple[str, ...] = ("customers", "employees")

    def message(self, key: str) -> MessageInfo | None:
        return self.known.get(key)

    def messages(self) -> list[str]:
        return list(self.known)

    def has_segment(self, key: str) -> bool:
        return key in self.keys

    def segments(self) -> list[str]:
        return list(self.keys)


def definition(steps: str, entry: str = "") -> JourneyDefinition:
    head = f"key: test\nname: Test\n{f'entry: {entry}' if entry else ''}\n"
    return read_definition(f"{head}steps:\n{steps}")


def said(steps: str, entry: str = "") -> list[str]:
    """Return the problems as a person reads them."""
    return [
        ("warning: " if problem.severity == "warning" else "") + str(problem)
        for problem in check(definition(steps, entry), MemoryCatalog())
    ]


SEND = "  - {id: announce, type: send_email, message: news}\n"
ALL_WELL = SEND + "  - {id: interested, type: wait_for_click, sent_by: announce, link: details, within: P1D}\n"


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        pytest.param(ALL_WELL, [], id="nothing wrong"),
        pytest.param(
            SEND + "  - {id: a, type: wait, for: P1D}\n  - {id: a, type: wait, for: P2D}",
            ["steps.a: 2 steps have this id; each needs its own"],
            id="an id twice",
        ),
        pytest.param(
            "  - {id: exit, type: wait, for: P1D}",
            ["steps.exit: 'exit' is the journey's end and cannot be a step's id"],
            id="the reserved id",
        ),
        pytest.param(
            "  - {id: a, type: wait, for: P1D, next: thankyou}\n  - {id: thank-you, type: exit}",
            ["steps.a.next: no step is called 'thankyou'; did you mean 'thank-you'?"],
            id="an unknown next",
        ),
        pytest.param(
            SEND + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D, on_click: x, on_timeout: exti}",
            [
                "steps.w.on_click: no step is called 'x'",
                "steps.w.on_timeout: no step is called 'exti'; did you mean 'exit'?",
            ],
            id="unknown branches of a click",
        ),
        pytest.param(
            "  - {id: w, type: wait_for_event, event: e, within: P1D, on_event: x, on_timeout: y}",
            ["steps.w.on_event: no step is called 'x'", "steps.w.on_timeout: no step is called 'y'"],
            id="unknown branches of an event",
        ),
        pytest.param(
            "  - {id: i, type: if, cases: [{when: {attribute: a, op: exists}, next: x}], else: y}",
            ["steps.i.cases.0.next: no step is called 'x'", "steps.i.else: no step is called 'y'"],
            id="unknown branches of an if",
        ),
        pytest.param(
            "  - {id: s, type: send_email, message: news, on_failure: x}\n"
            "  - {id: u, type: wait_until, attribute: a, on_missing: y}",
            ["steps.s.on_failure: no step is called 'x'", "steps.u.on_missing: no step is called 'y'"],
            id="unknown ways out of a send and a date",
        ),
        pytest.param(
            "  - {id: a, type: exit}\n  - {id: b, type: wait, for: P1D}",
            ["steps.b: no path leads here; remove the step or lead one here"],
            id="below an exit",
        ),
        pytest.param(
            "  - {id: a, type: wait, for: P1D, next: exit}\n"
            "  - {id: b, type: wait, for: P1D, next: c}\n"
            "  - {id: c, type: wait, for: P1D, next: b}",
            [
                "steps.b: no path leads here; remove the step or lead one here",
                "steps.c: no path leads here; remove the step or lead one here",
            ],
            id="a loop that nobody comes to",
        ),
        pytest.param(
            "  - {id: a, type: wait, for: P1D}\n  - {id: b, type: wait, for: P1D, next: a}",
            [
                "steps.a: no path leads from here to an exit; lead a branch to exit",
                "steps.b: no path leads from here to an exit; lead a branch to exit",
            ],
            id="no way out",
        ),
        pytest.param(
            "  - {id: a, type: wait, for: P1D}\n"
            "  - {id: b, type: if, cases: [{when: {attribute: x, op: exists}, next: a}]}",
            [],
            id="an if without else is a way out",
        ),
        pytest.param(
            "  - {id: a, type: send_email, message: news}\n"
            "  - {id: b, type: if, cases: [{when: {attribute: x, op: exists}, next: a}], else: exit}",
            ["steps.a: this loop never waits: a → b → a; put a wait into it"],
            id="a loop without a wait",
        ),
        pytest.param(
            "  - {id: a, type: if, cases: [{when: {attribute: x, op: exists}, next: a}], else: exit}",
            ["steps.a: this loop never waits: a → a; put a wait into it"],
            id="a step that leads to itself",
        ),
        pytest.param(
            "  - {id: a, type: wait_until, attribute: due, on_missing: exit}\n"
            "  - {id: b, type: if, cases: [{when: {attribute: x, op: exists}, next: a}], else: exit}",
            [
                "steps.a: this loop never waits: a → b → a; put a wait into it "
                "(a wait_until whose date has passed does not wait)"
            ],
            id="a date is no wait",
        ),
        pytest.param(
            "  - {id: a, type: wait, for: PT1H}\n"
            "  - {id: b, type: if, cases: [{when: {attribute: x, op: exists}, next: a}], else: exit}",
            [],
            id="a loop with a wait",
        ),
        pytest.param(
            SEND
            + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D, on_click: exit, on_timeout: announce}",
            [
                "warning: steps.announce: whoever cannot be sent the message does not wait in this loop: "
                "announce → w → announce, and their run fails; put a wait into it, or leave it by an if"
            ],
            id="a loop that waits for clicks only",
        ),
        pytest.param(
            SEND
            + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D, on_click: announce, on_timeout: exit}",
            [],
            id="a loop by clicks",
        ),
        pytest.param(
            SEND + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D, on_click: exit}\n"
            "  - {id: p, type: wait, for: P1D, next: announce}",
            [],
            id="a loop by timeouts with a wait in it",
        ),
        pytest.param(
            SEND + "  - {id: w, type: wait_for_click, sent_by: anounce, within: P1D}",
            ["steps.w.sent_by: no step is called 'anounce'; did you mean 'announce'?"],
            id="waiting for a step that is none",
        ),
        pytest.param(
            SEND + "  - {id: p, type: wait, for: P1D}\n  - {id: w, type: wait_for_click, sent_by: p, within: P1D}",
            ["steps.w.sent_by: 'p' sends nothing; name the step that sends the message"],
            id="waiting for a step that sends nothing",
        ),
        pytest.param(
            SEND + "  - {id: w, type: wait_for_click, sent_by: news, within: P1D}",
            ["steps.w.sent_by: no step is called 'news'"],
            id="waiting for the message's name",
        ),
        pytest.param(
            "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D}\n" + SEND,
            ["steps.w.sent_by: a path comes here without passing 'announce': there is no message to wait for"],
            id="waiting before sending",
        ),
        pytest.param(
            "  - {id: i, type: if, cases: [{when: {attribute: x, op: exists}, next: announce}], else: w}\n"
            + SEND
            + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D}",
            ["steps.w.sent_by: a path comes here without passing 'announce': there is no message to wait for"],
            id="a path around the send",
        ),
        pytest.param(
            SEND
            + "  - {id: i, type: if, cases: [{when: {attribute: x, op: exists}, next: l}], else: r}\n"
            + "  - {id: l, type: wait, for: P1D, next: w}\n"
            + "  - {id: r, type: wait, for: P2D, next: w}\n"
            + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D}",
            [],
            id="paths that part and join behind the send",
        ),
        pytest.param(
            "  - {id: i, type: if, cases: [{when: {attribute: x, op: exists}, next: l}], else: r}\n"
            "  - {id: l, type: send_email, message: news, next: w}\n"
            "  - {id: r, type: send_email, message: news, next: w}\n"
            "  - {id: w, type: wait_for_click, sent_by: l, within: P1D}",
            ["steps.w.sent_by: a path comes here without passing 'l': there is no message to wait for"],
            id="two sends of one message, one of them awaited",
        ),
        pytest.param(
            "  - {id: s, type: send_email, message: news, on_failure: w}\n"
            "  - {id: w, type: wait_for_click, sent_by: s, within: P1D}",
            [],
            id="the way of a failed send passes the send",
        ),
        pytest.param(
            "  - {id: p, type: wait, for: P1D}\n"
            + SEND
            + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D}",
            [],
            id="every path passes the send on its way",
        ),
        pytest.param(
            SEND
            + "  - {id: p, type: wait, for: P1D}\n"
            + "  - {id: w, type: wait_for_click, sent_by: announce, within: P1D, on_click: exit, on_timeout: p}",
            [],
            id="a loop behind the send",
        ),
        pytest.param(
            SEND + "  - {id: w, type: wait_for_click, sent_by: announce, link: detials, within: P1D}",
            ["steps.w.link: 'news' has no link 'detials'; did you mean 'details'? (links: details, imprint)"],
            id="an unknown link",
        ),
        pytest.param(
            "  - {id: s, type: send_email, message: plain}\n"
            "  - {id: w, type: wait_for_click, sent_by: s, link: details, within: P1D}",
            ["steps.w.link: 'plain' has no link 'details' (links: none)"],
            id="a link of a message without any",
        ),
        pytest.param(
            "  - {id: s, type: send_email, message: plain}\n  - {id: w, type: wait_for_click, sent_by: s, within: P1D}",
            ["steps.w: 'plain' has no tracked link, so no click can come"],
            id="any link of a message without any",
        ),
        pytest.param(
            "  - {id: s, type: send_email, message: nwes}",
            ["steps.s.message: no message is called 'nwes'; did you mean 'news'?"],
            id="an unknown message",
        ),
        pytest.param(
            "  - {id: s, type: send_email, message: unready}",
            ["steps.s.message: 'unready' is still a draft; make it ready first: wend messages ready unready"],
            id="a draft",
        ),
        pytest.param(
            "  - {id: s, type: send_sms, message: news}",
            ["steps.s.message: 'news' is for email, and the step sends sms"],
            id="a message for another channel",
        ),
        pytest.param(
            "  - {id: i, type: if, cases: [{when: {attribute: x, op: exists}, next: exit}, "
            "{when: {any: [{segment: employes}, {not: {segment: vips}}]}, next: exit}], else: exit}",
            [
                "steps.i.cases.1.when: no segment is called 'employes'; did you mean 'employees'?",
                "steps.i.cases.1.when: no segment is called 'vips'",
            ],
            id="unknown segments in conditions",
        ),
    ],
)
def test_each_rule_says_where_and_what_to_do(steps: str, problems: list[str]) -> None:
    assert said(steps) == problems


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{segment: customers, exclude: [employees]}", []),
        (
            "{segment: custmers, exclude: [employees, nobody]}",
            [
                "entry.segment: no segment is called 'custmers'; did you mean 'customers'?",
                "entry.exclude.1: no segment is called 'nobody'",
            ],
        ),
        ("{segment: customers, frequency: once_and_joiners}", []),
        (
            "{segment: [customers, vips, employes]}",
            [
                "entry.segment.1: no segment is called 'vips'",
                "entry.segment.2: no segment is called 'employes'; did you mean 'employees'?",
            ],
        ),
        (
            "{segment: customers, exclude: [customers]}",
            ["entry.exclude.0: nobody would enter: 'customers' is the segment that enters"],
        ),
        (
            "{segment: customers, frequency: repeating, "
            "schedule: {start: {at: 2026-12-01T09:00}, every: day, until: 2026-11-01T09:00}}",
            ["entry.schedule.until: is before the start: nobody would ever enter"],
        ),
    ],
)
def test_the_entry_is_checked_too(entry: str, problems: list[str]) -> None:
    assert said(ALL_WELL, entry) == problems


NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
REPEATS = "frequency: repeating, schedule: {start: {at: 2026-01-01T09:00}, every: day"


@pytest.mark.parametrize(
    ("entry", "window", "problems"),
    [
        ("{segment: customers}", "", []),
        (
            "{segment: customers}",
            "{opens: 2027-03-01T00:00}",
            ["entry.schedule.start: is before the window opens: nobody would enter then"],
        ),
        (
            "{segment: customers}",
            "{closes: 2026-12-01T09:30}",
            ["entry.schedule.start: is after the window closes: nobody would ever enter"],
        ),
        ("{segment: customers, frequency: once_and_joiners}", "{opens: 2027-03-01T00:00}", []),
        ("{segment: customers}", "{closes: 2020-01-01T00:00}", [
            "window.closes: has passed: the journey would be closed at once",
            "entry.schedule.start: is after the window closes: nobody would ever enter",
        ]),
        ("{segment: customers, schedule: {start: {at: 2026-11-30T09:00}}}", "", [
            "warning: entry.schedule.start.at: has passed: the segment enters at once"
        ]),
        (f"{{segment: customers, {REPEATS}}}}}", "", [
            "warning: entry.schedule.start.at: has passed: the next occurrence is the first"
        ]),
        (f"{{segment: customers, {REPEATS}, times: 5}}}}", "", [
            "warning: entry.schedule.times: every occurrence has passed: nobody would enter any more"
        ]),
        (f"{{segment: customers, {REPEATS}, until: 2026-02-01T00:00}}}}", "", [
            "warning: entry.schedule.until: every occurrence has passed: nobody would enter any more"
        ]),
    ],
)  # fmt: skip
def test_what_the_moment_of_publishing_decides_is_told(entry: str, window: str, problems: list[str]) -> None:
    draft = definition(ALL_WELL, f"{entry}\nwindow: {window}" if window else entry)
    found = check(draft, MemoryCatalog(), NOW)
    assert [("warning: " if each.severity == "warning" else "") + str(each) for each in found] == problems


def test_five_different_problems_are_all_told_at_once() -> None:
    assert said(
        """
  - {id: announce, type: send_email, message: nwes, on_failure: plan-c}
  - {id: interested, type: wait_for_click, sent_by: anounce, within: P1D, on_timeout: choice}
  - {id: choice, type: if, cases: [{when: {segment: vips}, next: choice}], else: exit}
  - {id: text, type: send_sms, message: unready}
""",
        "{segment: custmers}",
    ) == [
        "steps.announce.on_failure: no step is called 'plan-c'",
        "steps.choice: this loop never waits: choice → choice; put a wait into it",
        "steps.interested.sent_by: no step is called 'anounce'; did you mean 'announce'?",
        "entry.segment: no segment is called 'custmers'; did you mean 'customers'?",
        "steps.announce.message: no message is called 'nwes'; did you mean 'news'?",
        "steps.text.message: 'unready' is for email, and the step sends sms",
        "steps.text.message: 'unready' is still a draft; make it ready first: wend messages ready unready",
        "steps.choice.cases.0.when: no segment is called 'vips'",
    ]


def test_a_wrong_target_makes_no_step_look_unreachable() -> None:
    assert said("  - {id: a, type: wait, for: P1D, next: ghost}\n  - {id: b, type: wait, for: P1D}") == [
        "steps.a.next: no step is called 'ghost'"
    ]


def test_every_step_of_a_loop_is_told_of_once_by_a_shortest_way() -> None:
    exists = "{attribute: x, op: exists}"
    assert said(f"""
  - {{id: a, type: if, cases: [{{when: {exists}, next: b}}, {{when: {exists}, next: c}}], else: d}}
  - {{id: b, type: if, cases: [{{when: {exists}, next: a}}], else: c}}
  - {{id: c, type: if, cases: [{{when: {exists}, next: b}}], else: d}}
  - {{id: d, type: if, cases: [{{when: {exists}, next: e}}], else: exit}}
  - {{id: e, type: update_profile, set: {{x: 1}}, next: d}}
""") == [
        "steps.a: this loop never waits: a → b → a; put a wait into it",
        "steps.c: this loop never waits: c → b → c; put a wait into it",
        "steps.d: this loop never waits: d → e → d; put a wait into it",
    ]


def test_hundreds_of_waits_for_one_message_are_checked_in_no_time() -> None:
    waits = "".join(
        f"  - {{id: w{number}, type: wait_for_click, sent_by: announce, within: P1D, on_click: exit}}\n"
        for number in range(300)
    )
    assert said(SEND + waits) == []
