"""Documents from outside: one meaning in YAML and JSON, and a clear word for everything that is not read."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.journeys.documents import EVERY_STEP, REFERENCE
from wend.documents import DEEPEST, MOST_BYTES, MOST_TOLD, parse_definition, read_definition, read_document
from wend.errors import InvalidDocument


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidDocument) as refused:
        read_document(text)
    return [str(problem) for problem in refused.value.problems]


# -- YAML and JSON -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [REFERENCE, EVERY_STEP], ids=["reference", "every step"])
@pytest.mark.parametrize("indent", [None, 2, "\t"], ids=["one line", "spaces", "tabs"])
def test_yaml_and_json_say_the_same(text: str, indent: int | str | None) -> None:
    document = read_document(text)
    as_json = json.dumps(document, indent=indent)
    assert read_document(as_json) == document
    assert read_document(as_json.encode()) == document
    assert read_definition(as_json).content_hash == read_definition(text).content_hash


def test_a_byte_order_mark_is_no_part_of_the_document() -> None:
    assert read_document(b"\xef\xbb\xbfa: 1") == {"a": 1}
    assert read_document("\ufeff{}") == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"),
        ("off", "off"),
        ("no", "no"),
        ("yes", "yes"),
        ("n", "n"),
        ("10:30", "10:30"),
        ("1:02:03", "1:02:03"),
        ("2026-12-10", "2026-12-10"),
        ("2026-12-10T09:00", "2026-12-10T09:00"),
        ("2026-12-10 09:00:00", "2026-12-10 09:00:00"),
        ("2026-12-10T09:00:00Z", "2026-12-10T09:00:00Z"),
        ("P1D", "P1D"),
        ("500/s", "500/s"),
        ("=", "="),
        ("NaN", "NaN"),
        ("'5'", "5"),
        ("5", 5),
        ("010", 10),
        ("-5.5", -5.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_a_word_stays_what_it_looks_like(written: str, meant: object) -> None:
    found = read_document(f"a: {written}")["a"]
    assert found == meant
    assert type(found) is type(meant)


def test_the_names_of_yaml_are_names_like_others() -> None:
    assert read_document("on: 1\nno: 2\n<<: {a: 3}") == {"on": 1, "no": 2, "<<": {"a": 3}}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, min_value=-(2.0**62), max_value=2.0**62)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(document=json_values)
@settings(max_examples=100, deadline=None)
def test_every_json_document_reads_back_as_itself(document: Any) -> None:
    assert read_document(json.dumps(document)) == document


# -- what is not read ----------------------------------------------------------------------------------------------

ALIASES = "YAML anchors and aliases are not read; write the value out"
DEEP = f"is nested more than {DEEPEST} levels deep"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "a: 1\nb: 2\na: 3",
            'line 3, column 1: is no YAML or JSON: found duplicate key "a" with value "3" (original value: "1")',
            id="a name twice in YAML",
        ),
        pytest.param(
            '{"a": 1,\n "a": 2}',
            'line 2, column 2: is no YAML or JSON: found duplicate key "a" with value "2" (original value: "1")',
            id="a name twice in JSON",
        ),
        pytest.param("a: &x 1\nb: *x", f"line 1, column 4: {ALIASES}", id="an anchor"),
        pytest.param("a: [1, *x]", f"line 1, column 8: {ALIASES}", id="an alias"),
        pytest.param("a: .nan", "a: nan is no number that JSON has a word for; write a number", id="no number in YAML"),
        pytest.param(
            "steps:\n  - {id: x, v: -.inf}",
            "steps.x.v: -inf is no number that JSON has a word for; write a number",
            id="an infinite number in YAML",
        ),
        pytest.param(
            "a: 1e999", "a: inf is no number that JSON has a word for; write a number", id="too large to tell"
        ),
        pytest.param(
            '{"a": NaN}',
            "NaN is no number that JSON has a word for; write a number, or 'NaN' in quotes for text",
            id="no number in JSON",
        ),
        pytest.param(
            '{"a": -Infinity}',
            "-Infinity is no number that JSON has a word for; write a number, or '-Infinity' in quotes for text",
            id="an infinite number in JSON",
        ),
        pytest.param(
            "a: 9223372036854775808", "a: is a number of more than 64 bits; write it in quotes, as text", id="65 bits"
        ),
        pytest.param(
            "a:\n\t- b",
            "line 2, column 1: is no YAML or JSON: found character '\\t' that cannot start any token; "
            "indent with spaces, not with tabs",
            id="a tab",
        ),
        pytest.param(
            "a: 'b", "line 1, column 6: is no YAML or JSON: found unexpected end of stream", id="a quote left open"
        ),
        pytest.param(
            "a: b: c", "line 1, column 5: is no YAML or JSON: mapping values are not allowed here", id="two colons"
        ),
        pytest.param(
            "a: 1\n---\nb: 2",
            "line 2, column 1: is no YAML or JSON: a second document begins here; one file holds one document",
            id="two documents",
        ),
        pytest.param(
            "%YAML 1.1\n---\na: no",
            "line 2, column 1: is read as YAML 1.2 and no other; take the %YAML line out",
            id="another YAML",
        ),
        pytest.param(
            "a: b\nb: !!int x",
            "line 2, column 4: cannot read 'x' as tag:yaml.org,2002:int; write a plain value",
            id="a tag that does not fit",
        ),
        pytest.param(
            "a: !!bool 3",
            "line 1, column 4: cannot read '3' as tag:yaml.org,2002:bool; write a plain value",
            id="a boolean that is none",
        ),
        pytest.param(
            "a: !!python/object:os.system x",
            "line 1, column 4: is no YAML or JSON: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system'",
            id="an object",
        ),
        pytest.param("a: !!binary aGk=", "a: is bytes, for which JSON has no word; write text", id="bytes"),
        pytest.param("a: !!set {b, c}", "a: is set, for which JSON has no word; write text", id="a set"),
        pytest.param("a: {1: b}", "a: the name 1 is int, not text; put it in quotes", id="a number for a name"),
        pytest.param("~: b", "the name None is NoneType, not text; put it in quotes", id="nothing for a name"),
        pytest.param(
            '{"a": "\\u0000"}', "a: is text with a NUL or half a surrogate pair; take it out", id="a NUL in JSON"
        ),
        pytest.param(
            'a: "\\ud800"', "a: is text with a NUL or half a surrogate pair; take it out", id="half a surrogate pair"
        ),
        pytest.param(
            '{"\\ud800": 1}', "a name has a NUL or half a surrogate pair; take it out", id="half a pair in a name"
        ),
        pytest.param("a: 1\nb: \x07", "line 2: has the character 0x0007, which YAML forbids; take it out", id="a bell"),
        pytest.param(b"a: 1\nb: \xe9", "line 2: is not UTF-8 (byte 0xe9); save it as UTF-8", id="Latin-1"),
        pytest.param(b"\xff\xfea\x00", "line 1: is not UTF-8 (byte 0xff); save it as UTF-8", id="UTF-16"),
        pytest.param("[" * (DEEPEST + 1), f"line 1, column 51: {DEEP}", id="depth"),
        pytest.param("[" * 100_000, f"line 1, column 51: {DEEP}", id="great depth"),
        pytest.param("- " * 100_000, f"line 1, column 101: {DEEP}", id="great depth in a block"),
        pytest.param('{"a":' * 100_000, f"line 1, column 247: {DEEP}", id="great depth in JSON"),
        pytest.param(
            "[" * DEEPEST + "[1]" + "]" * DEEPEST, ".".join("0" * (DEEPEST + 1)) + f": {DEEP}", id="depth in good JSON"
        ),
        pytest.param(
            "x" * (MOST_BYTES + 1), f"is larger than {MOST_BYTES:,} bytes, the most that is read", id="a huge document"
        ),
    ],
)
def test_what_is_not_read_is_refused_with_its_place_and_a_remedy(text: str | bytes, problem: str) -> None:
    assert problems(text) == [problem]


def test_several_things_that_json_has_no_word_for_are_told_together_up_to_a_limit() -> None:
    assert problems("a: .nan\nb: {1: 2}\nc: 3") == [
        "a: nan is no number that JSON has a word for; write a number",
        "b: the name 1 is int, not text; put it in quotes",
    ]
    assert len(problems("\n".join(f"k{number}: .nan" for number in range(1000)))) == MOST_TOLD


def test_a_deep_document_that_is_not_too_deep_is_read() -> None:
    text = "[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1)
    assert read_document(text) == json.loads(text)
    assert read_document("- " * (DEEPEST - 1) + "1") == json.loads(text)


def test_the_refusal_names_the_document() -> None:
    with pytest.raises(InvalidDocument, match="The segment has 1 problem"):
        read_document("[", "The segment")


@given(text=st.text() | st.text(alphabet="{}[]:,-?!&*#|>'\"%@` \n\tab1.~<=") | st.binary())
@settings(max_examples=400, deadline=None)
def test_whatever_is_given_is_read_or_refused(text: str | bytes) -> None:
    try:
        document = read_document(text)
    except InvalidDocument as refused:
        _is_told(refused)
    else:
        json.dumps(document, allow_nan=False).encode()


def _is_told(refused: InvalidDocument) -> None:
    assert refused.problems
    assert all(len(str(problem)) < 10_000 for problem in refused.problems)


# -- whatever is given as a journey --------------------------------------------------------------------------------

WORDS = """
    key name description time_zone entry steps segment exclude namespace frequency schedule start at after_publish every
    on until rate hours id type message to next on_failure delivery retries for within sent_by link copy on_click
    on_timeout event where since on_event attribute offset on_missing cases when else set reason op value all any not
    send_email send_sms wait wait_until wait_for_click wait_for_event if update_profile exit P1D PT0S -P1D Europe/Paris
    2026-12-10T09:00 10:30 day week month mon repeating once 500/s eq in exists before ago ahead latest
"""
words = st.sampled_from(WORDS.split())
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | words
    | st.sampled_from([2**5000, b"bytes", {1, 2}, object(), "\ud800", "\0", "x" * 5000, 10**400]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)  # JSON has no word for these
        | st.dictionaries(words | st.text(max_size=5) | st.integers() | st.none(), inner, max_size=6)
    ),
    max_leaves=15,
)


@given(document=anything)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_given_as_a_journey_is_one_or_refused(document: Any) -> None:
    _parse(document)


def _places(document: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [here] if here else []
    if isinstance(document, dict):
        found += [place for name, value in document.items() for place in _places(value, (*here, name))]
    elif isinstance(document, list):
        found += [place for number, value in enumerate(document) for place in _places(value, (*here, number))]
    return found


GOOD = read_document(EVERY_STEP)
PLACES = _places(GOOD)


@given(place=st.sampled_from(PLACES), value=anything)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_good_journey_with_anything_put_anywhere_is_a_journey_or_refused(
    place: tuple[str | int, ...], value: Any
) -> None:
    document = copy.deepcopy(GOOD)
    here = document
    for name in place[:-1]:
        here = here[name]
    here[place[-1]] = value
    _parse(document)


def _parse(document: Any) -> None:
    try:
        definition = parse_definition(document)
    except InvalidDocument as refused:
        _is_told(refused)
    else:
        assert parse_definition(json.loads(json.dumps(definition.document()))) == definition
        assert definition.content_hash


def test_a_document_that_holds_itself_is_refused() -> None:
    document: dict[str, Any] = {"key": "a", "name": "A"}
    document["steps"] = [document, document]
    with pytest.raises(InvalidDocument, match="nested more than"):
        parse_definition(document)
