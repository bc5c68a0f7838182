"""The rule of a segment: who belongs to it, as a structure and never as text to be parsed.

``{attribute, op, value}`` compares an attribute, ``{identity: email}`` asks for an identity (and ``op``, ``value``
for what it is), ``{segment: key}`` for membership of another segment; ``{all: […]}``, ``{any: […]}`` and
``{not: …}`` put them together. Two-valued throughout: a comparison is ``wend.journeys.comparison``'s.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from wend.errors import InvalidDocument, Problem
from wend.journeys.comparison import AttributeCondition
from wend.journeys.model import Key, Model, Namespace
from wend.journeys.problems import did_you_mean, problems_of
from wend.journeys.values import ABSENT, read_value

DEEPEST: Final = 20
"""Levels of ``all``, ``any`` and ``not`` in one rule."""

LARGEST: Final = 500
"""Parts of one rule, with the rules of the segments that it refers to: SQLite's limit on an expression is near."""


class IdentityRule(Model):
    """The profile has an identity in the namespace and, if asked, one that is so.

    Attributes:
        identity: The namespace: ``email``, ``phone``, ``external_id``, …
        op: ``eq``: is this text. ``in``: is one of these. ``contains``: has this text within.
        value: Compared by code point, so upper and lower case differ.
    """

    identity: Namespace
    op: Literal["eq", "in", "contains"] | None = None
    value: str | tuple[str, ...] | None = Field(default=None, validate_default=True)

    @field_validator("value", mode="before")
    @classmethod
    def _fits_op(cls, value: Any, info: ValidationInfo) -> Any:
        if "op" not in info.data:  # an unknown op, told already
            return None
        op = info.data["op"]
        if op is None:
            if value is not None:
                raise ValueError("goes with an 'op': eq, in or contains")
            return None
        read = read_value(op, ABSENT if value is None else value)
        if not all(isinstance(item, str) for item in (read if isinstance(read, tuple) else (read,))):
            raise ValueError("is no text; identities are text, also those that look like numbers: put it in quotes")
        return read


class SegmentRule(Model):
    """The profile is a member of another segment."""

    segment: Key


class AllRule(Model):
    """Every part holds."""

    all: tuple["Rule", ...] = Field(min_length=1)


class AnyRule(Model):
    """At least one part holds."""

    any: tuple["Rule", ...] = Field(min_length=1)


class NotRule(Model):
    """The part does not hold."""

    model_config = ConfigDict(serialize_by_alias=True)

    not_: "Rule" = Field(alias="not")


Rule = AttributeCondition | IdentityRule | SegmentRule | AllRule | AnyRule | NotRule

for _model in (AllRule, AnyRule, NotRule):
    _model.model_rebuild()

_LEAVES: Final[Mapping[str, type[AttributeCondition | IdentityRule | SegmentRule]]] = {
    "attribute": AttributeCondition,
    "identity": IdentityRule,
    "segment": SegmentRule,
}
_KINDS: Final = (*_LEAVES, "all", "any", "not")


def parse_rule(document: object, path: str = "") -> Rule:
    """Return the rule that a document (JSON, as Python has read it) writes down.

    Args:
        path: Where the document stands within a larger one; problems are told from there.

    Raises:
        InvalidDocument: It has problems; each is told once, with its own path.
    """
    reader = _Reader()
    rule = reader.read(document, tuple(path.split(".")) if path else (), depth=1)
    if reader.problems or rule is None:
        raise InvalidDocument("The rule", reader.problems)
    return rule


def write_rule(rule: Rule) -> dict[str, Any]:
    """Return the document of a rule: JSON that ``parse_rule`` reads back."""
    return rule.model_dump(mode="json", by_alias=True, exclude_none=True)


def parts_of(rule: Rule, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Rule]]:
    """Yield the rule and every rule within it, each with its path."""
    yield path, rule
    match rule:
        case AllRule(all=parts):
            for number, part in enumerate(parts):
                yield from parts_of(part, (*path, "all", str(number)))
        case AnyRule(any=parts):
            for number, part in enumerate(parts):
                yield from parts_of(part, (*path, "any", str(number)))
        case NotRule(not_=part):
            yield from parts_of(part, (*path, "not"))
        case AttributeCondition() | IdentityRule() | SegmentRule():
            pass


def segments_in(rule: Rule) -> frozenset[str]:
    """Return the keys of the segments that the rule itself names."""
    return frozenset(part.segment for _, part in parts_of(rule) if isinstance(part, SegmentRule))


class _Reader:
    """Reads a rule part by part, and gathers what is wrong with it instead of stopping at the first mistake."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._parts = 0

    def read(self, document: object, path: tuple[str, ...], depth: int) -> Rule | None:
        """Return the rule, or None after telling at least one problem."""
        self._parts += 1
        if self._parts > LARGEST:
            if self._parts == LARGEST + 1:
                self._tell(
                    path, f"is part {self._parts} of the rule; at most {LARGEST} fit: use 'in', or a list segment"
                )
            return None
        if fault := _fault(document, depth):
            self._tell(path, fault)
            return None
        assert isinstance(document, Mapping)
        kind = next(kind for kind in _KINDS if kind in document)
        if kind in _LEAVES:
            return self._read_leaf(_LEAVES[kind], document, path)
        for name in document:
            if name != kind:
                self._tell((*path, str(name)), f"there is no such field beside {kind!r}")
        if kind == "not":
            part = self.read(document[kind], (*path, kind), depth + 1)
            return NotRule.model_validate({"not": part}) if part else None
        parts = self._read_list(document[kind], (*path, kind), depth)
        if parts is None:
            return None
        return AllRule(all=parts) if kind == "all" else AnyRule(any=parts)

    def _read_list(self, documents: object, path: tuple[str, ...], depth: int) -> tuple[Rule, ...] | None:
        if not isinstance(documents, list | tuple) or not documents:
            self._tell(path, "takes a list of at least one rule")
            return None
        parts = [self.read(part, (*path, str(number)), depth + 1) for number, part in enumerate(documents)]
        whole = tuple(part for part in parts if part is not None)
        return whole if len(whole) == len(parts) else None

    def _read_leaf(
        self,
        model: type[AttributeCondition | IdentityRule | SegmentRule],
        document: Mapping[str, Any],
        path: tuple[str, ...],
    ) -> AttributeCondition | IdentityRule | SegmentRule | None:
        try:
            return model.model_validate(document)
        except ValidationError as error:
            for problem in problems_of(error, document, model.model_fields):
                self._tell((*path, problem.path), problem.message)
            return None

    def _tell(self, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(".".join(path), message))


def _fault(document: object, depth: int) -> str | None:
    """Return what keeps the document from being told as one kind of rule."""
    if depth > DEEPEST:
        return f"is nested {depth} levels deep; at most {DEEPEST} are read"
    kinds = [kind for kind in _KINDS if kind in document] if isinstance(document, Mapping) else []
    if len(kinds) > 1:
        return f"mixes {' and '.join(kinds)}; put each into a rule of its own within 'all' or 'any'"
    if not kinds and isinstance(document, Mapping) and "property" in document:
        return "asks for a property of a run; a segment's members have none: ask for it in a journey's conditions"
    if not kinds:
        fields = list(document) if isinstance(document, Mapping) else []
        near = next((hint for field in fields if (hint := did_you_mean(str(field), _KINDS))), "")
        return f"is no rule: it has none of {', '.join(_KINDS)}{near}"
    return None
