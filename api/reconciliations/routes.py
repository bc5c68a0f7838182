"""`/v1/journeys/{key}/reconciliations`: does everything that is known of a journey fit together?"""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from api.actor import UNNAMED, Actor
from api.bodies import reads
from api.errors import declares
from api.model import PathKey
from api.paging import MOMENTS, Page, Paging, moment
from api.parts import Parts
from api.reconciliations.models import EXAMPLES, ReconcileIn, ReconciliationOut
from wend.errors import NotFound
from wend.lifecycle.reading import read_journey
from wend.reconciling import asking

router = APIRouter(prefix="/journeys", tags=["journeys"])

ReconcileBody = reads(ReconcileIn, optional=True, examples=EXAMPLES)


@router.post("/{key}/reconciliations", status_code=HTTPStatus.ACCEPTED, responses=declares(NotFound))
def reconcile_journey(
    key: PathKey, asked: Annotated[ReconcileIn, ReconcileBody], parts: Parts, by: Actor = UNNAMED
) -> ReconciliationOut:
    """Have a journey's entries, runs, sends and outbox compared with each other and with Temporal, and mended.

    A worker does it, beginning within moments; one reconciliation of a journey runs at a time. Ask for it by its id to
    see how far it is, and what came of it.
    """
    with parts.database.write() as connection:
        id = asking.ask(connection, key, asked.chosen(), parts.clock(), by=by)
        return ReconciliationOut.of(asking.read(connection, key, id))


@router.get("/{key}/reconciliations", responses=declares(NotFound))
def list_reconciliations(key: PathKey, parts: Parts, paging: Paging) -> Page[ReconciliationOut]:
    """List a journey's reconciliations, the newest first, those by schedule among them."""
    kind = f"reconciliations-{key}"
    before = paging.after(kind, MOMENTS)
    with parts.database.read() as connection:
        read_journey(connection, key)
        found = asking.page(connection, key, before=before, limit=paging.more)
    return paging.page(kind, found, lambda each: moment(each.asked_at, each.id), ReconciliationOut.of)


@router.get("/{key}/reconciliations/{id}", responses=declares(NotFound))
def get_reconciliation(key: PathKey, id: UUID, parts: Parts) -> ReconciliationOut:
    """Return a reconciliation: how far it is, or what came of it."""
    with parts.database.read() as connection:
        return ReconciliationOut.of(asking.read(connection, key, id))
