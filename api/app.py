"""The HTTP API."""

from typing import Final

from fastapi import APIRouter, Depends, FastAPI

from api import errors, openapi
from api.access import HostGuard, authorise
from api.audit.routes import router as audit
from api.errors import ForeignHost, ForeignPage, Unauthorized, declares
from api.events.routes import router as events
from api.health.routes import router as health
from api.journeys.routes import router as journeys
from api.journeys.routes import schema_router as schema
from api.journeys.running import router as running
from api.messages.routes import router as messages
from api.metrics.routes import router as metrics
from api.parts import ApiParts
from api.profiles.routes import router as profiles
from api.reconciliations.routes import router as reconciliations
from api.runs.routes import router as runs
from api.segments.routes import router as segments
from api.sends.routes import router as sends
from api.strictness import known_body, known_query
from api.top.routes import router as top
from api.tracking.routes import router as tracking
from wend.errors import InvalidDocument, Unavailable

VERSION: Final = "/v1"

DESCRIPTION: Final = """
Customer journeys: profiles, segments, messages, journeys and the runs of people through them.

Lists come as `{items, next}`; pass `next` as `cursor` for the page behind. Definitions are taken as JSON or YAML.
Every error is a problem document (RFC 9457) whose `problems` name everything that is wrong with what was sent.
"""

_RESOURCES: Final[tuple[APIRouter, ...]] = (
    profiles,
    segments,
    messages,
    journeys,
    running,
    reconciliations,
    schema,
    runs,
    sends,
    events,
    audit,
    top,
)


def create_app(parts: ApiParts) -> FastAPI:
    """Return the API, ready to be served.

    It starts nothing and closes nothing: the parts are their maker's.
    """
    app = FastAPI(
        title="Wend",
        version="1",
        description=DESCRIPTION,
        openapi_tags=openapi.TAGS,
        redoc_url=None,
        redirect_slashes=False,  # an address is right or it is not
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    guarded = [Depends(authorise), Depends(known_query), Depends(known_body)]
    common = declares(Unauthorized, ForeignPage, ForeignHost, InvalidDocument, Unavailable)
    for resource in _RESOURCES:
        app.include_router(resource, prefix=VERSION, dependencies=guarded, responses=common)
    app.include_router(metrics, dependencies=guarded, responses=common)
    app.include_router(tracking)
    app.include_router(health)
    app.add_middleware(HostGuard, parts=parts)
    errors.install(app)
    openapi.install(app, [(VERSION, resource) for resource in _RESOURCES])
    return app
