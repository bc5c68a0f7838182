"""`/v1/messages`."""

from typing import Annotated

from fastapi import APIRouter

from api.bodies import reads
from api.errors import ProblemItem, declares
from api.messages.models import (
    EXAMPLES,
    MessageIn,
    MessageOut,
    MessageVersionOut,
    PreviewIn,
    ReadyIn,
    ReadyOut,
    RenderedOut,
)
from api.model import PathKey, PathNumber
from api.paging import KEYS, NUMBERS, Page, Paging
from api.parts import Parts
from wend.errors import NotFound
from wend.messages import reading, store
from wend.messages.checks import check_message, preview
from wend.messages.errors import RenderError
from wend.messages.store import ChannelIsFixed

router = APIRouter(prefix="/messages", tags=["messages"])


@router.put("/{key}", responses=declares(ChannelIsFixed))
def put_message(
    key: PathKey, message: Annotated[MessageIn, reads(MessageIn, yaml=True, examples=EXAMPLES)], parts: Parts
) -> MessageOut:
    """Save a draft. Ready versions, and journeys that send them, are not touched."""
    with parts.database.write() as connection:
        return MessageOut.of(store.put(connection, key, message.name, message.content, parts.clock()))


@router.get("")
def list_messages(parts: Parts, paging: Paging) -> Page[MessageOut]:
    """List messages."""
    with parts.database.read() as connection:
        found = store.page(connection, paging.after("messages", KEYS), paging.more)
    return paging.page("messages", found, lambda message: message.key, MessageOut.of)


@router.get("/{key}", responses=declares(NotFound))
def get_message(key: PathKey, parts: Parts) -> MessageOut:
    """Return a message with its draft."""
    with parts.database.read() as connection:
        return MessageOut.of(store.get(connection, key))


@router.post("/{key}/ready", responses=declares(NotFound))
def make_message_ready(
    key: PathKey, sample: Annotated[ReadyIn, reads(ReadyIn, optional=True)], parts: Parts
) -> ReadyOut:
    """Check the draft and make it the version that journeys send from their next publication on."""
    with parts.database.write() as connection:
        profile = reading.sample_profile(connection, sample.profile_id)
        context = reading.preview_context(profile, sample.properties) if profile else None
        message = store.make_ready(connection, key, context, parts.clock())
    found = check_message(message.draft, context, f"{parts.public_url}/c/")
    return ReadyOut(
        message=MessageOut.of(message),
        sample_profile_id=profile.id if profile else None,
        warnings=[ProblemItem.model_validate(each) for each in found if each.severity == "warning"],
    )


@router.post("/{key}/preview", responses=declares(NotFound, RenderError))
def preview_message(key: PathKey, wanted: Annotated[PreviewIn, reads(PreviewIn)], parts: Parts) -> RenderedOut:
    """Render a message for one person, and send nothing."""
    with parts.database.read() as connection:
        message = store.get(connection, key)
        content = store.get_version(connection, key, wanted.version) if wanted.version else message.draft
        if wanted.profile is None:
            profile = reading.sample_profile(connection, wanted.profile_id)
        else:
            profile = reading.made_up_profile(**dict(wanted.profile), now=parts.clock())
    assert profile is not None, "one of the two is given"
    return RenderedOut.of(preview(content, reading.preview_context(profile, wanted.properties)), message.channel)


@router.get("/{key}/versions", responses=declares(NotFound))
def list_message_versions(key: PathKey, parts: Parts, paging: Paging) -> Page[MessageVersionOut]:
    """List the ready versions, newest first."""
    kind = f"message-versions-{key}"
    with parts.database.read() as connection:
        found = reading.page_versions(connection, key, before=paging.after(kind, NUMBERS), limit=paging.more)
    return paging.page(kind, found, lambda version: version.version, MessageVersionOut.model_validate)


@router.get("/{key}/versions/{number}", responses=declares(NotFound))
def get_message_version(key: PathKey, number: PathNumber, parts: Parts) -> MessageVersionOut:
    """Return a ready version."""
    with parts.database.read() as connection:
        return MessageVersionOut.model_validate(reading.read_version(connection, key, number))
