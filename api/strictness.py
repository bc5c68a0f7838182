"""Queries that nobody asked for are refused: a filter with a typing error in its name would be no filter at all."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant

from wend.errors import InvalidDocument, Problem
from wend.journeys.problems import did_you_mean


async def known_query(request: Request) -> None:
    """Let a request pass whose query parameters are all the endpoint's own, each given once.

    Raises:
        InvalidDocument: One is not, or is given again.
    """
    if not request.query_params:
        return
    known = set(_query_names(request.scope["route"].dependant))
    given = [name for name, _ in request.query_params.multi_items()]
    problems = []
    for name in sorted(set(given)):
        if name not in known:
            problems.append(Problem(f"query.{name}", f"there is no such parameter{did_you_mean(name, known)}"))
        elif given.count(name) > 1:  # no endpoint takes several: all but one would be passed over
            problems.append(Problem(f"query.{name}", "is given more than once"))
    if problems:
        raise InvalidDocument("The request", problems)


def _query_names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for dependency in dependant.dependencies:
        yield from _query_names(dependency)
