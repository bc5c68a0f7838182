"""Documents from outside: YAML and JSON in, the same document out."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError

from wend.errors import InvalidDocument, Problem
from wend.journeys.definition import JourneyDefinition
from wend.journeys.model import all_fields
from wend.journeys.problems import path_of, problems_of
from wend.journeys.values import is_storable

MOST_BYTES = 500_000
"""A document larger than this is refused unread; a journey of a thousand steps has half of it."""

DEEPEST = 50
"""Levels of a document."""

MOST_TOLD = 50
"""Problems told of one document before it is even looked at as a journey."""

_LARGEST_NUMBER = 2**63


class _Composer(Composer):
    """Refuses aliases, a page of which can stand for gigabytes, and depth that no document of ours has."""

    _level = 0

    def compose_document(self) -> Any:
        event = self.parser.peek_event()
        if getattr(event, "version", None) not in (None, (1, 2)):
            raise _refused(event.start_mark, "is read as YAML 1.2 and no other; take the %YAML line out")
        return super().compose_document()

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise _refused(event.start_mark, "YAML anchors and aliases are not read; write the value out")
        self._level += 1
        if self._level > DEEPEST:
            raise _refused(event.start_mark, f"is nested more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self._level -= 1
        return node


class _Constructor(SafeConstructor):
    """YAML 1.2's JSON types and nothing else: a date stays the text that it is, and so do ``=`` and ``<<``."""

    def flatten_mapping(self, node: Any) -> Any:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        return super().flatten_mapping(node)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            shown = f"{node.value[:100]!r} as " if isinstance(node, ScalarNode) else ""
            raise _refused(node.start_mark, f"cannot read {shown}{node.tag}; write a plain value") from error


for _tag in ("timestamp", "value", "merge"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_tag}", SafeConstructor.construct_yaml_str)


class _Refused(Exception):
    """Somewhere in a text stands what is not read."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(place, message)


def _refused(mark: Any, message: str) -> _Refused:
    return _Refused(_place(mark), message)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def read_document(text: str | bytes, what: str = "The document") -> Any:
    """Return the JSON value of a YAML or JSON text.

    YAML is read as 1.2, so that ``on``, ``no`` and ``10:30`` stay what they look like. Anchors and aliases are
    refused: a page of them can stand for gigabytes.

    Raises:
        InvalidDocument: It is too large or too deep, not UTF-8, no YAML, names a field twice, or holds what JSON has
            no word for; the problems name the line, or the path.
    """
    if len(text) > MOST_BYTES:
        raise InvalidDocument(what, [Problem("", f"is larger than {MOST_BYTES:,} bytes, the most that is read")])
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        document = _read_text(decoded)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = Problem(f"line {line}", f"is not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8")
        raise InvalidDocument(what, [problem]) from error
    except _Refused as error:
        raise InvalidDocument(what, [error.problem]) from error
    except ReaderError as error:
        line = decoded[: error.position].count("\n") + 1
        problem = Problem(f"line {line}", f"has the character {error.character:#06x}, which YAML forbids; take it out")
        raise InvalidDocument(what, [problem]) from error
    except YAMLError as error:
        reason = str(getattr(error, "problem", None) or error).split("\n")[0]
        place = _place(getattr(error, "problem_mark", None))
        raise InvalidDocument(what, [Problem(place, f"is no YAML or JSON: {_remedy(reason)}")]) from error
    if problems := [*_no_json(document)]:
        raise InvalidDocument(what, problems)
    return document


def _read_text(text: str) -> Any:
    """Read JSON as JSON, which is quick and allows tabs, and everything else as YAML, which says where it is wrong."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        pass  # YAML perhaps; if not, its reader names the line
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    yaml.Composer = _Composer
    yaml.Constructor = _Constructor
    return yaml.load(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(name: str) -> Any:
    raise _Refused("", f"{name} is no number that JSON has a word for; write a number, or {name!r} in quotes for text")


def _remedy(reason: str) -> str:
    if "'\\t'" in reason:
        return f"{reason}; indent with spaces, not with tabs"
    if "found another document" in reason:
        return "a second document begins here; one file holds one document"
    return reason


def _no_json(document: Any) -> Iterator[Problem]:
    """Yield, at most ``MOST_TOLD`` times, where a document holds what JSON, or a database, has no word for."""
    told = 0
    todo: list[tuple[tuple[int | str, ...], Any]] = [((), document)]
    while todo and told < MOST_TOLD:
        place, value = todo.pop()
        wrong = _wrong_with(value) if len(place) <= DEEPEST else f"is nested more than {DEEPEST} levels deep"
        if wrong is not None:
            told += 1
            yield Problem(path_of(place, document), wrong)
        elif isinstance(value, Mapping):
            todo.extend(((*place, name), value[name]) for name in reversed([*value]))
        elif isinstance(value, list):
            todo.extend(((*place, number), value[number]) for number in reversed(range(len(value))))


def _wrong_with(value: Any) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return None if is_storable(value) else "is text with a NUL or half a surrogate pair; take it out"
        case float() if not math.isfinite(value):
            return f"{value} is no number that JSON has a word for; write a number"
        case int() | float():
            fits = -_LARGEST_NUMBER <= value < _LARGEST_NUMBER
            return None if fits else "is a number of more than 64 bits; write it in quotes, as text"
        case Mapping():
            odd = next((name for name in value if not isinstance(name, str)), "")
            if odd != "" or not isinstance(odd, str):
                return f"the name {str(odd)[:100]} is {type(odd).__name__}, not text; put it in quotes"
            return None if all(map(is_storable, value)) else "a name has a NUL or half a surrogate pair; take it out"
        case list():
            return None
        case _:
            return f"is {type(value).__name__}, for which JSON has no word; write text"


def parse_definition(document: Any) -> JourneyDefinition:
    """Return the definition.

    Raises:
        InvalidDocument: Every problem, each with its path.
    """
    if not isinstance(document, Mapping):
        raise InvalidDocument("The journey", [Problem("", "is no object with key, name and steps")])
    key = document.get("key")
    what = f"The journey {key!r}" if isinstance(key, str) and 0 < len(key) <= 100 else "The journey"
    if problems := [*_no_json(document)]:
        raise InvalidDocument(what, problems)
    try:
        return JourneyDefinition.model_validate(document)
    except ValidationError as error:
        raise InvalidDocument(what, problems_of(error, document, all_fields(JourneyDefinition))) from error


def read_definition(text: str | bytes) -> JourneyDefinition:
    """Return the definition in a YAML or JSON text.

    Raises:
        InvalidDocument: Every problem, each with its path.
    """
    return parse_definition(read_document(text, "The journey"))


def definition_schema() -> dict[str, Any]:
    """Return the JSON Schema of the definition, for editors."""
    schema = JourneyDefinition.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
