"""Who may ask."""

from hmac import compare_digest
from typing import Annotated, Final

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import Unauthorized
from api.parts import Parts

_bearer: Final = HTTPBearer(auto_error=False, description="The value of `WEND_API_TOKEN`; not asked for on loopback.")
_OWN_SITES: Final = frozenset({"same-origin", "none"})


async def authorise(
    request: Request, parts: Parts, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> None:
    """Let a request with the token pass; without a token configured, every request but those of foreign web pages.

    A page that somebody has open in a browser reaches this machine's loopback address too.

    Raises:
        Unauthorized: The token is missing or wrong, or a page of another site asks.
    """
    if parts.api_token is None:
        if request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            raise Unauthorized("A web page of another site asked, and no token is configured.")
        return
    if given is None:
        raise Unauthorized("This address asks for a token.")
    if not compare_digest(given.credentials.encode(), parts.api_token.encode()):
        raise Unauthorized("The token is not the right one.")
