"""Invented people. Addresses are reserved for examples, numbers for fiction: nobody real is among them.

The same number always gives the same person, so that samples can be loaded twice and a demo taken up again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from wend.documents import read_document
from wend.profiles.model import ProfileUpsert

_ZONES = ("Europe/Paris", "Europe/Berlin", "Europe/Lisbon", "America/New_York", None)
_ONCE_IN = {"no_email": 25, "employee": 20, "no_phone": 30}
_PEOPLE_PER_AREA = 100  # 555-0100 to 555-0199


@dataclass(frozen=True)
class Invented:
    """One of them. ``member``: fits the rule of *most-valuable-customers*."""

    profile: ProfileUpsert
    member: bool
    employee: bool


def invent(members: int, others: int) -> Iterator[Invented]:
    """Yield people: so many members of *most-valuable-customers*, and so many others.

    Of the members about 4 % have no e-mail address, 5 % are employees and 3 % have no phone number.
    """
    for number in range(members + others):
        yield _person(number, member=number < members)


@cache
def _names() -> dict[str, list[str]]:
    text = files("wend.cli").joinpath("samples", "names.yaml").read_bytes()
    names: dict[str, list[str]] = read_document(text, "The names")
    return names


def _person(number: int, *, member: bool) -> Invented:
    names = _names()
    first = names["first"][number % len(names["first"])]
    last = names["last"][(number * 7 + number // len(names["first"])) % len(names["last"])]
    identities: dict[str, str | None] = {}
    if number % _ONCE_IN["no_email"] != 7:
        identities["email"] = f"{first}.{last}.{number + 1}@example.com".lower()
    if number % _ONCE_IN["no_phone"] != 11:
        area, line = divmod(number, _PEOPLE_PER_AREA)
        identities["phone"] = f"+1{201 + area % 799}5550{100 + line}"
    profile = ProfileUpsert(
        external_id=f"sample-{number + 1:04}",
        identities=identities,
        attributes={
            "first_name": first,
            "last_name": last,
            "tier": ("gold", "gold", "platinum")[number % 3] if member else ("silver", "bronze")[number % 2],
            "lifetime_value": 1000 + number * 37 % 4000 if member else number * 37 % 1000,
            "newsletter": number % 4 != 0,
        },
        time_zone=_ZONES[number % len(_ZONES)],
    )
    return Invented(profile, member, employee=number % _ONCE_IN["employee"] == 3)
