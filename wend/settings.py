"""Settings of every process, from the environment (``WEND_…``, nested with two underscores) or a ``.env`` file.

Temporal's own come from the standard ``TEMPORAL_*`` environment or profile file and have no twins here.
"""

import ipaddress
from typing import Annotated, Final, Self

from pydantic import AnyHttpUrl, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from wend.channels.settings import ChannelSettings
from wend.errors import WendError
from wend.messages.tokens import TokenKeys

SHORTEST_TOKEN: Final = 16
"""Characters of the API's key."""


class MissingSetting(WendError):
    """A process cannot run without this setting."""

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(f"{name} is not set. {remedy}")
        self.name = name


def _without_unit(text: object) -> object:
    return text.removesuffix("/s") if isinstance(text, str) else text


EntryRate = Annotated[int, BeforeValidator(_without_unit)]
"""Profiles per second: ``500/s``, as in a journey, or ``500``."""


class Settings(BaseSettings):
    """What a process is told from outside.

    Attributes:
        database_url: ``sqlite:///path`` or ``postgresql://…``.
        host: Address that the API listens on.
        port: Port that the API listens on.
        api_token: Bearer token that ``/v1`` asks for; required on any address but loopback.
        public_url: Where recipients reach ``/c/…``; no slash at the end.
        token_keys: Secrets of link tokens, ``2:<hex>,1:<hex>``: the first signs, all verify.
        task_queue: Temporal task queue.
        entry_rate: How many profiles all journeys together take in per second, ``20000/s`` or ``20000``; each journey
            keeps to its own rate besides. Starts through the API do not count.
        channels: Providers.
        log_format: ``json``, or ``console`` for people.
    """

    model_config = SettingsConfigDict(
        env_prefix="WEND_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    database_url: str = "sqlite:///.wend/wend.db"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_token: SecretStr | None = None
    public_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8000")
    token_keys: SecretStr | None = None
    task_queue: str = Field(default="wend", min_length=1)
    entry_rate: EntryRate = Field(default=20_000, ge=1, le=999_999)
    channels: ChannelSettings = ChannelSettings()
    log_format: str = Field(default="console", pattern="^(json|console)$")
    default_region: str | None = Field(default=None, pattern="^[A-Z]{2}$")

    @model_validator(mode="after")
    def _open_doors_need_a_key(self) -> Self:
        if self.api_token is None and not is_loopback(self.host):
            raise ValueError(
                f"the API would listen on {self.host} without a key; set WEND_API_TOKEN, or WEND_HOST=127.0.0.1"
            )
        if self.api_token is not None and len(self.api_token.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"WEND_API_TOKEN is shorter than {SHORTEST_TOKEN} characters")
        return self

    def keys(self) -> TokenKeys:
        """Return the keys of link tokens.

        Raises:
            MissingSetting: None is set.
        """
        if self.token_keys is None:
            raise MissingSetting("WEND_TOKEN_KEYS", "Make one: echo 1:$(openssl rand -hex 32)")
        return TokenKeys.parse(self.token_keys.get_secret_value())


def is_loopback(host: str) -> bool:
    """True if only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
