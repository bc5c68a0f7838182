"""`/metrics` of a process that serves nothing else: a worker, a relay."""

from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from api.access import HostGuard, admit
from api.errors import answer
from api.metrics.routes import MetricsText
from wend.errors import WendError
from wend.lifecycle.versions import Versions
from wend.metrics import exposition
from wend.storage.database import Database
from wend.telemetry import Telemetry


@dataclass(frozen=True)
class MetricsDoor:
    """Who may ask.

    Attributes:
        public_url: What is served here; no slash at the end.
        api_token: Bearer token that is asked for; ``None`` asks for none, which is for loopback alone.
    """

    public_url: str
    api_token: str | None = field(default=None, repr=False)


def create_metrics_app(database: Database, versions: Versions, telemetry: Telemetry, door: MetricsDoor) -> ASGIApp:
    """Return the application, ready to be served."""

    async def read_metrics(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            admit(request, door, token if scheme.lower() == "bearer" else None)
            return MetricsText(await run_in_threadpool(exposition, database, versions, telemetry))
        except WendError as error:
            return answer(error, request)

    return HostGuard(Starlette(routes=[Route("/metrics", read_metrics)]), door)
