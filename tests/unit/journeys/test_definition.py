"""The definition: what it accepts, what it is told apart by, and what it says of a document that does not hold."""

from datetime import datetime, timedelta
from typing import Any, get_args

import jsonschema_rs
import pytest

from tests.unit.journeys.documents import EVERY_STEP, REFERENCE
from wend.documents import definition_schema, parse_definition, read_definition, read_document
from wend.errors import InvalidDocument
from wend.journeys.definition import canonical_json
from wend.journeys.steps import AnyStep, WaitForClick, WaitUntil


def test_the_reference_journey_is_what_it_says() -> None:
    definition = read_definition(REFERENCE)
    assert definition.entry is not None
    assert (definition.entry.segment, definition.entry.exclude) == ("most-valuable-customers", ("employees",))
    assert (definition.entry.namespace, definition.entry.frequency, definition.entry.rate) == ("email", "once", 500)
    assert definition.following() == {
        "announce": "interested",
        "interested": "launch-day",
        "launch-day": "launched",
        "launched": "exit",
    }
    interested, launch_day = definition.steps[1], definition.steps[2]
    assert isinstance(interested, WaitForClick)
    assert (interested.within, interested.link) == (timedelta(days=1), "product-details")
    assert isinstance(launch_day, WaitUntil)
    assert launch_day.at == datetime(2026, 12, 10, 9)  # noqa: DTZ001


def test_every_step_type_is_in_the_document_that_has_one_of_each() -> None:
    types = get_args(get_args(AnyStep)[0])
    assert len(types) == 9
    assert {type(step) for step in read_definition(EVERY_STEP).steps} == set(types)


@pytest.mark.parametrize("text", [REFERENCE, EVERY_STEP], ids=["reference", "every step"])
def test_a_document_written_out_reads_back_as_the_same_journey(text: str) -> None:
    definition = read_definition(text)
    again = parse_definition(definition.document())
    assert again == definition
    assert again.content_hash == definition.content_hash
    assert read_definition(canonical_json(definition.document())) == definition


def test_the_hash_does_not_depend_on_notation_order_or_defaults_left_out() -> None:
    short = read_definition(
        "key: a\nname: A\nsteps: [{id: s, type: send_email, message: m}, {id: w, type: wait, for: P1D}]"
    )
    long = parse_definition(
        {
            "steps": [
                {"retries": 30, "message": "m", "to": "email", "type": "send_email", "id": "s", "next": None},
                {"for": "PT24H", "type": "wait", "id": "w"},
            ],
            "time_zone": "UTC",
            "description": "",
            "name": "A",
            "key": "a",
        }
    )
    assert short == long
    assert short.content_hash == long.content_hash
    assert short.document() == {
        "key": "a",
        "name": "A",
        "description": "",
        "time_zone": "UTC",
        "reentry": {"still_inside": "skip"},
        "exit_on": [],
        "steps": [
            {
                "id": "s",
                "type": "send_email",
                "message": "m",
                "to": "email",
                "delivery": "at_most_once",
                "retries": 30,
            },
            {"id": "w", "type": "wait", "for": "P1D", "since": "arrival"},
        ],
    }
    assert len(short.content_hash) == 64


@pytest.mark.parametrize(
    "other",
    [
        "key: b\nname: A\nsteps: [{id: w, type: wait, for: P1D}]",
        "key: a\nname: B\nsteps: [{id: w, type: wait, for: P1D}]",
        "key: a\nname: A\ntime_zone: Europe/Paris\nsteps: [{id: w, type: wait, for: P1D}]",
        "key: a\nname: A\nsteps: [{id: w, type: wait, for: P2D}]",
        "key: a\nname: A\nsteps: [{id: w, type: wait, for: P1D}, {id: v, type: wait, for: P1D}]",
        "key: a\nname: A\nsteps: [{id: w, type: update_profile, set: {x: null}}]",
    ],
)
def test_every_difference_in_meaning_changes_the_hash(other: str) -> None:
    one = read_definition("key: a\nname: A\nsteps: [{id: w, type: wait, for: P1D}]")
    assert read_definition(other).content_hash != one.content_hash


# -- the JSON Schema ------------------------------------------------------------------------------------------------


def test_the_schema_is_valid_json_schema() -> None:
    schema = definition_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("text", [REFERENCE, EVERY_STEP], ids=["reference", "every step"])
def test_the_schema_accepts_a_good_journey_as_written_and_as_written_out(text: str) -> None:
    validator = jsonschema_rs.Draft202012Validator(definition_schema())
    validator.validate(read_document(text))
    validator.validate(read_definition(text).document())


@pytest.mark.parametrize(
    "document",
    [
        {"key": "Bad Key", "name": "A", "steps": [{"id": "w", "type": "exit"}]},
        {"key": "a", "name": "A", "steps": []},
        {"key": "a", "name": "A", "steps": [{"id": "w", "type": "walk"}]},
        {"key": "a", "name": "A", "steps": [{"id": "w", "type": "exit"}], "colour": "red"},
        {"key": "a", "name": "A", "steps": [{"id": "w", "type": "wait"}]},
        {"key": "a", "name": "A", "entry": {"segment": "s", "schedule": {"every": "year"}}, "steps": []},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(document: dict[str, Any]) -> None:
    assert not jsonschema_rs.Draft202012Validator(definition_schema()).is_valid(document)
    with pytest.raises(InvalidDocument):
        parse_definition(document)


# -- what is wrong, and where ----------------------------------------------------------------------------------------

HEAD = "key: a\nname: A\n"
KEY_RULE = "write 1 to 63 lower-case letters, digits, - and _, the first a letter or a digit"
TYPES = "send_email, send_sms, wait, wait_until, wait_for_click, wait_for_event, if, update_profile, exit"


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidDocument) as refused:
        read_definition(text)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        ("{id: r, type: send_emial}", [
            f"steps.r: there is no type 'send_emial'; did you mean 'send_email'? (types: {TYPES})"
        ]),
        ("{id: r, message: m}", ["steps.r: has no 'type'"]),
        ("{type: exit}", ["steps.0.id: is required"]),
        ("{id: r, type: 5}", [f"steps.r: there is no type '5' (types: {TYPES})"]),
        ("{id: 5, type: exit}", ["steps.0.id: must be text (a number needs quotes)"]),
        ("{id: Bad Key, type: exit}", [f"steps.Bad Key.id: 'Bad Key' does not fit; {KEY_RULE}"]),
        ("just text", ["steps.0: must be an object"]),
        ("[a, b]", ["steps.0: must be an object"]),
        (
            "{id: r, type: send_email, mesage: m}",
            [
                "steps.r.message: is required",
                "steps.r.mesage: there is no such field here; did you mean 'message'?",
            ],
        ),
        ("{id: r, type: exit, colour: red}", ["steps.r.colour: there is no such field here"]),
        ("{id: r, type: send_email, message: m, to: E-Mail}", [
            "steps.r.to: 'E-Mail' does not fit; write 1 to 63 lower-case letters, digits and _, the first a letter"
        ]),
        ("{id: r, type: send_email, message: m, retries: many}", ["steps.r.retries: must be a whole number"]),
        ("{id: r, type: send_email, message: m, retries: true}", ["steps.r.retries: must be a whole number"]),
        ("{id: r, type: send_email, message: m, delivery: twice}", [
            "steps.r.delivery: input should be 'at_most_once' or 'at_least_once'"
        ]),
        ("{id: r, type: wait, for: 1 day}", [
            "steps.r.for: '1 day' is no ISO 8601 duration, such as PT30M, PT1H30M, P1D or P2W"
        ]),
        ("{id: r, type: wait, for: 5}", [
            "steps.r.for: a duration is ISO 8601 text, such as PT30M, PT1H30M, P1D or P2W, not int: 5"
        ]),
        ("{id: r, type: wait, for: PT0S}", [
            "steps.r.for: must be longer than nothing"
        ]),
        ("{id: r, type: wait_until, at: 2026-13-01T09:00}", [
            "steps.r.at: '2026-13-01T09:00' is no date-time: month must be in 1..12"
        ]),
        ("{id: r, type: wait_until, at: 2026-12-10}", [
            "steps.r.at: '2026-12-10' is no date-time; write 2026-12-01T09:00 (wall time) or 2026-12-01T09:00Z"
        ]),
        ("{id: r, type: wait_until, at: 0026-12-10T09:00}", [
            "steps.r.at: '0026-12-10T09:00' is outside of the years 1970 to 9998"
        ]),
        ("{id: r, type: wait_for_click, sent_by: a, within: P1D, link: a b}", [
            "steps.r.link: 'a b' does not fit; write 1 to 100 letters, digits, - . and _ without accents, "
            "the first a letter or a digit"
        ]),
        ("{id: r, type: update_profile, set: {}}", ["steps.r: sets nothing; give 'set' or 'set_from'"]),
        ("{id: r, type: update_profile, set: {a: 1, b: 2}, set_from: {b: {property: order}}}", [
            "steps.r: 'b' is in 'set' and in 'set_from'; which of the two is meant?"
        ]),
        ("{id: r, type: update_profile, set_from: {a: {property: order..id}}}", [
            "steps.r.set_from.a.property: 'order..id' is no path; write names of up to 100 printable characters with a "
            "dot between them, such as plan or address.city"
        ]),
        ("{id: r, type: update_profile, set: 5}", ["steps.r.set: must be an object"]),
        ("{id: r, type: update_profile, set: {a.b: 1}}", [
            "steps.r.set.a.b: 'a.b' has a dot; attributes are set at the top level, so give the whole object"
        ]),
        ("{id: r, type: if, cases: x}", ["steps.r.cases: must be a list"]),
        ("{id: r, type: if, cases: []}", ["steps.r.cases: needs at least 1 item"]),
        ("{id: r, type: if, cases: [x]}", ["steps.r.cases.0: must be an object"]),
        ("{id: r, type: wait_for_event, event: '', within: P1D}", ["steps.r.event: needs at least 1 character"]),
        ("{id: r, type: wait_for_event, event: e, within: P1D, where: [{attribute: a, op: in, value: 1}]}", [
            "steps.r.where.0.value: 'in' takes a list of at least one value, not 1"
        ]),
        ("{id: r, type: wait_for_event, event: e, within: P1D,"
         " where: [{attribute: a, op: exists, value: {property: b}}]}", [
            "steps.r.where.0.value: 'exists' takes true or false, not a property of the run"
        ]),
        ("{id: r, type: wait_for_event, event: e, within: P1D,"
         " where: [{attribute: a, op: eq, value: {property: .b}}]}", [
            "steps.r.where.0.value: '.b' is no path; write names of up to 100 printable characters with a dot between "
            "them, such as plan or address.city"
        ]),
        ("{id: r, type: wait_for_event, event: e, within: P1D, where: [{property: a, op: eq, value: 1}]}", [
            "steps.r.where.0.attribute: is required",
            "steps.r.where.0.property: there is no such field here",
        ]),
        ("{id: r, type: wait, for: P1D, since: born}", [
            "steps.r.since: input should be 'arrival', 'entry' or 'joined'"
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_step_is_told_by_its_id(step: str, wrong: list[str]) -> None:
    assert problems(f"{HEAD}steps:\n  - {step}\n") == wrong


NO_CONDITION = "is no condition; write one of attribute, property, segment, event, all, any, not"


@pytest.mark.parametrize(
    ("condition", "wrong"),
    [
        ("x", [f": {NO_CONDITION}"]),
        ("{foo: 1}", [f": {NO_CONDITION}"]),
        ("[]", [f": {NO_CONDITION}"]),
        ("{all: []}", [".all: needs at least 1 item"]),
        ("{any: x}", [".any: must be a list"]),
        ("{not: {foo: 1}}", [f".not: {NO_CONDITION}"]),
        ("{event: e}", [".within: is required"]),
        ("{property: a, op: eq}", [".value: is required: what 'eq' compares with"]),
        ("{property: a, op: lt, value: true}", [
            ".value: 'lt' takes a number or a string; true and false have no order"
        ]),
        ("{property: a, attribute: b, op: exists}", [".property: there is no such field here"]),
        ("{attribute: a, op: eq, value: {property: b}}", [
            ".value: 'eq' takes a string, number or boolean, not an object"
        ]),
        ("{event: e, within: soon}", [
            ".within: 'soon' is no ISO 8601 duration, such as PT30M, PT1H30M, P1D or P2W"
        ]),
        ("{segment: A B}", [f".segment: 'A B' does not fit; {KEY_RULE}"]),
        ("{segment: a, extra: 1}", [".extra: there is no such field here"]),
        ("{attribute: a, op: equals, value: 1}", [
            ".op: input should be 'eq', 'ne', 'lt', 'lte', 'gt', 'gte', 'in', 'contains', 'exists', 'before' or 'after'"
        ]),
        ("{attribute: a, op: eq}", [".value: is required: what 'eq' compares with"]),
        ("{not: {not: {segment: A B}}}", [f".not.not.segment: 'A B' does not fit; {KEY_RULE}"]),
        ("{all: [{segment: a}, {any: [{attribute: a, op: eq}]}]}", [
            ".all.1.any.0.value: is required: what 'eq' compares with"
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition_is_told_by_its_place(condition: str, wrong: list[str]) -> None:
    text = f"{HEAD}steps:\n  - {{id: r, type: if, cases: [{{when: {condition}, next: exit}}]}}\n"
    assert problems(text) == [f"steps.r.cases.0.when{each}" for each in wrong]


NO_WALL = "write 2026-12-01T09:00 (wall time) or 2026-12-01T09:00Z"


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ("most", [": must be an object"]),
        ("{}", [".segment: is required"]),
        ("{segment: a, exclude: b}", [".exclude: must be a list"]),
        ("{segment: a, frequency: sometimes}", [
            ".frequency: input should be 'once', 'once_and_joiners' or 'repeating'"
        ]),
        ("{segment: {a: b}}", [".segment: names no segment; write customers, or [customers, subscribers]"]),
        ("{segment: []}", [".segment: needs at least 1 item"]),
        ("{segment: [a, a]}", [".segment: names a segment twice"]),
        ("{segment: a, read: joiners}", [": 'read' goes with frequency: repeating, not with once"]),
        ("{segment: a, refresh: PT1M}", [
            ": 'refresh' and 'rejoin' go with frequency: once_and_joiners, not with once"
        ]),
        ("{segment: a, frequency: once_and_joiners, refresh: PT1S}", [".refresh: must be from PT10S to P1D"]),
        ("{segment: a, frequency: once_and_joiners, refresh: PT10.5S}", [".refresh: must be in whole seconds"]),
        ("{segment: a, backfill: false}", [
            ": 'backfill' goes with frequency: once_and_joiners, or with read: joiners"
        ]),
        ("{segment: a, ceiling: {}}", [".ceiling: limits nothing; give per_hour, per_day or on"]),
        ("{segment: a, ceiling: {on: [mon], spread: true}}", [
            ".ceiling: 'spread' goes with per_hour or per_day: what is to be spread evenly"
        ]),
        ("{segment: a, ceiling: {per_hour: 0}}", [".ceiling.per_hour: input should be greater than or equal to 1"]),
        ("{segment: a, frequency: repeating}", [": a repeating entry needs schedule.every"]),
        ("{segment: a, schedule: {every: day}}", [": schedule.every goes with frequency: repeating, not with once"]),
        ("{segment: a, rate: 5}", [
            ".rate: 5 is no rate; write 500/s: so many profiles per second, from 1/s to 999999/s"
        ]),
        ("{segment: a, rate: 0/s}", [
            ".rate: '0/s' is no rate; write 500/s: so many profiles per second, from 1/s to 999999/s"
        ]),
        ("{segment: a, schedule: {start: 5}}", [
            ".schedule.start: is no start; write {after_publish: PT1H} or {at: 2026-12-01T09:00}"
        ]),
        ("{segment: a, schedule: {start: {at: now}}}", [f".schedule.start.at: 'now' is no date-time; {NO_WALL}"]),
        ("{segment: a, schedule: {start: {after: P1D}}}", [".schedule.start.after: there is no such field here"]),
        ("{segment: a, schedule: {every: fortnight}}", [
            ".schedule.every: is no repetition; "
            "write day, week, month, {days: 3}, {weeks: 2}, {months: 3} or {hours: 6}"
        ]),
        ("{segment: a, schedule: {every: {hours: 0}}}", [
            ".schedule.every.hours: input should be greater than or equal to 1"
        ]),
        ("{segment: a, schedule: {every: {hours: six}}}", [".schedule.every.hours: must be a whole number"]),
        ("{segment: a, schedule: {every: week, on: monday}}", [
            ".schedule.on: is no list of days; write [mon, thu] or, for a month, [1, 15]"
        ]),
        ("{segment: a, schedule: {every: week, on: [monday]}}", [
            ".schedule.on.0: input should be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun'"
        ]),
        ("{segment: a, schedule: {every: month, on: [32]}}", [
            ".schedule.on.0: input should be less than or equal to 31"
        ]),
        ("{segment: a, schedule: {every: week, on: []}}", [".schedule.on: needs at least 1 item"]),
        ("{segment: a, schedule: {every: month, on: [mon]}}", [
            ".schedule: 'on' of a month takes day numbers such as [1, 15]"
        ]),
        ("{segment: a, schedule: {every: day, on: [3]}}", [
            ".schedule: 'on' of a day takes weekdays such as [mon, thu]"
        ]),
        ("{segment: a, schedule: {at: 09:00}}", [".schedule: 'on', 'at', 'until' and 'times' go with 'every'"]),
        ("{segment: a, schedule: {every: {hours: 6}, at: 09:00}}", [
            ".schedule: 'on' and 'at' go with day, week and month; elapsed hours count from the start"
        ]),
        ("{segment: a, schedule: {every: day, at: 9:00}}", [".schedule.at: '9:00' is no time of day; write 09:00"]),
        ("{segment: a, schedule: {every: day, until: x}}", [f".schedule.until: 'x' is no date-time; {NO_WALL}"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_entry_is_told_once(entry: str, wrong: list[str]) -> None:
    assert problems(f"{HEAD}entry: {entry}\nsteps: [{{id: e, type: exit}}]") == [f"entry{each}" for each in wrong]


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ("reentry: {still_inside: often}", ["reentry.still_inside: input should be 'skip', 'restart' or 'overlap'"]),
        ("reentry: {since: end}", ["reentry: 'since' goes with 'after'"]),
        ("reentry: {limit: 0}", ["reentry.limit: input should be greater than or equal to 1"]),
        ("reentry: {still_inside: overlap, after: P1D, since: end}", [
            "reentry: 'since: end' waits for the end of the run inside, and 'overlap' does not"
        ]),
        ("window: {}", ["window: needs 'opens' or 'closes'"]),
        ("window: {opens: 2026-12-01T09:00, inside: exit}", ["window: 'inside' goes with 'closes'"]),
        ("window: {closes: soon}", [f"window.closes: 'soon' is no date-time; {NO_WALL}"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_reentry_and_window_is_told_once(more: str, wrong: list[str]) -> None:
    assert problems(f"{HEAD}{more}\nsteps: [{{id: e, type: exit}}]") == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", ["is no object with key, name and steps"]),
        ("[]", ["is no object with key, name and steps"]),
        ("{}", ["key: is required", "name: is required", "steps: is required"]),
        (f"{HEAD}steps: []", ["steps: needs at least 1 item"]),
        (f"{HEAD}steps: {{id: e, type: exit}}", ["steps: must be a list"]),
        (f"{HEAD}timezone: UTC\nsteps: [{{id: e, type: exit}}]", [
            "timezone: there is no such field here; did you mean 'time_zone'?"
        ]),
        (f"{HEAD}time_zone: Mars/Phobos\nsteps: [{{id: e, type: exit}}]", [
            "time_zone: there is no time zone 'Mars/Phobos'; use an IANA name such as Europe/Paris"
        ]),
        (f"{HEAD}time_zone: ../../etc/passwd\nsteps: [{{id: e, type: exit}}]", [
            "time_zone: there is no time zone '../../etc/passwd'; use an IANA name such as Europe/Paris"
        ]),
        (f"{HEAD}time_zone: Europe\nsteps: [{{id: e, type: exit}}]", [
            "time_zone: there is no time zone 'Europe'; use an IANA name such as Europe/Paris"
        ]),
        ("key: A B\nname: A\nsteps: [{id: e, type: exit}]", [f"key: 'A B' does not fit; {KEY_RULE}"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_journey_is_told_by_its_field(text: str, wrong: list[str]) -> None:
    assert problems(text) == wrong


def test_everything_wrong_is_told_at_once_under_the_journeys_name() -> None:
    with pytest.raises(InvalidDocument) as refused:
        read_definition(
            f"{HEAD}colour: red\ntime_zone: X\nsteps: [{{id: a, type: walk}}, {{id: b, type: wait, for: P1M}}]"
        )
    assert str(refused.value).startswith("The journey 'a' has 4 problem(s):\n  time_zone: there is no time zone 'X'")
