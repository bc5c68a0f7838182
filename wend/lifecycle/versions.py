"""Published versions, compiled once per process: they never change."""

from threading import Lock

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import NotFound
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.storage.tables import journey_versions


class Versions:
    """A cache of published versions, by journey and number."""

    def __init__(self, most: int = 1000) -> None:
        self._known: dict[tuple[str, int], JourneyVersion] = {}
        self._most = most
        self._lock = Lock()

    def get(self, connection: Connection, journey: str, number: int) -> JourneyVersion:
        """Return the version.

        Raises:
            NotFound: There is no such version.
        """
        key = (journey, number)
        if (version := self._known.get(key)) is None:
            version = load_version(connection, journey, number)
            with self._lock:
                if len(self._known) >= self._most:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = version
        return version


def load_version(connection: Connection, journey: str, number: int) -> JourneyVersion:
    """Return a published version from the database.

    Raises:
        NotFound: There is no such version.
    """
    row = connection.execute(
        sa.select(journey_versions.c.definition, journey_versions.c.messages).where(
            journey_versions.c.journey_key == journey, journey_versions.c.version == number
        )
    ).one_or_none()
    if row is None:
        raise NotFound("version", f"{journey} {number}", "Published versions are listed by: wend versions KEY")
    return JourneyVersion(JourneyDefinition.model_validate(row.definition), number, row.messages)
