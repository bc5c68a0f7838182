"""A profile, and what is asked of one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from wend.journeys.model import Model, Namespace, ZoneName
from wend.profiles.attributes import check_attributes
from wend.profiles.identities import EXTERNAL_ID, normalise_identity


class ProfileUpsert(Model):
    """A profile to be created, or changed in what is named here; everything else of it stays.

    The profile is the one with this ``external_id``; where none has it, the one with this ``id``, which then gets
    the external id; and without ``id`` a new one. Without both it is always a new one.

    Phone numbers without a country's code are read in the country that the validation context names, if it does:
    ``ProfileUpsert.model_validate(document, context={"region": "FR"})``.

    Attributes:
        id: Wend's own id of an existing profile.
        external_id: The caller's id: any string of at most 512 characters. No two profiles share one.
        identities: Namespace → value; null removes one. Several profiles may share an ``email`` or a ``phone``.
        attributes: Merged at the top level: a name that is given replaces the whole value, null removes it.
        time_zone: IANA name; null removes it.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    id: UUID | None = None
    external_id: str | None = None
    identities: dict[Namespace, str | None] = Field(default_factory=dict, max_length=50)
    attributes: dict[str, Any] = Field(default_factory=dict)
    time_zone: ZoneName | None = None

    @field_validator("external_id")
    @classmethod
    def _external_id_is_kept(cls, value: str | None) -> str | None:
        return value if value is None else normalise_identity(EXTERNAL_ID, value)

    @field_validator("identities")
    @classmethod
    def _identities_have_one_spelling(
        cls, identities: dict[str, str | None], info: ValidationInfo
    ) -> dict[str, str | None]:
        region = info.context.get("region") if info.context else None
        normalised: dict[str, str | None] = {}
        wrong: list[tuple[tuple[str, ...], str]] = []
        for namespace, value in identities.items():
            try:
                if namespace == EXTERNAL_ID:
                    raise ValueError("has its own field beside identities: external_id")
                normalised[namespace] = value if value is None else normalise_identity(namespace, value, region)
            except ValueError as error:
                wrong.append(((namespace,), str(error)))
        _refuse(wrong)
        return normalised

    @field_validator("attributes")
    @classmethod
    def _attributes_can_be_kept(cls, attributes: dict[str, Any]) -> dict[str, Any]:
        _refuse(check_attributes(attributes))
        return attributes


class Profile(Model):
    """A person as they are stored.

    Attributes:
        id: Wend's own id, which never changes.
        external_id: The caller's id.
        identities: Namespace → value, in one spelling; without the external id.
        attributes: JSON.
        time_zone: IANA name.
        created_at: When the profile came.
        updated_at: When anything of it last changed.
    """

    id: UUID
    external_id: str | None
    identities: dict[str, str]
    attributes: dict[str, Any]
    time_zone: str | None
    created_at: datetime
    updated_at: datetime

    def all_identities(self) -> dict[str, str]:
        """Return every identity, the external id among them."""
        own = {} if self.external_id is None else {EXTERNAL_ID: self.external_id}
        return own | self.identities


def _refuse(wrong: Iterable[tuple[tuple[str, ...], str]]) -> None:
    """Raise what is wrong, each with its own place below the field."""
    errors = [
        InitErrorDetails(type=PydanticCustomError("profile", "{said}", {"said": said}), loc=place, input=None)
        for place, said in wrong
    ]
    if errors:
        raise ValidationError.from_exception_data("profile", errors)
