"""Errors over HTTP, as problem details (RFC 9457). No other module knows status codes.

Every error that a caller meets comes from here, also those of addresses that do not exist. What nobody foresaw is
told without a word of what it was: that is in the log.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wend.errors import Conflict, InvalidDocument, NotFound, Problem, Unavailable, WendError
from wend.journeys.problems import problems_in
from wend.messages.errors import RenderError, where
from wend.messages.tokens import TokenError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 2  # seconds

log = structlog.get_logger()


class Unauthorized(WendError):
    """The request does not say who asks, or says it wrongly."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why} Send the header: Authorization: Bearer <the value of WEND_API_TOKEN>.")


class ForeignPage(WendError):
    """A web page of another site asks, and no token is configured."""

    def __init__(self) -> None:
        super().__init__(
            "A web page of another site asked. Without a token this API answers programs on this machine and its own "
            "pages; ask from there."
        )


class ForeignHost(WendError):
    """The request is for a host that is not this one, and no token is configured."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The Host header is {host!r}. Without a token this API answers to localhost, to loopback addresses and to "
            "the host of WEND_PUBLIC_URL; ask there."
        )
        self.host = host


class UnsupportedMedia(WendError):
    """The body is of a kind that this address does not read."""

    def __init__(self, got: str, read: tuple[str, ...]) -> None:
        said = f"The body is {got!r}" if got else "The request has no Content-Type"
        super().__init__(f"{said}; this address reads {', '.join(read)}.")


class TooLarge(WendError):
    """The body is larger than this address reads."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The body has more than {most:,} bytes, which is the most that is read here.")


class ProblemItem(BaseModel):
    """One thing wrong with a document."""

    model_config = ConfigDict(from_attributes=True)

    path: str = Field(description="Where: field names and ids, with dots between them.", examples=["steps.ask.link"])
    message: str = Field(description="What is wrong and, where there is one, the remedy.")
    severity: Literal["error", "warning"] = "error"


class ProblemDetails(BaseModel):
    """Why a request was not done (RFC 9457)."""

    type: str = Field(description="Names the kind of error, for programs.", examples=["urn:wend:problem:not-found"])
    title: str = Field(description="The kind of error, for people.")
    status: int
    detail: str = Field(description="What happened, to what, and what to do next.")
    instance: str = Field(description="The address that was asked.")
    problems: list[ProblemItem] | None = Field(
        default=None, description="Everything that is wrong with what was sent, if that is why."
    )


_STATUS: Final[Mapping[type[WendError], HTTPStatus]] = {
    InvalidDocument: HTTPStatus.UNPROCESSABLE_ENTITY,
    RenderError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    TokenError: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    ForeignPage: HTTPStatus.FORBIDDEN,
    ForeignHost: HTTPStatus.FORBIDDEN,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}

_HEADERS: Final[Mapping[HTTPStatus, Mapping[str, str]]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="wend"'},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER)},
}


def declares(*errors: type[WendError]) -> dict[int | str, dict[str, Any]]:
    """Return what an endpoint's ``responses=`` says of the errors that it may meet."""
    said: dict[int | str, list[str]] = {}
    for error in errors:
        said.setdefault(int(_status(error)), []).append((error.__doc__ or "").split("\n")[0])
    return {
        status: {
            "description": " ".join(dict.fromkeys(sentences)),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status, sentences in said.items()
    }


@contextmanager
def within(path: str) -> Iterator[None]:
    """Have problems told with their paths from further up in the document that was sent."""
    try:
        yield
    except InvalidDocument as error:
        moved = [replace(each, path=f"{path}.{each.path}".rstrip(".")) for each in error.problems]
        raise InvalidDocument(error.what, moved) from error


def problem_of(error: Exception, instance: str) -> ProblemDetails:
    """Return how an error is told."""
    match error:
        case InvalidDocument():
            detail = f"{error.what} has {len(error.problems)} problem(s)."
            return _problem(type(error), detail, instance, error.problems)
        case RenderError():
            return _problem(type(error), str(error), instance, [Problem(where(error.part, error.line), error.reason)])
        case WendError():
            return _problem(type(error), str(error), instance)
        case RequestValidationError():
            problems = [
                replace(problem, path=f"{item['loc'][0]}.{problem.path}")
                for item in error.errors()
                for problem in problems_in([{**item, "loc": item["loc"][1:] or item["loc"]}], {})
            ]
            detail = f"The request has {len(problems)} problem(s)."
            return _problem(InvalidDocument, detail, instance, problems)
        case HTTPException():
            return _plain(HTTPStatus(error.status_code), instance)
        case _:
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, instance)


def answer(error: Exception, request: Request) -> JSONResponse:
    """Return the response that tells an error."""
    problem = problem_of(error, request.url.path)
    headers = dict(_HEADERS.get(HTTPStatus(problem.status), {}))
    if isinstance(error, HTTPException):
        headers |= error.headers or {}
    if isinstance(error, Unavailable):
        log.warning("unavailable", what=error.what)
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, problem.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have every error of the app told as a problem."""

    async def tell(request: Request, error: Exception) -> Response:
        return answer(error, request)

    async def hung_up(request: Request, error: Exception) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to read it

    for kind in (WendError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, tell)
    app.add_exception_handler(ClientDisconnect, hung_up)


def _status(error: type[Exception]) -> HTTPStatus:
    for kind in error.__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _problem(
    kind: type[WendError], detail: str, instance: str, problems: tuple[Problem, ...] | list[Problem] | None = None
) -> ProblemDetails:
    status = _status(kind)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _plain(status, instance)
    words = re.findall(r"[A-Z][a-z]*", kind.__name__)
    return ProblemDetails(
        type=f"urn:wend:problem:{'-'.join(words).lower()}",
        title=" ".join(words).capitalize(),
        status=status,
        detail=detail,
        instance=instance,
        problems=None if problems is None else [ProblemItem.model_validate(each) for each in problems],
    )


_PLAIN: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method; the Allow header lists those that it does.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here that nobody foresaw. It is in the log of the server.",
}


def _plain(status: HTTPStatus, instance: str) -> ProblemDetails:
    return ProblemDetails(
        type=f"urn:wend:problem:{status.phrase.lower().replace(' ', '-')}",
        title=status.phrase,
        status=status,
        detail=_PLAIN.get(status, status.description or status.phrase),
        instance=instance,
    )
