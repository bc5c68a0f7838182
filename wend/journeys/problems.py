"""What is wrong with a document, said so that its author can mend it."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import ValidationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document.

    Attributes:
        path: Where it is, with the ids that a person sees: ``steps.reminder.on_click``.
        message: What is wrong and, where there is one, the remedy.
        severity: An ``error`` blocks; a ``warning`` is told and passes.
    """

    path: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def did_you_mean(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or nothing.

    ``likeness`` is how near it must be, from 0 to 1.
    """
    # A hundred characters tell what was meant; comparing is quadratic.
    near = get_close_matches(word[:100], list(known), n=1, cutoff=likeness)
    return f"; did you mean {near[0]!r}?" if near else ""


def problems_of(error: ValidationError, document: object, fields: Iterable[str] = ()) -> list[Problem]:
    """Return pydantic's complaints in our words.

    Paths name list items by their ``id`` where they have one, and leave out the tags of unions.

    Args:
        error: What pydantic raised.
        document: The document as it was read; paths are followed in it.
        fields: Names that exist somewhere in the model, for suggestions on unknown fields.
    """
    return problems_in(error.errors(include_url=False), document, fields)


def problems_in(items: Iterable[Mapping[str, Any]], document: object, fields: Iterable[str] = ()) -> list[Problem]:
    """Return complaints that pydantic wrote down as ``type``, ``loc``, ``msg``, ``ctx`` and ``input``, in our words."""
    known = tuple(fields)
    return [
        Problem(path_of(item["loc"], document), _say(item["type"], item["msg"], item["loc"], item.get("ctx"), known))
        for item in items
        if not _follows_from_others(item)
    ]


def _follows_from_others(item: Mapping[str, Any]) -> bool:
    """True for a list that counts as too short only because items of it were refused, which has been told."""
    given = item.get("input")
    return item["type"] == "too_short" and isinstance(given, Sized) and len(given) >= item["ctx"]["min_length"]


def path_of(location: Sequence[int | str], document: object) -> str:
    """Return a location as a person reads it, following the document as far as it goes."""
    parts: list[str] = []
    here: Any = document
    for place, item in enumerate(location):
        last = place == len(location) - 1
        if isinstance(item, int) and isinstance(here, list | tuple) and item < len(here):
            here = here[item]
            name = here.get("id") if isinstance(here, Mapping) else None
            parts.append(name if isinstance(name, str) and name else str(item))
        elif isinstance(here, Mapping) and item in here:
            here = here[item]
            parts.append(str(item))
        elif last and not _is_tag(item) and not (isinstance(here, Mapping) and here.get("type") == item):
            parts.append(str(item))
    return ".".join(parts)


def _is_tag(item: int | str) -> bool:
    """True for the parts that pydantic adds for unions and validators: ``function-before[…]``, ``[key]``, ``str``."""
    return isinstance(item, str) and (item.endswith("]") or item in {"str", "int", "float", "bool"})


def _say(
    kind: str, message: str, location: Sequence[int | str], context: Mapping[str, Any] | None, known: Sequence[str]
) -> str:
    match kind:
        case "extra_forbidden":
            name = str(location[-1])
            hint = did_you_mean(name, [field for field in known if field != name], likeness=0.75)
            return f"there is no such field here{hint}"
        case "missing":
            return "is required"
        case "union_tag_not_found":
            return "has no 'type'" if "type" in str(message) else message
        case "union_tag_invalid" if context:
            tag = str(context.get("tag", "")).strip("'")[:100]
            expected = [word.strip(" '") for word in str(context.get("expected_tags", "")).split(",")]
            return f"there is no type {tag!r}{did_you_mean(tag, expected)} (types: {', '.join(expected)})"
        case "value_error":
            return message.removeprefix("Value error, ")
        case "too_short" | "too_long" | "string_too_short" | "string_too_long" if context:
            return _say_length(kind, context)
        case _ if kind in _WANTED:
            return f"must be {_WANTED[kind]}"
        case _:
            return message[:1].lower() + message[1:]


_WANTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "text (a number needs quotes)",
    "tuple_type": "a list",
}
"""What pydantic wanted where something of another kind stands."""


def _say_length(kind: str, context: Mapping[str, Any]) -> str:
    short = kind.endswith("_short")
    bound = context["min_length" if short else "max_length"]
    unit = "character" if kind.startswith("string") else "item"
    return f"needs {'at least' if short else 'at most'} {bound} {unit}{'' if bound == 1 else 's'}"
