"""`/v1/profiles`."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Final
from uuid import UUID

from anyio.from_thread import run as on_the_loop
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from api.bodies import MOST_BATCH_BYTES, media_type, reads
from api.errors import TooLarge, UnsupportedMedia, declares
from api.paging import IDS, Page, Paging
from api.parts import Parts
from api.profiles.models import EXAMPLES, Erased, ImportAnswer, UpsertAnswer, Upserted, Upserts, read_upserts
from wend.errors import InvalidDocument, NotFound, Problem
from wend.profiles import store
from wend.profiles.files import Format
from wend.profiles.importing import import_profiles
from wend.profiles.model import Profile, ProfileUpsert
from wend.profiles.store import ExternalIdTaken
from wend.runs.erasing import erase_profile

router = APIRouter(prefix="/profiles", tags=["profiles"])

FORMATS: Final[dict[str, Format]] = {"text/csv": "csv", "application/x-ndjson": "ndjson"}

UpsertBody = reads(ProfileUpsert | Upserts, parse=read_upserts, most=MOST_BATCH_BYTES, examples=EXAMPLES)


@router.post("", responses=declares(NotFound, ExternalIdTaken))
def upsert_profiles(upserts: Annotated[list[ProfileUpsert], UpsertBody], parts: Parts) -> UpsertAnswer:
    """Create profiles, or change those that are there: one, or a list of up to 1,000."""
    with parts.database.write() as connection:
        results = store.upsert(connection, upserts, parts.clock())
    return UpsertAnswer(items=[Upserted(id=result.id, created=result.created) for result in results])


@router.get("")
def list_profiles(
    parts: Parts,
    paging: Paging,
    namespace: Annotated[str | None, Query(pattern="^[a-z][a-z0-9_]{0,62}$", examples=["email"])] = None,
    value: Annotated[str | None, Query(max_length=512, description="However it is written.")] = None,
) -> Page[Profile]:
    """List profiles; those with an identity, if `namespace` and `value` name one."""
    if (namespace is None) != (value is None):
        told = Problem("query", "namespace and value go together")
        raise InvalidDocument("The request", [told])
    with parts.database.read() as connection:
        if namespace is not None and value is not None:
            found = store.find(connection, namespace, value, region=parts.default_region, limit=paging.limit)
        else:
            found = store.page(connection, paging.after("profiles", IDS), paging.more)
    return paging.page("profiles", found, lambda profile: profile.id, lambda profile: profile)


@router.get("/{id}", responses=declares(NotFound))
def get_profile(id: UUID, parts: Parts) -> Profile:
    """Return a profile."""
    with parts.database.read() as connection:
        profile = store.get(connection, id)
    if profile is None:
        raise NotFound("profile", id)
    return profile


@router.delete("/{id}", responses=declares(NotFound))
def delete_profile(id: UUID, parts: Parts) -> Erased:
    """Delete a profile. Its open runs end; what was sent stays counted, without the address it went to."""
    with parts.database.write() as connection:
        return Erased(id=id, open_runs=erase_profile(connection, id, parts.clock()))


@router.post(
    "/import",
    responses=declares(TooLarge, UnsupportedMedia),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "external_id,email,first_name\ncrm-1001,ada@example.com,Ada\n",
                },
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"external_id": "crm-1001", "identities": {"email": "ada@example.com"}}\n',
                },
            },
        }
    },
)
async def import_file(
    request: Request,
    parts: Parts,
    region: Annotated[str | None, Query(pattern="^[A-Z]{2}$", description="Country of numbers without `+`.")] = None,
) -> ImportAnswer:
    """Import a CSV or NDJSON file of any size, sent as the body: all of it, or nothing and every problem by line."""
    format = FORMATS[media_type(request, tuple(FORMATS))]
    chunks = _pulled(aiter(request.stream()))
    report = await run_in_threadpool(
        import_profiles, parts.database, chunks, format, parts.clock(), region=region or parts.default_region
    )
    return ImportAnswer.model_validate(report)


def _pulled(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Yield a request's body in the thread that imports it, as fast as that takes it and no faster."""

    async def following() -> bytes | None:
        return await anext(stream, None)

    while (chunk := on_the_loop(following)) is not None:
        yield chunk
