"""``if``: ordered cases; the first that holds is taken."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from wend.journeys.conditions import Condition, is_met, properties_of
from wend.journeys.facts import Facts
from wend.journeys.model import Key, Model
from wend.journeys.results import Finish, Goto, Matched, NoMatch
from wend.journeys.steps.base import Here, Step


class Case(Model):
    """Where a condition leads."""

    when: Condition
    next: Key


class If(Step):
    """Takes the first case whose condition holds, or ``else``; without one the run exits with ``no_branch``.

    Conditions look at the profile as it is on arrival, and at what the run was started with.
    """

    type: Literal["if"]
    cases: tuple[Case, ...] = Field(min_length=1, max_length=100)
    else_: Key | None = Field(default=None, alias="else")

    def targets(self) -> Mapping[str, str | None]:
        cases: dict[str, str | None] = {f"cases.{number}.next": case.next for number, case in enumerate(self.cases)}
        return cases | ({"else": self.else_} if self.else_ else {})

    def properties(self) -> Iterator[tuple[str, str]]:
        for number, case in enumerate(self.cases):
            for path in sorted(properties_of(case.when)):
                yield f"cases.{number}.when", path

    @property
    def can_end(self) -> bool:
        return self.else_ is None


def choose(step: If, here: Here, facts: Facts) -> Goto | Finish:
    """Go where the first case that holds leads."""
    seen: dict[str, Any] = {}
    for number, case in enumerate(step.cases, start=1):
        if is_met(case.when, facts, seen):
            return Goto(Matched(number, seen), to=case.next)
    return Goto(NoMatch(seen), to=step.else_) if step.else_ else Finish("exited", "no_branch")
