"""Settings of every process, from the environment (``WEND_…``, nested with two underscores) or a ``.env`` file.

Temporal's own come from the standard ``TEMPORAL_*`` environment or profile file and have no twins here.
"""

import ipaddress
from datetime import timedelta
from typing import Final, Self

from pydantic import AnyHttpUrl, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from wend.channels.settings import ChannelSettings, PerSecond
from wend.errors import WendError
from wend.messages.tokens import TokenKeys
from wend.runs.queues import SENDS_AT_ONCE

SHORTEST_TOKEN: Final = 16
"""Characters of the API's key."""


class MissingSetting(WendError):
    """A process cannot run without this setting."""

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(f"{name} is not set. {remedy}")
        self.name = name


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
        sends_at_once: Sends that a worker has under way at once, in each task queue: so many, at most, are uncertain
            after it was killed. Entries that take people in count here too.
        deployment: Temporal's name for the workers of this installation, where they are versioned; with a build id.
        build_id: Of this worker's code. Which build is current is said to Temporal: docs/upgrading.md.
        reconcile_every: How often every journey that is not over is compared with what Temporal has: ``PT10M``; 0:
            never.
        channels: Providers.
        metrics_host: Address that a worker or a relay tells its metrics on; the API tells its own on ``host``.
        metrics_port: And the port; without it they are not told.
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
    entry_rate: PerSecond = Field(default=20_000, ge=1, le=999_999)
    sends_at_once: int = Field(default=SENDS_AT_ONCE, ge=4, le=1000)
    deployment: str | None = Field(default=None, pattern="^[A-Za-z0-9_-]{1,100}$")
    build_id: str | None = Field(default=None, pattern="^[A-Za-z0-9._-]{1,100}$")
    reconcile_every: timedelta = Field(default=timedelta(minutes=10), ge=timedelta(0), le=timedelta(days=7))
    channels: ChannelSettings = ChannelSettings()
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    log_format: str = Field(default="console", pattern="^(json|console)$")
    default_region: str | None = Field(default=None, pattern="^[A-Z]{2}$")

    @model_validator(mode="after")
    def _open_doors_need_a_key(self) -> Self:
        if self.api_token is None and not is_loopback(self.host):
            raise ValueError(
                f"the API would listen on {self.host} without a key; set WEND_API_TOKEN, or WEND_HOST=127.0.0.1"
            )
        if self.api_token is None and self.metrics_port is not None and not is_loopback(self.metrics_host):
            raise ValueError(
                f"metrics would be told on {self.metrics_host} without a key; set WEND_API_TOKEN, or "
                "WEND_METRICS_HOST=127.0.0.1"
            )
        if self.api_token is not None and len(self.api_token.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"WEND_API_TOKEN is shorter than {SHORTEST_TOKEN} characters")
        return self

    @model_validator(mode="after")
    def _builds_belong_to_a_deployment(self) -> Self:
        if (self.deployment is None) != (self.build_id is None):
            raise ValueError("WEND_DEPLOYMENT and WEND_BUILD_ID are set both, or neither: together they name a build")
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
