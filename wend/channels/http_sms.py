"""Text messages through any provider that is asked over HTTP.

Whether a request that failed may be repeated depends on whether a byte of it had left. The client's own trace
tells: up to the first byte of the request nothing was asked; from there on only an answer settles the matter.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
from pydantic import JsonValue

from wend.channels.mime import is_unicode
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingSms, Refused, Unknown
from wend.channels.settings import HttpSmsSettings

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}|\d{1,6}")
_REFERENCE = re.compile(r"[\x21-\x7e]{1,200}")
_LONGEST_RETRY = timedelta(days=1)
# Shorter than the time after which servers usually end an idle connection: a request that crosses with the
# server's goodbye leaves a send unknown.
_KEEP_ALIVE_SECONDS = 2.0


@dataclass
class _Trace:
    """Whether any of the request has been written."""

    written: bool = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.written = True


class HttpSmsChannel:
    """Posts each text message to the provider, with the message id as idempotency key."""

    def __init__(self, settings: HttpSmsSettings) -> None:
        self._settings = settings
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        if settings.bearer_token is not None:
            headers["Authorization"] = f"Bearer {settings.bearer_token.get_secret_value()}"
        auth = None
        if settings.username is not None and settings.password is not None:
            auth = httpx2.BasicAuth(settings.username, settings.password.get_secret_value())
        self._client = httpx2.AsyncClient(
            headers=headers,
            auth=auth,
            timeout=None,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(keepalive_expiry=_KEEP_ALIVE_SECONDS),
        )

    async def send(self, sms: OutgoingSms, *, timeout: timedelta) -> Outcome:
        """Return what became of the text message, within ``timeout`` from connecting to the answer."""
        if not is_unicode(sms.to + sms.text + (sms.sender or "")):
            return Refused("invalid_message", "a text contains half a character (a lone surrogate)")
        trace = _Trace()
        try:
            request = self._request(sms, trace)
            async with asyncio.timeout(timeout.total_seconds()):
                response = await self._client.send(request)
        except TimeoutError:
            detail = f"no answer within {timeout.total_seconds():g} s"
            return Unknown("timed_out", detail) if trace.written else NotAccepted("timed_out", detail)
        except httpx2.RequestError as error:
            kind = type(error).__name__
            if trace.written:
                return Unknown("connection_lost", kind)
            return NotAccepted("connection_failed", kind)
        return self._judge(response, sms)

    async def aclose(self) -> None:
        """End the kept connections."""
        await self._client.aclose()

    def _request(self, sms: OutgoingSms, trace: _Trace) -> httpx2.Request:
        values = {"to": sms.to, "text": sms.text, "message_id": str(sms.message_id)}
        if sender := sms.sender or self._settings.sender:
            values["sender"] = sender
        body = fill(self._settings.body, values)
        return self._client.build_request(
            "POST",
            self._settings.url,
            headers={self._settings.idempotency_header: str(sms.message_id)},
            json=body if self._settings.encoding == "json" else None,
            data=body if self._settings.encoding == "form" and isinstance(body, dict) else None,
            extensions={"trace": trace},
        )

    def _judge(self, response: httpx2.Response, sms: OutgoingSms) -> Outcome:
        """Return what the provider's answer means for the message."""
        status = response.status_code
        if status in self._settings.success_statuses:
            return Accepted(self._reference(response) or str(sms.message_id))
        said = f"HTTP {status}{_error_code(response)}"
        if status in (401, 403, 407):
            return Refused("provider_rejected_credentials", said)
        if status in (404, 405) or 300 <= status < 400:
            return Refused("provider_misconfigured", said)
        if status == 409:
            # An earlier attempt with this key is under way or done: the message may well be out.
            return Unknown("conflicting_request", said)
        if status == 429:
            return NotAccepted("rate_limited", said, _retry_after(response))
        if status in (408, 425):
            return NotAccepted("temporarily_refused", said, _retry_after(response))
        if 400 <= status < 500:
            return Refused("message_refused", said)
        if status in self._settings.safe_statuses:
            return NotAccepted("provider_unavailable", said, _retry_after(response))
        return Unknown("unexpected_answer", said)

    def _reference(self, response: httpx2.Response) -> str | None:
        """Return the provider's id of the message, where its answer has one that can be kept."""
        if self._settings.reference_path is None:
            return None
        found = _at(_json(response), self._settings.reference_path)
        reference = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        return reference if _REFERENCE.fullmatch(reference) else None


def fill(template: JsonValue, values: Mapping[str, str]) -> JsonValue:
    """Return the template with its placeholders filled; an entry that is ``{sender}`` alone goes without one.

    Values are inserted once: braces that they contain stay what they are.
    """
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    if isinstance(template, list):
        return [fill(item, values) for item in template if not _is_absent(item, values)]
    if isinstance(template, dict):
        return {name: fill(item, values) for name, item in template.items() if not _is_absent(item, values)}
    return template


def _is_absent(item: JsonValue, values: Mapping[str, str]) -> bool:
    return isinstance(item, str) and item == "{sender}" and "sender" not in values


def _json(response: httpx2.Response) -> JsonValue:
    try:
        parsed: JsonValue = response.json()
    except ValueError:
        return None
    return parsed


def _at(document: JsonValue, path: str) -> JsonValue:
    """Return what stands at a dotted path, None where nothing does."""
    for part in path.split("."):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def _error_code(response: httpx2.Response) -> str:
    """Return the provider's error code, if its answer has one; its words may quote the message."""
    document = _json(response)
    for path in ("code", "error_code", "error.code", "errors.0.code", "error"):
        found = _at(document, path)
        code = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        if _ERROR_CODE.fullmatch(code):
            return f" {code}"
    return ""


def _retry_after(response: httpx2.Response) -> timedelta | None:
    """Return how long the provider asks to be left alone, at most a day."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(timedelta(seconds=min(int(value), 10**6)), _LONGEST_RETRY)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(max(at.astimezone(UTC) - datetime.now(UTC), timedelta(0)), _LONGEST_RETRY)
