"""What differs between two definitions, by their structure: steps are matched by their ids, not by their places."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wend.journeys.definition import JourneyDefinition


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    Attributes:
        path: Where: ``entry.rate``, ``steps.announce.message``.
        kind: ``moved`` is a step that stands elsewhere in the list; it may thereby lead elsewhere.
        before: In the one; ``None`` where it was added.
        after: In the other; ``None`` where it was removed.
    """

    path: str
    kind: Literal["added", "removed", "changed", "moved"]
    before: Any = None
    after: Any = None


def differences(one: JourneyDefinition, other: JourneyDefinition) -> list[Difference]:
    """Return what has to be changed in the one to make it the other, in the order of their fields and steps."""
    before, after = one.document(), other.document()
    steps_before = {step["id"]: step for step in before.pop("steps")}
    steps_after = {step["id"]: step for step in after.pop("steps")}
    found = list(_fields("", before, after))
    found += [Difference(f"steps.{id}", "removed", steps_before[id]) for id in steps_before if id not in steps_after]
    for id, step in steps_after.items():
        if id in steps_before:
            found += _fields(f"steps.{id}.", steps_before[id], step)
        else:
            found.append(Difference(f"steps.{id}", "added", None, step))
    # Where the order of what both have has changed, a step without a next leads elsewhere.
    was, now = one.following(), other.following()
    for id, follows in now.items():
        if id in was and was[id] != follows:
            found.append(Difference(f"steps.{id}", "moved", was[id], follows))
    return found


def _fields(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    found = []
    for name in dict.fromkeys([*before, *after]):
        path, old, new = f"{prefix}{name}", before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += _fields(f"{path}.", old, new)
        elif name not in before:
            found.append(Difference(path, "added", None, new))
        elif name not in after:
            found.append(Difference(path, "removed", old))
        else:
            found.append(Difference(path, "changed", old, new))
    return found
