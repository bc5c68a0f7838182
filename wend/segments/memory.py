"""Rules evaluated on one profile in memory."""

from collections.abc import Collection
from datetime import datetime

from wend.journeys.comparison import AttributeCondition, holds
from wend.journeys.facts import ProfileView
from wend.segments.rules import AllRule, AnyRule, IdentityRule, NotRule, Rule, SegmentRule


def matches(rule: Rule, profile: ProfileView, memberships: Collection[str], now: datetime) -> bool:
    """True if the profile fits the rule.

    Args:
        memberships: The segments that the profile is in, of those that the rule names.
        now: What relative dates count from.
    """
    match rule:
        case AttributeCondition():
            return holds(rule, profile.attributes, now)
        case IdentityRule():
            return _has_identity(rule, profile)
        case SegmentRule():
            return rule.segment in memberships
        case AllRule():
            return all(matches(part, profile, memberships, now) for part in rule.all)
        case AnyRule():
            return any(matches(part, profile, memberships, now) for part in rule.any)
        case NotRule():
            return not matches(rule.not_, profile, memberships, now)


def _has_identity(rule: IdentityRule, profile: ProfileView) -> bool:
    identity = profile.identities.get(rule.identity)
    if identity is None:
        return False
    match rule.op, rule.value:
        case "eq", value:
            return identity == value
        case "in", tuple(values):
            return identity in values
        case "contains", str(text):
            return text in identity
        case _:
            return True
