"""The demo's reader: polls the sink, and follows a link out of some of the mails, as people do in their browsers.

Whom it plays is decided by the recipient's address, so a second reader makes the same choices as the first.
"""

import asyncio
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path

import httpx2

from wend.cli.supervising import run_process

SHARE = 40
"""Percent of the recipients who click."""

POLL = 0.3
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
AT_ONCE = 8


def is_curious(recipient: str) -> bool:
    """Whether this person clicks."""
    return hashlib.sha256(recipient.lower().encode()).digest()[0] * 100 < SHARE * 256


def links_in(html: str) -> list[str]:
    """Return where the anchors of a mail lead, in their order."""
    collector = _Links()
    collector.feed(html)
    return collector.found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def run(sink: str, links: str, followed: Path) -> None:
    """Read mails until SIGTERM.

    Args:
        sink: The sink's address.
        links: What the addresses of tracked links begin with.
        followed: File to which a line is added for each mail whose link was followed: its message id, the answer's
            status, and where it led. Mails in it are not read again.
    """

    async def read(stopping: asyncio.Event) -> None:
        async with httpx2.AsyncClient(headers={"User-Agent": BROWSER}, timeout=10) as client:
            await _Reader(client, sink, links, followed).run(stopping)

    run_process(read)


class _Reader:
    def __init__(self, client: httpx2.AsyncClient, sink: str, links: str, followed: Path) -> None:
        self._client = client
        self._sink = sink
        self._links = links
        self._followed = followed
        self._known = read_followed(followed).keys()
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def run(self, stopping: asyncio.Event) -> None:
        since = 0
        clicking: set[asyncio.Task[None]] = set()
        while not stopping.is_set():
            query: dict[str, str | int] = {"channel": "email", "since": since, "limit": 500}
            answer = await self._client.get(f"{self._sink}/api/messages", params=query)
            answer.raise_for_status()
            for mail in answer.json()["items"]:
                since = mail["id"]
                if is_curious(mail["recipient"]) and mail["message_id"] not in self._known:
                    clicking.add(asyncio.create_task(self._click(mail["message_id"], mail["html"], stopping)))
            failed = [task for task in clicking if task.done() and task.exception() is not None]
            for task in failed:
                await task
            try:
                await asyncio.wait_for(stopping.wait(), POLL)
            except TimeoutError:
                continue
        await asyncio.gather(*clicking)  # a click that was heard and not written down would be one that nobody made

    async def _click(self, message_id: str, html: str, stopping: asyncio.Event) -> None:
        """Open the first tracked link of a mail, as often as it takes to get an answer, until told to stop."""
        link = next(each for each in links_in(html) if each.startswith(self._links))
        while not stopping.is_set():
            try:
                async with self._gate:
                    answer = await self._client.get(link, follow_redirects=False)
                if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                    break
            except httpx2.TransportError:
                pass  # Wend is being started again; a person would try once more, too
            await asyncio.sleep(POLL)
        else:
            return
        line = {"message_id": message_id, "status": answer.status_code, "location": answer.headers.get("location")}
        with self._followed.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_followed(path: Path) -> dict[str, int]:
    """Return the mails whose link was followed, by message id, with the status of the answer."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {line["message_id"]: line["status"] for line in map(json.loads, lines)}
