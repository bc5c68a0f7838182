"""The base of every model in a definition, and the words they share."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

KEY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
NAMESPACE_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
LINK_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"


class Model(BaseModel):
    """Frozen, and strict about fields nobody asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _named(pattern: str, remedy: str) -> Callable[[str], str]:
    """Return a check that refuses a text in words: the pattern itself is for machines, in the JSON Schema."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text[:100]!r} does not fit; {remedy}")
        return text

    return check


Key = Annotated[
    str,
    AfterValidator(
        _named(KEY_PATTERN, "write 1 to 63 lower-case letters, digits, - and _, the first a letter or a digit")
    ),
    Field(json_schema_extra={"pattern": KEY_PATTERN}),
]
"""Names a journey, segment, message or step: lower-case letters, digits, ``-`` and ``_``; at most 63."""

Namespace = Annotated[
    str,
    AfterValidator(_named(NAMESPACE_PATTERN, "write 1 to 63 lower-case letters, digits and _, the first a letter")),
    Field(json_schema_extra={"pattern": NAMESPACE_PATTERN}),
]
"""Names a kind of identity: ``email``, ``phone``, ``crm_id``."""

LinkName = Annotated[
    str,
    AfterValidator(
        _named(LINK_PATTERN, "write 1 to 100 letters, digits, - . and _ without accents, the first a letter or a digit")
    ),
    Field(json_schema_extra={"pattern": LINK_PATTERN}),
]
"""Names a link of a message."""


def _zone_exists(name: str) -> str:
    load_zone(name)
    return name


@lru_cache(maxsize=1024)  # a profile's zone is asked for at every date that is read in it
def load_zone(name: str) -> ZoneInfo:
    """Return the IANA zone.

    Raises:
        ValueError: There is none of this name.
    """
    try:
        # Names with a slash in front or dots in them would be read as paths.
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", name):
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError with an OSError for directories
        raise ValueError(f"there is no time zone {name!r}; use an IANA name such as Europe/Paris") from error
    except KeyError as error:
        raise ValueError(f"there is no time zone {name!r}; use an IANA name such as Europe/Paris") from error


ZoneName = Annotated[str, AfterValidator(_zone_exists)]

YEARS = range(1970, 9999)
"""Of date-times in a definition; a day beyond its ends there is still a date in every zone."""

_WALL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(Z|[+-][0-9]{2}:[0-9]{2})?")


def parse_wall(text: object) -> datetime:
    """Return a date-time as written: naive is wall time, to be resolved in the journey's zone; aware is an instant.

    Raises:
        ValueError: It is not ``2026-12-01T09:00``, with seconds and with ``Z`` or an offset if wanted.
    """
    if isinstance(text, datetime):
        return text
    if not isinstance(text, str) or not (found := _WALL.fullmatch(text)):
        raise ValueError(f"{_short(text)} is no date-time; write 2026-12-01T09:00 (wall time) or 2026-12-01T09:00Z")
    try:
        wall = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}")
    except ValueError as error:
        raise ValueError(f"{text!r} is no date-time: {error}") from error
    if wall.year not in YEARS:
        raise ValueError(f"{text!r} is outside of the years {YEARS[0]} to {YEARS[-1]}")
    return wall


def _short(value: object) -> str:
    """Return what was given as a message can hold it."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _write_wall(value: datetime) -> str:
    text = value.isoformat(timespec="seconds" if value.second else "minutes")
    return text.replace("+00:00", "Z")


WallTime = Annotated[
    datetime,
    BeforeValidator(parse_wall, json_schema_input_type=str),
    PlainSerializer(_write_wall, return_type=str),
]


@lru_cache(maxsize=64)
def all_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return every field name in a model's JSON Schema, for suggestions."""
    names: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict):
                names.update(properties)
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(model.model_json_schema())
    return frozenset(names)
