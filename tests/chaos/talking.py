"""How the ring talks to Wend: over HTTP, as everybody does."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

MOST_UPSERTS: Final = 1000
PAST: Final = "2026-01-01T09:00"
"""A start that has passed: who is to enter enters at once."""


class Talking:
    """Makes what a line needs.

    Args:
        url: The API's.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url, timeout=60, trust_env=False, follow_redirects=False)
        self._numbers = itertools.count()

    def call(self, method: str, path: str, document: Any = None, **headers: str) -> Any:
        """Return what the API answers.

        Raises:
            AssertionError: It refused.
        """
        answer = self.http.request(method, path, json=document, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None

    def people(self, prefix: str, count: int, *, email: bool = True, **attributes: Any) -> list[str]:
        """Make profiles with the external ids ``prefix-0`` and so on, an e-mail address and a phone; return their ids.

        Args:
            email: Whether they have an e-mail address.
        """
        made: list[str] = []
        for start in range(0, count, MOST_UPSERTS):
            some = []
            for number in range(start, min(start + MOST_UPSERTS, count)):
                identities = {"phone": f"+33612{next(self._numbers):06d}"}
                if email:
                    identities["email"] = f"{prefix}-{number}@example.com"
                external_id = f"{prefix}-{number}"
                some.append({"external_id": external_id, "identities": identities, "attributes": attributes})
            made += [item["id"] for item in self.call("POST", "/v1/profiles", some)["items"]]
        return made

    def email(self, key: str) -> None:
        """Make an e-mail with one link, ``details``."""
        html = '<p>Hello <a data-link="details" href="https://example.com/a">there</a></p>'
        content = {"channel": "email", "from": "Wend <news@example.com>", "subject": "Hello", "html": html}
        self.message(key, content)

    def sms(self, key: str) -> None:
        """Make a text message."""
        self.message(key, {"channel": "sms", "text": "Hello"})

    def message(self, key: str, content: Mapping[str, Any]) -> None:
        """Make a message, and make it ready."""
        self.call("PUT", f"/v1/messages/{key}", {"name": key, "content": dict(content)})
        self.call("POST", f"/v1/messages/{key}/ready")

    def segment(self, key: str, rule: Mapping[str, Any]) -> None:
        """Make a segment by rule."""
        self.call("PUT", f"/v1/segments/{key}", {"name": key, "rule": dict(rule)})

    def publish(self, key: str, steps: Sequence[Mapping[str, Any]], **more: Any) -> None:
        """Publish a journey of these steps."""
        document = {"key": key, "name": key, "steps": [dict(step) for step in steps], **more}
        self.call("PUT", f"/v1/journeys/{key}/draft", document)
        self.call("POST", f"/v1/journeys/{key}/publish")

    def take_in(self, key: str, segment: str, steps: Sequence[Mapping[str, Any]], **entry: Any) -> None:
        """Publish a journey that takes a segment in at once."""
        self.publish(key, steps, entry={"segment": segment, "schedule": {"start": {"at": PAST}}, **entry})

    def enter(self, journey: str, profile_id: str, idempotency_key: str | None = None) -> str:
        """Enter one person through the API; return the run's id."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        started: str = self.call("POST", f"/v1/journeys/{journey}/runs", {"profile_id": profile_id}, **headers)["id"]
        return started
