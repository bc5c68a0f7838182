"""Dates as text in a profile's attributes: one strict grammar, whoever reads it.

``2026-12-10``, ``2026-12-10T09:00``, ``2026-12-10T09:00:30.25``, and the latter two with ``Z`` or an offset such as
``+01:00`` (at most 14:59). A date alone is its midnight; what has no zone is read as UTC. Anything else is no
date, also a day that no calendar has (30 February).
"""

import re
from datetime import UTC, datetime
from typing import Final

_DAY = (
    "(?:"
    "(?:(?!0000)[0-9]{4})-(?:"
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
    ")"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_ZONE = "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"

ISO_DATE: Final = f"{_DAY}(?:T{_TIME}{_ZONE}?)?"
"""The grammar, in the dialect that Python's and PostgreSQL's regular expressions share. It accepts real days only."""

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)

_ISO_DATE = re.compile(ISO_DATE)


def read_date(text: str) -> datetime | None:
    """Return a date as written, naive if it names no zone and aware if it does, or None if it is no date."""
    return datetime.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None


def parse_date(text: str) -> datetime | None:
    """Return the instant, in UTC, that a date stands for, or None if it is no date.

    An offset may carry the first and last hours of the calendar out of the years 1 to 9999: no date either.
    """
    at = read_date(text)
    if at is None:
        return None
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return None
