"""The bases of what comes in and what goes out, and the words that addresses share."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from wend.journeys.model import KEY_PATTERN, Model, Namespace
from wend.profiles.attributes import check_attributes

PathKey = Annotated[str, Path(pattern=KEY_PATTERN, description="Lower-case letters, digits, `-` and `_`; at most 63.")]
PathNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


class In(Model):
    """What a caller sends: frozen, and strict about fields nobody asked for."""


class Out(BaseModel):
    """What the API answers; made from the library's own values."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def _instant(text: object) -> datetime:
    if isinstance(text, datetime):
        return text
    try:
        if not isinstance(text, str):
            raise ValueError
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is no instant; write it with its offset: 2026-12-01T09:00:00Z") from error


Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=str)]


def _properties(given: Any) -> Any:
    if isinstance(given, dict) and (wrong := check_attributes(given)):
        place, said = wrong[0]
        raise ValueError(f"{'.'.join(place)}: {said}" if place else said)
    return given


Properties = Annotated[
    dict[str, Any], BeforeValidator(_properties, json_schema_input_type=dict[str, Any]), Field(default_factory=dict)
]
"""JSON that later steps, templates and conditions can name: the same as a profile's attributes."""


class IdentityIn(In):
    """Names a person by one of their identities."""

    namespace: Namespace = Field(examples=["external_id"])
    value: str = Field(min_length=1, max_length=512, examples=["crm-1001"])
