"""The step reference, out of the definition's models."""

from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel

from tools.docs_models import Schema, summary, table
from wend.documents import definition_schema
from wend.entries.verdicts import REASONS
from wend.journeys.comparison import AttributeCondition
from wend.journeys.conditions import EventCondition
from wend.journeys.definition import JourneyDefinition
from wend.journeys.entry import Ceiling, Entry, Reentry, Window
from wend.journeys.schedule import Schedule
from wend.journeys.steps import AnyStep
from wend.journeys.steps.base import Step

EXAMPLES = {
    "send_email": "{id: announce, type: send_email, message: product-announcement}",
    "send_sms": "{id: remind, type: send_sms, message: product-launched, to: phone, on_failure: exit}",
    "wait": "{id: a-week, type: wait, for: P1W}",
    "wait_until": "{id: before-renewal, type: wait_until, attribute: renewal_on, offset: -P3D, on_missing: exit}",
    "wait_for_click": """{id: interested, type: wait_for_click, sent_by: announce, link: product-details, within: P1D,
     on_timeout: exit}""",
    "wait_for_event": """{id: bought, type: wait_for_event, event: order_placed, within: P7D,
     where: [{attribute: total, op: gte, value: 50}], on_event: exit, on_timeout: exit}""",
    "if": """{id: which, type: if, else: exit,
     cases: [{when: {attribute: tier, op: eq, value: gold}, next: call},
             {when: {segment: recent-buyers}, next: exit}]}""",
    "update_profile": "{id: note, type: update_profile, set: {launched_to: true, sales_rep: null}}",
    "exit": "{id: not-interested, type: exit, reason: not_interested}",
}
"""An example of each type. ``announce`` and ``call`` stand for steps elsewhere in the journey."""

WORDS = {
    "id": "Names the step within the journey. `exit` is taken: it is the journey's end.",
    "type": "What kind of step it is.",
    "next": "The step that follows. The one that stands below by default; `exit` after the last.",
    "for": "How long, from arrival.",
    "cases": "Looked at in order; the first that holds is taken.",
    "else": "Where to go when no case holds; without it the run ends as `exited(no_branch)`.",
    "set": "Attribute names and their new values: any JSON. `null` removes an attribute.",
    "reason": "Becomes the run's outcome, `exited(reason)`; without one the run is `completed`.",
    "key": "Names the journey for ever.",
    "name": "What people call it.",
    "description": "For people.",
    "steps": "In order; the first is where runs begin.",
    "event": "The event's name.",
    "within": "How long before now.",
}

STEP = dict.fromkeys(("next", "on_failure", "on_missing", "on_click", "on_timeout", "on_event", "else"), "step")
KINDS = {
    **STEP,
    "sent_by": "step",
    "at": "date-time",
    "until": "date-time",
    "opens": "date-time",
    "closes": "date-time",
    "attribute": "path, such as `plan` or `address.city`",
    "property": "path, such as `order.id`",
    "set_from": "attribute names, each with `{property: …}`",
    "rate": "rate, such as `500/s`",
    "steps": "list of [steps](#steps)",
    "entry": "[entry](#entry)",
    "time_zone": "IANA name",
    "value": "depends on `op`",
}

HEAD = """# The definition, field by field

<!-- Generated from the models by `python -m tools.docs`; do not edit. -->

How to write a journey is told in [journeys.md](journeys.md); this page lists what there is. The same is available to
editors as a JSON Schema: `wend.documents.definition_schema()`.

*Key*: 1 to 63 lower-case letters, digits, `-` and `_`. *Namespace*: likewise, without `-`, beginning with a letter.
*Duration*: ISO 8601 in weeks, days, hours, minutes and seconds, such as `PT30M`, `P1D` or `P2W`; months and years are
refused, because they are not always equally long. *Date-time*: `2026-12-01T09:00` is wall time in the journey's zone,
`2026-12-01T09:00Z` an instant. Unknown fields are refused everywhere."""


def page() -> str:
    """Return the page."""
    schema = definition_schema()
    parts = [HEAD, _section("## The journey", JourneyDefinition, schema, KINDS)]
    of_schedules = KINDS | {"at": "time of day, `09:00`"}
    for model, kinds in ((Entry, KINDS), (Schedule, of_schedules), (Ceiling, KINDS), (Reentry, KINDS), (Window, KINDS)):
        parts.append(_section(f"## {model.__name__}", model, schema["$defs"][model.__name__], kinds))
    parts += [_reasons()]
    parts += ["## Steps", "Every step has an `id` and a `type`. Fields that name a step take a step's id or `exit`."]
    for step in steps():
        type_ = type_of(step)
        parts.append(_section(f"### `{type_}`", step, schema["$defs"][step.__name__], KINDS))
        parts.append(f"```yaml step\n  - {EXAMPLES[type_]}\n```")
    parts += [_conditions(schema)]
    return "\n\n".join(parts) + "\n"


def steps() -> list[type[Step]]:
    """Return the models of all step types, in the order of the definition."""
    return list(get_args(get_args(AnyStep)[0]))


def type_of(step: type[Step]) -> str:
    """Return what a definition calls the type."""
    (name,) = get_args(step.model_fields["type"].annotation)
    return str(name)


def _section(title: str, model: type[BaseModel], schema: Schema, kinds: Mapping[str, str]) -> str:
    leave_out = frozenset({"id", "type"}) if issubclass(model, Step) else frozenset[str]()
    return f"{title}\n\n{summary(model)}\n\n{table(model, schema, WORDS, kinds, leave_out)}"


def _reasons() -> str:
    rows = "\n".join(f"| `{reason}` | {said} |" for reason, said in REASONS.items())
    return f"""## Why a member does not enter

Each member of the entry's segments gets a run, or is counted under one of these reasons; of several, the first.

| Reason | Says of a profile |
|---|---|
{rows}"""


def _conditions(schema: Schema) -> str:
    comparison = table(AttributeCondition, schema["$defs"]["AttributeCondition"], WORDS, KINDS)
    event = table(EventCondition, schema["$defs"]["EventCondition"], WORDS, KINDS)
    return f"""## Conditions

A condition is one of these, told by its field: `attribute` (a comparison), `property` (a comparison with what the run
was started with), `segment` (the profile is in it now), `event` (the profile has had one lately), and `all: […]`,
`any: […]`, `not: …` around others. Every condition is true or false: a comparison with something missing or mistyped is
false, and `not` of it is true.

### A comparison

{comparison}

With `property` in the place of `attribute` it is the same comparison with what the run was started with, by the path of
the property: `{{property: order.total, op: gte, value: 100}}`. Members of a segment bring no properties.

### An event

{event}"""
