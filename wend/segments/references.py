"""Segments, and what they say of each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wend.errors import Conflict, Problem
from wend.journeys.problems import did_you_mean
from wend.segments.rules import LARGEST, AllRule, AnyRule, NotRule, Rule, SegmentRule, parts_of, segments_in

DEEPEST_CHAIN: Final = 50
"""Levels of a rule, counted through the segments that it refers to: statements this deep still compile safely."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A named set of profiles.

    Attributes:
        rule: Who is in it; None for a list, whose members are stored.
    """

    key: str
    name: str
    rule: Rule | None
    created_at: datetime
    updated_at: datetime

    @property
    def kind(self) -> str:
        """``rule`` or ``list``."""
        return "list" if self.rule is None else "rule"


class CircularSegments(Conflict):
    """A segment refers to itself, through others or directly, so that nobody can say who is in it."""

    def __init__(self, way: tuple[str, ...]) -> None:
        super().__init__(f"Segment {way[-1]!r} refers to itself: {' → '.join(way)}. Change the rule of one of them.")
        self.way = way


def check_references(key: str, rule: Rule, others: Mapping[str, Segment]) -> list[Problem]:
    """Return what is wrong with the segments that a new rule of ``key`` names.

    Args:
        others: Every segment there is; one called ``key`` is the one that the rule replaces.
    """
    problems = [
        problem
        for path, part in parts_of(rule)
        if isinstance(part, SegmentRule) and (problem := _check_reference(key, part, ".".join(path), others))
    ]
    if problems:
        return problems
    rules = {other.key: other.rule for other in others.values()} | {key: rule}
    sizes: dict[str, tuple[int, int]] = {}
    for name in (key, *(other for other in rules if other != key)):
        parts, levels = _size(name, rules, sizes)
        if parts > LARGEST or levels > DEEPEST_CHAIN:
            whose = "it" if name == key else f"segment {name!r}, which uses it,"
            return [
                Problem(
                    "",
                    f"with the rules of the segments that are named, {whose} has {parts} parts on {levels} levels; "
                    f"at most {LARGEST} on {DEEPEST_CHAIN} fit",
                )
            ]
    return []


def users_of(key: str, segments: Mapping[str, Segment]) -> list[str]:
    """Return the segments whose own rules name the segment, by key."""
    return sorted(other.key for other in segments.values() if other.rule and key in segments_in(other.rule))


def _check_reference(key: str, part: SegmentRule, path: str, others: Mapping[str, Segment]) -> Problem | None:
    where = f"{path}.segment" if path else "segment"
    if part.segment != key and part.segment not in others:
        return Problem(where, f"there is no segment {part.segment!r}{did_you_mean(part.segment, others)}")
    if way := _way(part.segment, key, others):
        return Problem(where, f"the segment would refer to itself: {' → '.join((key, *way))}")
    return None


def _way(start: str, goal: str, segments: Mapping[str, Segment]) -> tuple[str, ...] | None:
    """Return the keys along references from ``start`` to ``goal``, both included; None if none leads there."""
    seen: set[str] = set()
    ahead: list[tuple[str, ...]] = [(start,)]
    while ahead:
        way = ahead.pop()
        here = way[-1]
        if here == goal:
            return way
        if here not in seen and here in segments and (rule := segments[here].rule):
            seen.add(here)
            ahead.extend((*way, following) for following in segments_in(rule))
    return None


def _size(name: str, rules: Mapping[str, Rule | None], known: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Return how many parts and levels a segment's rule has once the rules that it names stand in it."""
    if name not in known:
        rule = rules.get(name)
        known[name] = (1, 1) if rule is None else _size_of(rule, rules, known)
    return known[name]


def _size_of(rule: Rule, rules: Mapping[str, Rule | None], known: dict[str, tuple[int, int]]) -> tuple[int, int]:
    match rule:
        case SegmentRule():
            parts = [_size(rule.segment, rules, known)]
        case AllRule():
            parts = [_size_of(part, rules, known) for part in rule.all]
        case AnyRule():
            parts = [_size_of(part, rules, known) for part in rule.any]
        case NotRule():
            parts = [_size_of(rule.not_, rules, known)]
        case _:
            parts = []
    return 1 + sum(size for size, _ in parts), 1 + max((levels for _, levels in parts), default=0)
