"""Once ever, also after erasure: who entered, was erased, and has been loaded anew does not enter again."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.journeys.definition import JourneyDefinition
from wend.profiles.identities import EXTERNAL_ID
from wend.storage.database import chunks
from wend.storage.pseudonyms import Pseudonyms
from wend.storage.tables import erased_entrants, identities


def refuse_returned(connection: Connection, definition: JourneyDefinition, verdicts: sa.Table) -> None:
    """Mark as ``already_entered`` whoever comes back under the external id of an erased entrant.

    Args:
        connection: The transaction that gives the verdicts.
        definition: The journey.
        verdicts: ``profile_id`` and ``reason``, as decided so far.
    """
    for some in chunks(find_returned(connection, definition, verdicts)):
        connection.execute(sa.update(verdicts).where(verdicts.c.profile_id.in_(some)).values(reason="already_entered"))


def find_returned(connection: Connection, definition: JourneyDefinition, verdicts: sa.FromClause) -> list[UUID]:
    """Return those who would enter, and come back under the external id of an erased entrant.

    What is kept of an erased person is a keyed hash, which no database computes: the entering members' external ids
    are hashed here, and only where this journey has erased entrants at all.

    Args:
        connection: A transaction; reading is enough.
        definition: The journey.
        verdicts: ``profile_id`` and ``reason``, as decided so far.
    """
    assert definition.entry is not None
    erased = sa.select(erased_entrants.c.pseudonym).where(erased_entrants.c.journey_key == definition.key)
    pseudonyms = set(connection.scalars(erased))
    if not pseudonyms or not definition.entry.is_once or definition.entry.rejoin:
        return []
    hashed = Pseudonyms.of(connection)  # its key is there: somebody's pseudonym was made with it
    theirs = sa.and_(identities.c.profile_id == verdicts.c.profile_id, identities.c.namespace == EXTERNAL_ID)
    entering = sa.select(verdicts.c.profile_id, identities.c.value).join(identities, theirs)
    return [
        profile_id
        for profile_id, external_id in connection.execute(entering.where(verdicts.c.reason.is_(None)))
        if hashed.hash(EXTERNAL_ID, external_id) in pseudonyms
    ]
