"""Pseudonyms: keyed hashes of what must be recognised again and not be kept.

The key is this installation's own, made at first use and kept in the database: it must be as old as what was hashed
with it, so it goes with the same backup.
"""

import hashlib
import hmac
import secrets

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.storage.database import insert_ignoring
from wend.storage.tables import installation

_NAME = "pseudonym_key"


class Pseudonyms:
    """Hashes with the installation's key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, connection: Connection) -> "Pseudonyms":
        """Return those of this installation; the first call makes the key, in a transaction that writes."""
        query = sa.select(installation.c.value).where(installation.c.name == _NAME)
        value = connection.scalar(query)
        if value is None:
            made = {"name": _NAME, "value": secrets.token_hex(32)}
            connection.execute(insert_ignoring(connection, installation).values(**made))
            value = connection.execute(query).scalar_one()
        return cls(bytes.fromhex(value))

    def hash(self, kind: str, value: str) -> str:
        """Return the pseudonym of a value: 64 hex digits. ``kind`` keeps equal values of different kinds apart."""
        return hmac.new(self._key, f"{kind}\x00{value}".encode(), hashlib.sha256).hexdigest()
