"""Documents from outside: YAML and JSON in, the same document out."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.tokens import AliasToken

from wend.errors import InvalidDocument, Problem
from wend.journeys.definition import JourneyDefinition
from wend.journeys.model import all_fields
from wend.journeys.problems import problems_of

MOST_BYTES = 1_000_000
"""A definition larger than this is refused unread."""


class _Constructor(SafeConstructor):
    """YAML 1.2's JSON types and nothing else: a date stays the text that it is."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def read_document(text: str | bytes, what: str = "The document") -> Any:
    """Return the JSON value of a YAML or JSON text.

    YAML is read as 1.2, so that ``on``, ``no`` and ``10:30`` stay what they look like. Anchors and aliases are
    refused: a page of them can stand for gigabytes.

    Raises:
        InvalidDocument: It is too large, not UTF-8, no YAML, names a field twice, or holds what JSON has no word for.
    """
    if len(text) > MOST_BYTES:
        raise InvalidDocument(what, [Problem("", f"is larger than {MOST_BYTES:,} bytes")])
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        yaml = YAML(typ="safe", pure=True)
        if any(isinstance(token, AliasToken) for token in yaml.scan(decoded)):
            raise InvalidDocument(what, [Problem("", "YAML anchors and aliases are not read; write the value out")])
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        document = yaml.load(decoded)
        json.dumps(document, allow_nan=False)
    except UnicodeDecodeError as error:
        raise InvalidDocument(what, [Problem("", f"is not UTF-8: {error}")]) from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error).split("\n")[0]
        raise InvalidDocument(what, [Problem(place, f"is no YAML or JSON: {problem}")]) from error
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidDocument):
            raise
        raise InvalidDocument(what, [Problem("", f"holds something that JSON has no word for: {error}")]) from error
    return document


def parse_definition(document: Any) -> JourneyDefinition:
    """Return the definition.

    Raises:
        InvalidDocument: Every problem, each with its path.
    """
    if not isinstance(document, Mapping):
        raise InvalidDocument("The journey", [Problem("", "is no object with key, name and steps")])
    key = document.get("key")
    try:
        return JourneyDefinition.model_validate(document)
    except ValidationError as error:
        problems = problems_of(error, document, all_fields(JourneyDefinition))
        raise InvalidDocument(f"The journey {key!r}" if key else "The journey", problems) from error


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
