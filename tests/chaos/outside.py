"""What stands outside Wend: the sink as a witness, and Temporal as it sees itself."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from temporalio.client import Client

from wend.cli import local
from wend.sink.faults import Fault

T = TypeVar("T")

PAGE = 1000

PATIENCE_SECONDS = 900
"""With Temporal: listing tens of thousands of workflows takes minutes on a busy machine."""


@dataclass(frozen=True)
class Witnessed:
    """A message that came in at the sink."""

    id: int
    channel: str
    recipient: str
    message_id: str
    text: str
    html: str


class SinkClient:
    """The sink, asked over HTTP.

    Args:
        url: Where it is; no slash at the end.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=60, trust_env=False)

    def messages(self, channel: str | None = None, since: int = 0) -> list[Witnessed]:
        """Return what came in after ``since``, in order."""
        found: list[Witnessed] = []
        while True:
            asked: dict[str, str | int] = {"since": since, "limit": PAGE}
            if channel is not None:
                asked["channel"] = channel
            items = self._ask("GET", "/api/messages", params=asked)["items"]
            for item in items:
                told = (item[name] for name in ("id", "channel", "recipient", "message_id", "text", "html"))
                found.append(Witnessed(*told))
            if len(items) < PAGE:
                return found
            since = items[-1]["id"]

    def copies(self, since: int = 0) -> Counter[str]:
        """Return how often each message came in, by message id."""
        return Counter(each.message_id for each in self.messages(since=since))

    def last(self) -> int:
        """Return the id of the last message; 0 where there is none."""
        return max((each.id for each in self.messages()), default=0)

    def faults(self, *faults: Fault) -> None:
        """Have the sink misbehave."""
        self._ask("POST", "/api/faults", json={"faults": [fault.model_dump(mode="json") for fault in faults]})

    def clear_faults(self) -> None:
        """Have it behave well again."""
        self._ask("DELETE", "/api/faults")

    def answers(self) -> bool:
        """Return whether it is there."""
        try:
            return self._http.get("/api/faults").is_success
        except httpx2.TransportError:
            return False

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = self._http.request(method, path, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None


class TemporalClient:
    """A client of Temporal on an event loop of its own, for code that has none.

    Args:
        address: ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asks Temporal", daemon=True)
        self._thread.start()

    def __call__(self, function: Callable[[Client], Awaitable[T]]) -> T:
        """Return what the function returns."""

        async def called() -> T:
            if self._client is None:
                self._client = await local.connect(self._address)
            return await function(self._client)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(PATIENCE_SECONDS)

    def close(self) -> None:
        """End the loop; the connection goes with it."""
        self._client = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
