"""From what a caller knows of a person to the profile."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from wend.errors import Conflict, NotFound
from wend.profiles import store


class AmbiguousIdentity(Conflict):
    """Several profiles share the identity, so it does not say which of them is meant."""

    def __init__(self, namespace: str, profile_ids: Sequence[UUID]) -> None:
        first = ", ".join(repr(str(id)) for id in profile_ids[:3])
        super().__init__(f"Several profiles share this {namespace}, among them {first}. Name one by its profile_id.")
        self.namespace = namespace
        self.profile_ids = tuple(profile_ids)


def resolve(connection: Connection, namespace: str, value: str, region: str | None = None) -> UUID:
    """Return the one profile with this identity.

    Args:
        connection: A transaction.
        namespace: ``external_id``, ``email``, …
        value: As somebody wrote it.
        region: ISO country of a phone number without ``+``.

    Raises:
        InvalidDocument: The value is no identity of its kind.
        NotFound: Nobody has it.
        AmbiguousIdentity: Several have it.
    """
    found = store.find(connection, namespace, value, region=region, limit=3)
    if not found:
        raise NotFound("profile with this", namespace)
    if len(found) > 1:
        raise AmbiguousIdentity(namespace, [profile.id for profile in found])
    return found[0].id
