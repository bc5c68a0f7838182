"""`/v1/top`: how everything stands, for whoever watches."""

from fastapi import APIRouter

from api.parts import Parts
from api.top.models import AtWorkOut, TopOut
from wend.lifecycle.overview import read_overview

router = APIRouter(prefix="/top", tags=["journeys"])


@router.get("")
def get_top(parts: Parts) -> TopOut:
    """Return how every journey stands that is not over; cheap enough to be asked every few seconds."""
    now = parts.clock()
    with parts.database.read() as connection:
        found = read_overview(connection, parts.versions, now)
    return TopOut(at=now, items=[AtWorkOut.model_validate(each) for each in found])
