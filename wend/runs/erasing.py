"""A profile is deleted: whoever runs for it is woken, and finds nobody to run for."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import NotFound
from wend.profiles import store
from wend.profiles.identities import EXTERNAL_ID
from wend.storage.database import insert_ignoring, lock_profile
from wend.storage.pseudonyms import Pseudonyms
from wend.storage.tables import erased_entrants, runs, sent_messages


def erase_profile(connection: Connection, profile_id: UUID, now: datetime) -> int:
    """Delete a profile and have its open runs woken, so that they end as ``exited(profile_deleted)``.

    Runs, sent messages and events stay and carry the id; the addresses that messages went to do not stay. Under the
    profile's lock no run of it can be decided, so none parks unseen between the look and the deletion.

    Returns:
        How many runs were open.

    Raises:
        NotFound: There is no such profile.
    """
    if lock_profile(connection, profile_id) is None:
        raise NotFound("profile", profile_id)
    inside = connection.execute(
        sa.select(runs.c.id, runs.c.claimed_at)
        .where(runs.c.profile_id == profile_id, runs.c.ended_at.is_(None))
        .order_by(runs.c.id)
        .with_for_update(key_share=True)
    ).all()
    # Whoever has not been claimed for starting begins by finding nobody; a pause can keep them waiting for a year.
    waking = [(str(run.id), {"reason": "profile_deleted"}) for run in inside if run.claimed_at is not None]
    outbox.put_all(connection, "wake_run", waking, now)
    connection.execute(sa.update(sent_messages).where(sent_messages.c.profile_id == profile_id).values(address=None))
    _remember_entrant(connection, profile_id, now)
    store.delete(connection, profile_id)
    return len(inside)


def _remember_entrant(connection: Connection, profile_id: UUID, now: datetime) -> None:
    """Keep, as a pseudonym, which journeys took this person in once: the same external id never enters them again."""
    entered = connection.scalars(sa.select(runs.c.journey_key).where(runs.c.profile_id == profile_id, runs.c.once))
    profile = store.get(connection, profile_id)
    if profile is None or profile.external_id is None:
        return
    pseudonym = Pseudonyms.of(connection).hash(EXTERNAL_ID, profile.external_id)
    rows = [{"journey_key": journey, "pseudonym": pseudonym, "erased_at": now} for journey in set(entered)]
    if rows:
        connection.execute(insert_ignoring(connection, erased_entrants), rows)
