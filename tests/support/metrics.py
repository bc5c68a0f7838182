"""Reading what a process tells of itself."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from wend.telemetry import Telemetry


def told(telemetry: Telemetry) -> dict[tuple[str, ...], float]:
    """Return its metrics: (name, the labels' values in the order of their names) → value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(telemetry.registry).decode())
        for sample in family.samples
    }
