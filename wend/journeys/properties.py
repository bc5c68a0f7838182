"""What a journey uses of what its runs are started with."""

from wend.journeys.definition import JourneyDefinition


def properties_used(definition: JourneyDefinition) -> list[tuple[str, str]]:
    """Return every use of a run's property by a step: (path in the definition, path of the property), as written.

    What messages print is not among them. Members of a segment bring no properties: a comparison with one is false
    for them, a date in one is missing, and nothing is set from one.
    """
    return [(f"steps.{step.id}.{field}", path) for step in definition.steps for field, path in step.properties()]
