"""What templates see: ``profile`` and ``run``.

A value that is absent or null is unknown to a template: printing it is an error, ``default`` replaces it, a
condition takes it as false.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from liquid.exceptions import LiquidTypeError

RUN_FIELDS = ("id", "journey", "properties")


@dataclass(frozen=True)
class ProfileContext:
    """The profile that a message is for.

    In a template its attributes stand at the top (``profile.first_name``), and so do its identities
    (``profile.email``), which win over attributes of the same name. ``id``, ``time_zone``, ``identities`` and
    ``attributes`` always mean what they mean here.
    """

    id: UUID
    attributes: Mapping[str, object] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    time_zone: str | None = None


@dataclass(frozen=True)
class RunContext:
    """The run that sends: ``run.id``, ``run.journey`` (the key) and ``run.properties.*``."""

    id: UUID
    journey: str
    properties: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class MessageContext:
    """Everything a template may print."""

    profile: ProfileContext
    run: RunContext

    def namespace(self) -> dict[str, object]:
        """Return the two names that templates start from."""
        profile, run = self.profile, self.run
        return {
            "profile": Values(
                {
                    **profile.attributes,
                    **profile.identities,
                    "id": str(profile.id),
                    "time_zone": profile.time_zone,
                    "identities": profile.identities,
                    "attributes": profile.attributes,
                }
            ),
            "run": Values({"id": str(run.id), "journey": run.journey, "properties": run.properties}),
        }


class Values(Mapping[str, object]):
    """A JSON object in a template: nulls are absent, and it cannot be printed as a whole.

    Without this, ``{{ profile }}`` would mail a person everything that is known of them.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> object:
        value = self._values[key]
        if value is None:
            raise KeyError(key)
        return wrapped(value)

    def __iter__(self) -> Iterator[str]:
        return (key for key, value in self._values.items() if value is not None)

    def __len__(self) -> int:
        return sum(value is not None for value in self._values.values())

    def __str__(self) -> str:
        raise LiquidTypeError("this is an object; name the value in it that is to be printed", token=None)


def wrapped(value: object) -> object:
    """Return a JSON value as templates see it."""
    if isinstance(value, Mapping):
        return Values(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [wrapped(item) for item in value]
    return value
