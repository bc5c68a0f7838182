"""What is asked of segments, and what is answered."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from api.bodies import parse_as
from api.model import In, Out
from api.parts import ApiParts
from wend.profiles.model import Profile
from wend.segments.lists import ListChange, Listed
from wend.segments.references import Segment
from wend.segments.rules import Rule, parse_rule, write_rule

MOST_LISTED: Final = 100_000

RULE_EXAMPLE: Final = {
    "all": [
        {"attribute": "lifetime_value", "op": "gte", "value": 1000},
        {"identity": "email"},
        {"not": {"segment": "employees"}},
    ]
}
EXAMPLES: Final[dict[str, Any]] = {
    "by rule": {"name": "Most valuable customers", "rule": RULE_EXAMPLE},
    "by list": {"name": "Employees", "kind": "list"},
}
PREVIEW_EXAMPLES: Final[dict[str, Any]] = {"a rule": {"rule": RULE_EXAMPLE, "sample": 5}}


class SegmentIn(In):
    """A segment: by rule, or a list whose members are put into it."""

    name: str = Field(min_length=1, max_length=200)
    kind: Literal["rule", "list"] = "rule"
    rule: Rule | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> Self:
        if self.kind == "rule" and self.rule is None:
            raise ValueError("has no rule; give one, or say kind: list")
        if self.kind == "list" and self.rule is not None:
            raise ValueError("a list has no rule; leave it out, or say kind: rule")
        return self


class RuleIn(In):
    """A rule to be tried."""

    rule: Rule
    sample: int = Field(default=10, ge=0, le=100)


class ListedIn(In):
    """Profiles, by Wend's ids and by the caller's own."""

    profile_ids: tuple[UUID, ...] = Field(default=(), max_length=MOST_LISTED)
    external_ids: tuple[str, ...] = Field(default=(), max_length=MOST_LISTED)

    def listed(self) -> Listed:
        """Return them as the library takes them."""
        return Listed(self.profile_ids, self.external_ids)


class MembersIn(In):
    """Who is put into a list and who is taken out; who is named in both is out."""

    add: ListedIn = ListedIn()
    remove: ListedIn = ListedIn()


def read_segment(document: Any, parts: ApiParts) -> SegmentIn:
    """Return the segment in a body; every problem of its rule is told once.

    Raises:
        InvalidDocument: Every problem.
    """
    segment: SegmentIn = parse_as(SegmentIn, _with_rule(document), "The segment")
    return segment


def read_rule(document: Any, parts: ApiParts) -> RuleIn:
    """Return the rule in a body.

    Raises:
        InvalidDocument: Every problem.
    """
    rule: RuleIn = parse_as(RuleIn, _with_rule(document), "The rule")
    return rule


def _with_rule(document: Any) -> Any:
    """Return the document with its rule parsed; of the rule's problems, pydantic would tell each for every kind."""
    if not isinstance(document, Mapping) or document.get("rule") is None:
        return document
    return {**document, "rule": parse_rule(document["rule"], "rule")}


class SegmentOut(Out):
    """A segment."""

    key: str
    name: str
    kind: Literal["rule", "list"]
    rule: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, segment: Segment) -> Self:
        """Return how a segment is shown."""
        return cls(
            key=segment.key,
            name=segment.name,
            kind="rule" if segment.rule else "list",
            rule=write_rule(segment.rule) if segment.rule else None,
            created_at=segment.created_at,
            updated_at=segment.updated_at,
        )


class Count(Out):
    """How many profiles are in the segment now."""

    count: int


class Sample(Out):
    """Some members, drawn at random."""

    items: list[Profile]


class Preview(Out):
    """Whom a rule means now."""

    count: int
    sample: list[Profile]


class Unknown(Out):
    """Ids that belong to nobody."""

    profile_ids: list[UUID]
    external_ids: list[str]


class ListAnswer(Out):
    """What became of a list."""

    added: int
    removed: int
    unknown: Unknown

    @classmethod
    def of(cls, *changes: ListChange) -> Self:
        """Return how changes that were made together are shown."""
        return cls(
            added=sum(change.added for change in changes),
            removed=sum(change.removed for change in changes),
            unknown=Unknown(
                profile_ids=[id for change in changes for id in change.unknown.profile_ids],
                external_ids=[id for change in changes for id in change.unknown.external_ids],
            ),
        )
