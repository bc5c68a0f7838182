"""JSON as programs send it, strictly; and YAML as people get it. ``wend.documents`` reads what people write."""

import io
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from ruamel.yaml import YAML

from wend.documents import DEEPEST
from wend.errors import InvalidDocument, Problem
from wend.journeys.values import is_storable

_LARGEST_NUMBER: Final = 2**63


def read_json(text: bytes, what: str = "The document") -> Any:
    """Return the value of a JSON text.

    Raises:
        InvalidDocument: It is not UTF-8, no JSON, names a field twice, or holds what no database keeps: a number of
            more than 64 bits, NUL, half a surrogate pair, or more than 50 levels.
    """
    try:
        document = json.loads(
            text.decode("utf-8-sig"), object_pairs_hook=_without_twins, parse_constant=_no_number, parse_int=_whole
        )
        _check_storable(document)
    except UnicodeDecodeError as error:
        raise InvalidDocument(what, [Problem("", f"is not UTF-8 (byte {error.start + 1})")]) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidDocument(what, [Problem(place, f"is no JSON: {error.msg}")]) from error
    except RecursionError as error:
        raise InvalidDocument(what, [Problem("", f"is nested more than {DEEPEST} levels deep")]) from error
    except ValueError as error:
        raise InvalidDocument(what, [Problem("", str(error))]) from error
    return document


def write_yaml(document: Any) -> str:
    """Return a JSON value as YAML that ``wend.documents`` reads back, fields in the order given."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its stub knows no bool
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"names the field {twice[:100]!r} twice")
    return fields


def _no_number(word: str) -> Any:
    raise ValueError(f"holds {word}, for which JSON has no word")


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST_NUMBER <= (number := int(digits)) < _LARGEST_NUMBER:
        raise ValueError(f"holds {digits[:30]}, a number of more than 64 bits; write it as text")
    return number


def _check_storable(document: Any) -> None:
    ahead: list[tuple[Any, int]] = [(document, 1)]
    while ahead:
        value, level = ahead.pop()
        if level > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} levels deep")
        if isinstance(value, str):
            if not is_storable(value):
                raise ValueError("holds text with a NUL or half a surrogate pair")
        elif isinstance(value, float):
            if math.isinf(value):
                raise ValueError("holds a number beyond all bounds")
        elif isinstance(value, Mapping):
            for name, item in value.items():
                ahead += ((name, level), (item, level + 1))
        elif isinstance(value, list):
            ahead += ((item, level + 1) for item in value)
