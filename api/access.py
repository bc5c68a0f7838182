"""Who may ask.

Without a token, being on this machine is what lets somebody in. The pages that they have open in a browser are on it
too: those of other sites, which browsers tell of, and those whose own name leads to this machine (DNS rebinding), which
are of the same site to the browser and which the Host header alone gives away.
"""

import re
from hmac import compare_digest
from ipaddress import ip_address
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ForeignHost, ForeignPage, Unauthorized, answer
from api.parts import Parts

_bearer: Final = HTTPBearer(auto_error=False, description="The value of `WEND_API_TOKEN`; not asked for on loopback.")
_OWN_SITES: Final = frozenset({"same-origin", "none"})
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLIC: Final = frozenset({"/healthz", "/readyz"})
_PUBLIC_BELOW: Final = "/c/"
_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]*)?")


class Door(Protocol):
    """What decides on who may ask."""

    @property
    def public_url(self) -> str:
        """Where recipients reach this address; no slash at the end."""

    @property
    def api_token(self) -> str | None:
        """Bearer token that is asked for; ``None`` asks for none."""


class HostGuard:
    """Refuses requests to a name that is neither loopback's nor the public one, while no token is configured.

    It covers whatever is not public, the description of the API and addresses that do not exist included.

    Args:
        app: What is guarded.
        parts: Say who may ask.
    """

    def __init__(self, app: ASGIApp, parts: Door) -> None:
        self._app = app
        self._own = urlsplit(parts.public_url).hostname
        self._open = parts.api_token is not None  # a token is not in a browser's keeping: no page can lend it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the refusal."""
        if scope["type"] != "http" or self._open or _is_public(scope["path"]):
            return await self._app(scope, receive, send)
        request = Request(scope)
        given = request.headers.getlist("host")
        if len(given) == 1 and (host := _host(given[0])) is not None and (_is_loopback(host) or host == self._own):
            return await self._app(scope, receive, send)
        return await answer(ForeignHost(", ".join(given)), request)(scope, receive, send)


async def authorise(
    request: Request, parts: Parts, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> None:
    """Let a request with the token pass; without a token configured, every request but those of foreign web pages.

    Raises:
        Unauthorized: The token is missing or wrong.
        ForeignPage: No token is configured, and a page of another site asks.
    """
    admit(request, parts, None if given is None else given.credentials)


def admit(request: Request, door: Door, token: str | None) -> None:
    """Return if the request may pass; ``token`` is what it brings.

    Raises:
        Unauthorized: The token is missing or wrong.
        ForeignPage: No token is configured, and a page of another site asks.
    """
    if door.api_token is None:
        if _is_foreign(request, door.public_url):
            raise ForeignPage
        return
    if token is None:
        raise Unauthorized("This address asks for a token.")
    if not compare_digest(token.encode(), door.api_token.encode()):
        raise Unauthorized("The token is not the right one.")


def _is_foreign(request: Request, public_url: str) -> bool:
    """Return whether a page of another site asks: by the browser's own word, or else by the page's origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITES
    origin = request.headers.get("origin")
    if origin is None:
        return False
    if origin == "null":
        return request.method not in _READING
    return urlsplit(origin).netloc.lower() not in (
        request.headers.get("host", "").lower(),
        urlsplit(public_url).netloc.lower(),
    )


def _is_public(path: str) -> bool:
    return path in _PUBLIC or path.startswith(_PUBLIC_BELOW)


def _host(authority: str) -> str | None:
    """Return the host of a Host header, in lower case; ``None`` if it is no such header."""
    found = _AUTHORITY.fullmatch(authority)
    return None if found is None else (found["v6"] or found["name"]).lower()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
