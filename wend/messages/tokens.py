"""The token that a tracked link carries: which link of which sent message, signed.

Thirty-five bytes: key id (1), message id (16), link number (2, big-endian), and the first 16 bytes of an
HMAC-SHA256 over those. In base64url without padding that is 47 characters, short enough for a text message. The
destination is not in it: it was stored when the message was claimed.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from wend.errors import WendError

TOKEN_LENGTH: Final = 47
MAX_LINK_NUMBER: Final = 0xFFFF
_MAC_LENGTH: Final = 16
_MIN_SECRET: Final = 16
# Tells these signatures from any other that may one day be made with the same secret.
_PURPOSE: Final = b"wend click 1\x00"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{47}", re.ASCII)
_ENTRY = re.compile(r"(?P<id>[0-9]{1,3}):(?P<secret>(?:[0-9a-fA-F]{2})+)", re.ASCII)


class TokenError(WendError):
    """The token of a link does not name a link that we sent."""


class MalformedToken(TokenError):
    """It is not a token at all: wrong length, wrong characters, or not how a token is written."""

    def __init__(self) -> None:
        super().__init__(f"This is not a link of ours: a token has {TOKEN_LENGTH} characters of base64url.")


class UnknownKey(TokenError):
    """It was signed with a key that is not, or no longer, among ours."""

    def __init__(self, key_id: int) -> None:
        super().__init__(
            f"The link was signed with key {key_id}, which is not configured. "
            "Keep a retired key in the settings for as long as its links shall work."
        )
        self.key_id = key_id


class ForgedToken(TokenError):
    """The signature does not fit: it was altered or made up."""

    def __init__(self, key_id: int) -> None:
        super().__init__(f"The link's signature is not ours (key {key_id}): it was altered or made up.")
        self.key_id = key_id


class InvalidTokenKeys(WendError, ValueError):
    """The setting that holds the keys cannot be used; no part of it is repeated here."""


@dataclass(frozen=True)
class ClickTarget:
    """The link of one sent message that a token stands for; ``number`` counts from 1."""

    message_id: UUID
    number: int


class TokenKeys:
    """The keys of link tokens: the first signs, all verify.

    To rotate, put a new key in front and keep the old one behind it.
    """

    __slots__ = ("_secrets", "_signing_id")

    def __init__(self, secrets: Mapping[int, bytes]) -> None:
        """Take secrets of at least 16 bytes by key id (0 to 255), the signing one first.

        Raises:
            InvalidTokenKeys: No key, an id out of range, or a secret that is too short.
        """
        if not secrets:
            raise InvalidTokenKeys("There is no key for link tokens. Give at least one: '1:<64 hex digits>'.")
        for key_id, secret in secrets.items():
            if not 0 <= key_id <= 255:
                raise InvalidTokenKeys(f"Key id {key_id} is out of range: ids go from 0 to 255.")
            if len(secret) < _MIN_SECRET:
                raise InvalidTokenKeys(f"The secret of key {key_id} is shorter than {_MIN_SECRET} bytes.")
        self._secrets = dict(secrets)
        self._signing_id = next(iter(self._secrets))

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Read ``2:<hex>,1:<hex>``: key ids with their secrets, the signing key first.

        Raises:
            InvalidTokenKeys: An entry is not ``id:hex``, an id comes twice, or a key cannot be used.
        """
        secrets: dict[int, bytes] = {}
        for position, entry in enumerate(setting.split(","), start=1):
            match = _ENTRY.fullmatch(entry.strip())
            if match is None:
                raise InvalidTokenKeys(f"Key number {position} is not written 'id:hexsecret'.")
            key_id = int(match["id"])
            if key_id in secrets:
                raise InvalidTokenKeys(f"Key id {key_id} is given twice.")
            secrets[key_id] = bytes.fromhex(match["secret"])
        return cls(secrets)

    def __repr__(self) -> str:
        return f"TokenKeys(ids={list(self._secrets)})"

    def sign(self, message_id: UUID, number: int) -> str:
        """Return the token of link ``number`` (1 to 65,535) of a sent message: 47 characters."""
        if not 1 <= number <= MAX_LINK_NUMBER:
            raise ValueError(f"link number {number} is not within 1 and {MAX_LINK_NUMBER}")
        body = bytes((self._signing_id,)) + message_id.bytes + number.to_bytes(2, "big")
        return _encode(body + _mac(self._secrets[self._signing_id], body))

    def verify(self, token: str) -> ClickTarget:
        """Return what ``token`` stands for.

        Raises:
            MalformedToken: Not a token as ``sign`` writes them; there is one way only to write each.
            UnknownKey: Signed with a key that is not configured.
            ForgedToken: The signature does not fit.
        """
        if not _TOKEN.fullmatch(token):
            raise MalformedToken
        try:
            raw = base64.urlsafe_b64decode(token + "=")
        except binascii.Error as error:
            raise MalformedToken from error
        # The last character has two bits to spare: set, they would make four spellings of one token.
        if _encode(raw) != token:
            raise MalformedToken
        body, mac = raw[:-_MAC_LENGTH], raw[-_MAC_LENGTH:]
        key_id = body[0]
        secret = self._secrets.get(key_id)
        if secret is None:
            raise UnknownKey(key_id)
        if not hmac.compare_digest(mac, _mac(secret, body)):
            raise ForgedToken(key_id)
        return ClickTarget(message_id=UUID(bytes=body[1:17]), number=int.from_bytes(body[17:], "big"))


def _mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + body, "sha256")[:_MAC_LENGTH]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
