"""A profile is deleted: whoever runs for it is woken, and finds nobody to run for."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.errors import NotFound
from wend.profiles import store
from wend.storage.database import lock_profile
from wend.storage.tables import runs, sent_messages


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
    inside = connection.scalars(
        sa.select(runs.c.id)
        .where(runs.c.profile_id == profile_id, runs.c.ended_at.is_(None))
        .order_by(runs.c.id)
        .with_for_update(key_share=True)
    ).all()
    outbox.put_all(connection, "wake_run", [(str(run_id), {"reason": "profile_deleted"}) for run_id in inside], now)
    connection.execute(sa.update(sent_messages).where(sent_messages.c.profile_id == profile_id).values(address=None))
    store.delete(connection, profile_id)
    return len(inside)
