"""What a profile's attributes may hold: JSON that both databases keep unchanged."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

LARGEST_ATTRIBUTES = 65_536
"""Bytes of all of one profile's attributes as JSON, as given at once."""

LONGEST_NAME = 100
DEEPEST = 20
_LARGEST = 2**63

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@lru_cache(maxsize=4_096)  # the same names again and again
def check_name(name: str) -> None:
    """Refuse a name that no condition could name.

    Raises:
        ValueError: It is empty, too long, or has a character that a path cannot hold.
    """
    printable = name.isprintable() and name == name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not printable or any(mark in name for mark in '."\\'):
        raise ValueError(
            f"names of attributes are 1 to {LONGEST_NAME} printable characters, without dots, quotes and backslashes"
        )


def check_attributes(attributes: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Return what is wrong with the attributes: places and reasons."""
    wrong: list[tuple[tuple[str, ...], str]] = []
    for name, value in attributes.items():
        try:
            check_name(name)
        except ValueError as error:
            wrong.append(((name[:LONGEST_NAME],), str(error)))
            continue
        _check_value(value, (name,), wrong)
    if not wrong and not _surely_small(attributes) and len(_encode(attributes).encode()) > LARGEST_ATTRIBUTES:
        wrong.append(((), f"are more than {LARGEST_ATTRIBUTES:,} bytes of JSON"))
    return wrong


def _surely_small(attributes: Mapping[str, Any]) -> bool:
    """Return whether there is no need to count: a few scalars and short texts, at most six bytes a character."""
    total = 0
    for name, value in attributes.items():
        if isinstance(value, list | dict):
            return False
        total += len(name) + 10 + (len(value) if isinstance(value, str) else 4)
    return total * 6 < LARGEST_ATTRIBUTES


def _check_value(value: Any, place: tuple[str, ...], wrong: list[tuple[tuple[str, ...], str]]) -> None:
    match value:
        case None | bool():
            return
        case str():
            if not _is_text(value):
                wrong.append((place, "is text with a NUL or half a surrogate pair"))
        case int() | float():
            if not -_LARGEST <= value < _LARGEST:  # NaN is refused too
                wrong.append((place, "is a number of more than 64 bits; write it as text"))
        case list() | dict() if len(place) > DEEPEST:
            wrong.append((place, f"is nested more than {DEEPEST} levels deep"))
        case list():
            for index, item in enumerate(value):
                _check_value(item, (*place, str(index)), wrong)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str) or not _is_text(key):
                    wrong.append((place, "has a name that is no text, or has a NUL or half a surrogate pair"))
                else:
                    _check_value(item, (*place, key), wrong)
        case _:
            wrong.append((place, f"is {type(value).__name__}, for which JSON has no word"))


def _is_text(value: str) -> bool:
    # PostgreSQL's jsonb refuses NUL; neither database takes half a surrogate pair.
    if "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
