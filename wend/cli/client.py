"""Wend's API as the command line calls it: JSON in and out, every refusal as an error in words."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx2

from wend.cli.output import read_problems
from wend.errors import Unavailable, WendError

PATIENCE: Final = httpx2.Timeout(30.0, connect=5.0)
"""Seconds. No answer takes longer but an import's, which is as long as its file."""

_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")

MOST_PER_PAGE: Final = 1_000
"""Items that are asked for at once."""


class Refused(WendError):
    """The API said no, and why.

    Attributes:
        status: The HTTP status.
        document: The whole answer, as RFC 9457 has it.
        problems: What is wrong with what was sent, each with its place.
    """

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = dict(document)
        self.problems = tuple(read_problems(document.get("problems")))
        said = document.get("detail") or document.get("title") or f"The API answered {status}."
        super().__init__(str(said) + (_ASK_FOR_TOKEN if status == 401 else ""))


class NoAddress(WendError):
    """What should say where the API is does not."""

    def __init__(self, url: str) -> None:
        is_short = "://" not in url and _is_address(f"http://{url}")
        remedy = f"write http://{url}" if is_short else "write one such as http://127.0.0.1:8000"
        super().__init__(f"{url!r} is no address of an API: {remedy}")
        self.url = url


class Unreachable(Unavailable):
    """Nobody answers where the API should be."""

    def __init__(self, url: str, detail: str, elsewhere: str | None = None) -> None:
        running = f"\nA Wend says that it runs at {elsewhere}: add --api {elsewhere}" if elsewhere else ""
        Exception.__init__(
            self,
            f"Wend's API does not answer at {url}: {detail}.\n"
            "Start Wend with: make up\n"
            f"Or say where it is, with --api URL or WEND_API_URL. What this machine lacks: wend doctor{running}",
        )
        self.what = "Wend's API"
        self.url = url


def headers_of(token: str | None, actor: str) -> dict[str, str]:
    """Return what every request says: who asks, and the key if there is one."""
    return {"Wend-Actor": actor} | ({"Authorization": f"Bearer {token}"} if token else {})


_ASK_FOR_TOKEN: Final = "\nThe API asks for a key: set WEND_API_TOKEN to the one that it was started with."


class Api:
    """A connection to the API; a context manager that closes it.

    Args:
        url: Where it is; ``/v1`` is added here.
        token: Its key, if it asks for one.
        actor: Who asks, as the audit log is to tell it: ``Wend-Actor`` of every request.
        elsewhere: Returns where a Wend of this machine says that it is; asked if nobody answers at ``url``.
        transport: How requests travel; for tests.

    Raises:
        NoAddress: The URL is none.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        actor: str = "cli",
        elsewhere: Callable[[], str | None] = lambda: None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        if not _is_address(url):
            raise NoAddress(url)
        self.url = url.rstrip("/")
        self._elsewhere = elsewhere
        self._http = httpx2.Client(
            base_url=self.url,
            headers=httpx2.Headers(headers_of(token, actor), encoding="utf-8"),
            timeout=PATIENCE,
            transport=transport,
            # Certificates are read only where they are asked for: it takes longer than a whole command.
            verify=self.url.startswith("https:"),
            # A proxy that the environment names does not lead back to this machine.
            trust_env=urlsplit(self.url).hostname not in _THIS_MACHINE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, *path: object, **query: Any) -> Any:
        """Return what is at the path."""
        return self.call("GET", *path, query=query)

    def put(self, *path: object, body: Any) -> Any:
        """Put a JSON value there."""
        return self.call("PUT", *path, body=body)

    def post(self, *path: object, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Post a JSON value there."""
        return self.call("POST", *path, body=body, headers=headers)

    def patch(self, *path: object, body: Any) -> Any:
        """Change what is named there."""
        return self.call("PATCH", *path, body=body)

    def delete(self, *path: object) -> Any:
        """Delete what is there."""
        return self.call("DELETE", *path)

    def listing(self, *path: object, limit: int, **query: Any) -> tuple[list[Any], bool]:
        """Return the first ``limit`` items of a list, page by page, and whether there are more."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            wanted = min(limit - len(items), MOST_PER_PAGE)
            page = self.get(*path, **query, limit=wanted, cursor=cursor)
            items += page["items"]
            cursor = page["next"]
            if cursor is None or len(items) >= limit:
                return items[:limit], cursor is not None or len(items) > limit

    def call(
        self,
        method: str,
        *path: object,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        patient: bool = False,
    ) -> Any:
        """Make one request; return the JSON of its answer, ``None`` where there is none.

        Args:
            method: GET, PUT, POST, PATCH or DELETE.
            path: Its parts below ``/v1``, of which each may hold any character.
            query: Parameters; those that are ``None`` are left out.
            body: Sent as JSON.
            content: Sent as it is; streamed where it is no ``bytes``.
            headers: Of the request.
            patient: Wait for the answer as long as it takes.

        Raises:
            Refused: The answer is no success.
            Unreachable: There is no answer.
        """
        sent = dict(headers or {})
        if body is not None:
            content = json.dumps(body, ensure_ascii=False).encode()
            sent["Content-Type"] = "application/json"
        try:
            answer = self._http.request(
                method,
                "/v1/" + "/".join(quote(str(part), safe="") for part in path),
                params={name: value for name, value in (query or {}).items() if value is not None},
                content=content,
                headers=sent,
                timeout=httpx2.Timeout(None, connect=5.0) if patient else PATIENCE,
            )
        except httpx2.TimeoutException as error:
            raise self._unreachable("it takes too long") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(str(error) or type(error).__name__) from error
        return self._read(answer)

    def _unreachable(self, detail: str) -> Unreachable:
        elsewhere = self._elsewhere()
        return Unreachable(self.url, detail, elsewhere if elsewhere != self.url else None)

    def _read(self, answer: httpx2.Response) -> Any:
        try:
            document = answer.json() if answer.content else None
        except ValueError:
            document = None
            if answer.is_success:
                raise Refused(answer.status_code, {"detail": _no_wend(self.url, answer)}) from None
        if answer.is_success:
            return document
        raise Refused(
            answer.status_code, document if isinstance(document, dict) else {"detail": _no_wend(self.url, answer)}
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False  # a port that is none, a bracket that is not closed


def _no_wend(url: str, answer: httpx2.Response) -> str:
    return f"{url} answered {answer.status_code}, but not as Wend's API does. Is that the right address? (--api URL)"
