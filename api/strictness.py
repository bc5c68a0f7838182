"""What nobody asked for is refused: a filter with a typing error in its name would be no filter at all.

So would be an option in the body of a request that has none.
"""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.bodies import Body
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


async def known_body(request: Request) -> None:
    """Let a request pass that has no body, or an empty one, or whose endpoint reads it.

    Raises:
        InvalidDocument: There is one that would be passed over.
    """
    if request.method in ("GET", "HEAD") or _reads_body(request.scope["route"]):
        return
    said = b""
    async for chunk in request.stream():
        said += b"".join(chunk.split())
        if not b"{}".startswith(said):  # many clients send an empty object where there is nothing to say
            raise InvalidDocument("The request", [Problem("body", "nothing in it is read here; leave it out")])


def _reads_body(route: APIRoute) -> bool:
    """Return whether an endpoint reads its body; one that does so by itself says so in the OpenAPI document."""
    readers = (isinstance(dependency.call, Body) for dependency in route.dependant.dependencies)
    return any(readers) or "requestBody" in (route.openapi_extra or {})


def _query_names(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for dependency in dependant.dependencies:
        yield from _query_names(dependency)
