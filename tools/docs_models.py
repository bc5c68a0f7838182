"""What the models say of themselves: their fields as a table, with the words of their own docstrings."""

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

_ATTRIBUTE = re.compile(r"^    (\w+): (.*)$")


def summary(model: type[BaseModel]) -> str:
    """Return the docstring without its list of attributes, as Markdown."""
    text = inspect.cleandoc(model.__doc__ or "")
    return _markdown(text.partition("\nAttributes:")[0].strip())


def attribute_words(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a model and its bases say of each attribute."""
    words: dict[str, str] = {}
    for each in reversed(model.__mro__):
        words |= _attributes(inspect.cleandoc(each.__dict__.get("__doc__") or ""))
    return {name: _markdown(said) for name, said in words.items()}


def _attributes(docstring: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in docstring.partition("\nAttributes:\n")[2].splitlines():
        if match := _ATTRIBUTE.match(line):
            name, found[match[1]] = match[1], match[2]
        elif line.startswith("        ") and name:
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return found


def table(
    model: type[BaseModel],
    schema: Schema,
    extra: Mapping[str, str],
    kinds: Mapping[str, str],
    leave_out: frozenset[str] = frozenset(),
) -> str:
    """Return a model's fields as a Markdown table.

    Args:
        model: The model.
        schema: Its JSON Schema.
        extra: Words for fields that the docstrings do not explain.
        kinds: What fields take, where the schema does not say it well.
        leave_out: Fields that are explained elsewhere.

    Raises:
        KeyError: Nobody explains a field.
    """
    words = {**extra, **attribute_words(model)}
    written = model.model_fields
    rows = ["| Field | Takes | Default | |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        if name in leave_out:
            continue
        own = next((own for own, each in written.items() if each.alias == name), name)
        default = "**required**" if name in schema.get("required", ()) else _default(field)
        rows.append(f"| `{name}` | {kinds.get(name) or takes(field)} | {default} | {words.get(own) or words[name]} |")
    return "\n".join(rows)


def takes(field: Schema) -> str:
    """Return in a few words what a field takes."""
    match field:
        case {"$ref": reference}:
            return _NAMED.get(str(reference).rpartition("/")[2], "object")
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"anyOf": options} | {"oneOf": options}:
            kinds = [takes(option) for option in options if option.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
        case {"format": "duration"}:
            return "duration"
        case {"type": "array", "items": items}:
            return f"list of {takes(items)}"
        case {"type": "string", "pattern": pattern}:
            return _PATTERNS.get(pattern, "text")
        case {"type": "string"}:
            return "text"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"number, {least:,} to {most:,}"
        case {"type": "integer" | "number"}:
            return "number"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case _:
            return "object"


_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,62}$": "key",
    r"^[a-z][a-z0-9_]{0,62}$": "namespace",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$": "link name",
}

_NAMED = {
    "AfterPublish": "`{after_publish: …}`",
    "AtTime": "`{at: …}`",
    "EveryHours": "`{hours: …}`",
    "EveryDays": "`{days: …}`",
    "EveryWeeks": "`{weeks: …}`",
    "EveryMonths": "`{months: …}`",
    "Schedule": "[schedule](#schedule)",
    "Ceiling": "[ceiling](#ceiling)",
    "Reentry": "[reentry](#reentry)",
    "Window": "[window](#window)",
    "Case": "cases, each `{when: …, next: …}`",
    "AttributeCondition": "comparison",
    "EventComparison": "comparison",
    "Ago": "`{ago: …}`",
    "Ahead": "`{ahead: …}`",
}


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or default in ([], ""):
        return ""
    if isinstance(default, Mapping):
        default = {name: value for name, value in default.items() if value is not None}
        return f"`{json.dumps(default)}`"
    return f"`{json.dumps(default) if isinstance(default, bool) else default}`"


def _markdown(text: str) -> str:
    """Return a docstring's words as Markdown, a paragraph on one line."""
    paragraphs = [" ".join(part.split()) for part in text.replace("``", "`").split("\n\n")]
    return "\n\n".join(paragraphs).replace("|", "\\|")
