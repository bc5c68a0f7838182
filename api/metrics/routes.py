"""`/metrics`, for Prometheus."""

from fastapi import APIRouter, Response

from api.parts import Parts
from wend.metrics import CONTENT_TYPE, exposition

router = APIRouter(tags=["metrics"])


class MetricsText(Response):
    """Prometheus' text format."""

    media_type = CONTENT_TYPE


@router.get("/metrics", response_class=MetricsText)
def read_metrics(parts: Parts) -> MetricsText:
    """Return what alarms are made of, as Prometheus reads it."""
    return MetricsText(exposition(parts.database, parts.versions, parts.telemetry, parts.clock()))
