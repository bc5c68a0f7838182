"""`/healthz` and `/readyz`: for whoever keeps processes alive. Public; they say nothing else."""

from typing import Literal

from fastapi import APIRouter

from api.errors import declares
from api.model import Out
from api.parts import Parts
from wend.errors import Unavailable

router = APIRouter(tags=["health"])


class Health(Out):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def is_alive() -> Health:
    """Say that the process lives."""
    return Health()


@router.get("/readyz", responses=declares(Unavailable))
def is_ready(parts: Parts) -> Health:
    """Say that requests will be served: the database answers, and whatever else this process needs."""
    parts.database.ping()
    if parts.ready is not None:
        parts.ready()
    return Health()
