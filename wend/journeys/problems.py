"""What is wrong with a document, said so that its author can mend it."""

from collections.abc import Iterable, Mapping, Sequence
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def problems_of(error: ValidationError, document: object, fields: Iterable[str] = ()) -> list[Problem]:
    """Return pydantic's complaints in our words.

    Paths name list items by their ``id`` where they have one, and leave out the tags of unions.

    Args:
        error: What pydantic raised.
        document: The document as it was read; paths are followed in it.
        fields: Names that exist somewhere in the model, for suggestions on unknown fields.
    """
    known = tuple(fields)
    return [
        Problem(path_of(item["loc"], document), _say(item["type"], item["msg"], item["loc"], item.get("ctx"), known))
        for item in error.errors(include_url=False, include_input=False)
    ]


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
        elif last and not _is_tag(item):
            parts.append(str(item))
    return ".".join(parts)


def _is_tag(item: int | str) -> bool:
    """True for the parts that pydantic adds for unions and validators: ``function-before[…]``, ``tagged-union[…]``."""
    return isinstance(item, str) and (item.endswith("]") or item in {"str", "int", "float", "bool"})


def _say(
    kind: str, message: str, location: Sequence[int | str], context: Mapping[str, Any] | None, known: Sequence[str]
) -> str:
    match kind:
        case "extra_forbidden":
            name = str(location[-1])
            return f"there is no such field here{did_you_mean(name, [field for field in known if field != name])}"
        case "missing":
            return "is required"
        case "union_tag_not_found":
            return "has no 'type'" if "type" in str(message) else message
        case "union_tag_invalid" if context:
            tag = str(context.get("tag", "")).strip("'")
            expected = [word.strip(" '") for word in str(context.get("expected_tags", "")).split(",")]
            return f"there is no type {tag!r}{did_you_mean(tag, expected)} (types: {', '.join(expected)})"
        case "value_error":
            return message.removeprefix("Value error, ")
        case _:
            return message[:1].lower() + message[1:]
