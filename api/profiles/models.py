"""What is asked of profiles, and what is answered."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field

from api.bodies import parse_as
from api.model import Out
from api.parts import ApiParts
from wend.profiles.model import ProfileUpsert

MOST_UPSERTS: Final = 1_000

Upserts = Annotated[list[ProfileUpsert], Field(min_length=1, max_length=MOST_UPSERTS)]

EXAMPLES: Final[dict[str, Any]] = {
    "one": {
        "external_id": "crm-1001",
        "identities": {"email": "ada@example.com", "phone": "+33612345678"},
        "attributes": {"first_name": "Ada", "lifetime_value": 1200},
        "time_zone": "Europe/Paris",
    },
    "a batch": [
        {"external_id": "crm-1001", "attributes": {"lifetime_value": 1300}},
        {"external_id": "crm-1002", "identities": {"email": "grace@example.com"}},
    ],
}


def read_upserts(document: Any, parts: ApiParts) -> list[ProfileUpsert]:
    """Return the upserts in a body that holds a list of them or one.

    Raises:
        InvalidDocument: Every problem.
    """
    context = {"region": parts.default_region}
    if isinstance(document, list):
        found: list[ProfileUpsert] = parse_as(Upserts, document, "The batch", context, named=ProfileUpsert)
        return found
    return [parse_as(ProfileUpsert, document, "The profile", context)]


class Upserted(Out):
    """Which profile an upsert meant, and whether it made it."""

    id: UUID
    created: bool


class UpsertAnswer(Out):
    """One item for each profile, in the order given."""

    items: list[Upserted]


class Erased(Out):
    """The profile is deleted; so many runs were open and end as `exited`, reason `profile_deleted`."""

    id: UUID
    open_runs: int


class ImportAnswer(Out):
    """What an import did."""

    created: int
    updated: int
    lines: int = Field(description="Lines that held a profile: the sum of the two.")
