"""`/c/{token}`: the tracked links of our messages. Public, and never a way to anywhere that we did not send."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.errors import answer, declares
from api.parts import Parts
from api.tracking.pages import NOT_FOUND, NOT_NOW, page
from wend.errors import NotFound, Unavailable, WendError
from wend.events.bots import why_not_counted
from wend.messages.tokens import TokenError

router = APIRouter(prefix="/c", tags=["tracking"])

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the token stays between the recipient and us
    "X-Robots-Tag": "noindex",
}

_documented: Final[dict[int | str, dict[str, Any]]] = {
    302: {"description": "Where the link leads.", "headers": {"Location": {"schema": {"type": "string"}}}},
    **{
        status: {**said, "content": said["content"] | {"text/html": {"schema": {"type": "string"}}}}
        for status, said in declares(TokenError, NotFound, Unavailable).items()
    },
}


@router.get("/{token:path}", status_code=302, response_class=Response, responses=_documented)
@router.head(
    "/{token:path}", status_code=302, response_class=Response, responses=_documented, operation_id="look_at_link"
)
def follow_link(token: str, request: Request, parts: Parts) -> Response:
    """Note the click and lead on, whatever has become of the run. What no person did is noted and not counted."""
    try:
        link = parts.keys.verify(token)
        note = why_not_counted(request.method, request.headers)
        click = parts.events.record_click(link.message_id, link.number, note)
    except WendError as error:
        return _refuse(error, request)
    return RedirectResponse(click.destination, status_code=302, headers=HEADERS)


def _refuse(error: WendError, request: Request) -> Response:
    """Return a page for people; for programs that say so, a problem."""
    told = answer(error, request)
    told.headers.update(HEADERS)
    if "json" in request.headers.get("accept", ""):
        return told
    title, text = NOT_NOW if isinstance(error, Unavailable) else NOT_FOUND
    kept = {name: value for name, value in told.headers.items() if name not in ("content-type", "content-length")}
    return HTMLResponse(page(title, text), told.status_code, kept)
