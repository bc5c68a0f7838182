"""The journey as a graph: who leads where, what can be reached, which loops wait."""

from collections.abc import Iterable, Mapping

from wend.journeys.definition import JourneyDefinition
from wend.journeys.state import EXIT
from wend.journeys.steps import AnyStep, WaitForClick


class Graph:
    """Steps and where each leads; targets that do not exist are left out."""

    def __init__(self, definition: JourneyDefinition) -> None:
        self.steps: dict[str, AnyStep] = {step.id: step for step in definition.steps}
        self.first = definition.steps[0].id
        self.following = following = definition.following()
        self.ends = {
            step.id
            for step in definition.steps
            if step.can_end or EXIT in {target or following[step.id] for target in step.targets().values()}
        }
        self.leads: Mapping[str, frozenset[str]] = {
            step.id: frozenset(
                target
                for target in (each or following[step.id] for each in step.targets().values())
                if target in self.steps
            )
            for step in definition.steps
        }

    def reachable(self, start: Iterable[str], *, without: str | None = None) -> set[str]:
        """Return the steps that can be come to from ``start``, never passing through ``without``."""
        seen: set[str] = set()
        todo = [step for step in start if step != without]
        while todo:
            step = todo.pop()
            if step not in seen:
                seen.add(step)
                todo.extend(next_id for next_id in self.leads[step] if next_id != without)
        return seen

    def can_end(self) -> set[str]:
        """Return the steps from which an exit can be reached."""
        back: dict[str, set[str]] = {step: set() for step in self.steps}
        for step, targets in self.leads.items():
            for target in targets:
                back[target].add(step)
        seen: set[str] = set()
        todo = list(self.ends)
        while todo:
            step = todo.pop()
            if step not in seen:
                seen.add(step)
                todo.extend(back[step])
        return seen

    def loops_without_a_wait(self) -> list[list[str]]:
        """Return loops, as lists of step ids, on which no step waits; every step of such loops is on one of them."""
        return self._loops(
            {step.id: frozenset() if step.waits else self.leads[step.id] for step in self.steps.values()}
        )

    def loops_where_nothing_was_sent(self) -> list[list[str]]:
        """Return loops that wait for nothing but clicks: whose message could not be sent does not wait there."""
        leads: dict[str, frozenset[str]] = {}
        for step in self.steps.values():
            if isinstance(step, WaitForClick):
                leads[step.id] = frozenset({step.on_timeout or self.following[step.id]} & self.steps.keys())
            else:
                leads[step.id] = frozenset() if step.waits else self.leads[step.id]
        return [loop for loop in self._loops(leads) if any(self.steps[step].waits for step in loop)]

    def _loops(self, leads: Mapping[str, frozenset[str]]) -> list[list[str]]:
        found: list[list[str]] = []
        spoken_for: set[str] = set()
        for step in self.steps:
            if step not in spoken_for and (loop := self._loop_through(step, leads)):
                found.append(loop)
                spoken_for.update(loop)
        return found

    def _loop_through(self, start: str, leads: Mapping[str, frozenset[str]]) -> list[str] | None:
        """Return the shortest way from ``start`` back to it."""
        came_from: dict[str, str] = {}
        todo = [start]
        while todo:
            following: list[str] = []
            for step in todo:
                for target in sorted(leads[step]):
                    if target == start:
                        loop = [step]
                        while loop[-1] != start:
                            loop.append(came_from[loop[-1]])
                        return loop[::-1]
                    if target not in came_from:
                        came_from[target] = step
                        following.append(target)
            todo = following
        return None
