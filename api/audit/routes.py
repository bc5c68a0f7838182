"""`/v1/audit`, and `/v1/journeys/{key}/audit`: who did what."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.audit.models import AuditOut
from api.errors import declares
from api.model import PathKey
from api.paging import SERIALS, Page, Pager, Paging
from api.parts import ApiParts, Parts
from wend.errors import NotFound
from wend.journeys.model import KEY_PATTERN
from wend.lifecycle.audit import page_audit
from wend.lifecycle.reading import read_journey

router = APIRouter(tags=["audit"])


@router.get("/audit", responses=declares(NotFound))
def list_audit(
    parts: Parts,
    paging: Paging,
    journey: Annotated[str | None, Query(pattern=KEY_PATTERN)] = None,
    profile_id: UUID | None = None,
) -> Page[AuditOut]:
    """List who did what, the latest first, narrowed by whatever is given.

    Publishing, closing, stopping, pausing, resuming, moving, taking out, light changes, what was taken in after all;
    also what came by itself: a journey that finished, a pause that ended as planned.
    """
    return _listed(parts, paging, "audit", journey, profile_id)


@router.get("/journeys/{key}/audit", responses=declares(NotFound))
def list_journey_audit(key: PathKey, parts: Parts, paging: Paging) -> Page[AuditOut]:
    """List who did what to a journey, the latest first."""
    return _listed(parts, paging, f"audit-{key}", key, None)


def _listed(parts: ApiParts, paging: Pager, kind: str, journey: str | None, profile_id: UUID | None) -> Page[AuditOut]:
    before = paging.after(kind, SERIALS)
    with parts.database.read() as connection:
        if journey is not None:
            read_journey(connection, journey)
        found = page_audit(connection, journey=journey, profile_id=profile_id, before=before, limit=paging.more)
    return paging.page(kind, found, lambda record: record.id, AuditOut.model_validate)
