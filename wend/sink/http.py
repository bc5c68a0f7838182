"""The sink's HTTP side: a provider of text messages, an inbox to look at, and an API for tests."""

import asyncio
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Annotated
from urllib.parse import urlencode

from fastapi import FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from wend.sink import pages
from wend.sink.faults import Fault, Faults
from wend.sink.store import Caught, Channel, Counts, Filter, Store, Stored

_ASSETS = {
    name: (files("wend.sink").joinpath("assets", name).read_bytes(), media_type)
    for name, media_type in (("inbox.css", "text/css"), ("inbox.js", "text/javascript"))
}
_PAGE_SIZE = 50
MessageNumber = Annotated[int, Path(ge=1, le=2**63 - 2)]
HangUp = Callable[[Request], None]


class SmsRequest(BaseModel):
    """What a client posts to have a text message sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str = Field(min_length=1, max_length=320)
    text: str = Field(max_length=10_000)
    sender: str | None = Field(default=None, max_length=320)
    message_id: str | None = Field(default=None, max_length=200)


class Page(BaseModel):
    """Messages in the order of their arrival.

    Attributes:
        next_since: Pass it as ``since`` for the messages after these; None where there are none yet.
    """

    items: list[Stored]
    next_since: int | None


class FaultScript(BaseModel):
    """Faults in the order in which they are looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faults: tuple[Fault, ...]


class Deleted(BaseModel):
    """How many messages were deleted."""

    deleted: int


def create_app(store: Store, faults: Faults, hang_up: HangUp) -> FastAPI:
    """Return the app; ``hang_up`` ends the connection of a request without an answer."""
    app = FastAPI(title="Wend sink", docs_url=None, redoc_url=None)
    _add_provider(app, store, faults, hang_up)
    _add_api(app, store, faults)
    _add_pages(app, store)
    return app


def _add_provider(app: FastAPI, store: Store, faults: Faults, hang_up: HangUp) -> None:
    @app.post("/sms", status_code=201)
    async def send_sms(
        request: Request, sms: SmsRequest, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        """Take a text message on; every copy is kept, also of one key, since the sink is a witness."""
        fault = faults.take("sms", sms.to)
        if fault is not None and fault.kind in ("refuse", "busy"):
            return _misbehave(fault)
        if fault is not None and fault.kind == "lose":
            return await _vanish(request, hang_up)
        caught = Caught(
            channel="sms",
            recipient=sms.to,
            sender=sms.sender or "",
            text=sms.text,
            headers=tuple(request.headers.items()),
            message_id=sms.message_id or idempotency_key,
        )
        [id] = await store.add([caught], await request.body())
        if fault is not None and fault.kind == "drop":
            return await _vanish(request, hang_up)
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.delay.total_seconds())
        return JSONResponse({"id": f"sink-{id}", "status": "accepted"}, status_code=201)


def _misbehave(fault: Fault) -> Response:
    status = fault.status or (400 if fault.kind == "refuse" else 503)
    code = "recipient_refused" if fault.kind == "refuse" else "busy"
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(round(fault.retry_after.total_seconds()))
    return JSONResponse({"code": code}, status_code=status, headers=headers)


async def _vanish(request: Request, hang_up: HangUp) -> Response:
    hang_up(request)
    await asyncio.sleep(0)
    return Response(status_code=500)


def _add_api(app: FastAPI, store: Store, faults: Faults) -> None:
    @app.get("/api/messages")
    async def list_messages(
        to: str | None = None,
        channel: Channel | None = None,
        message_id: str | None = None,
        like: str | None = None,
        since: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Page:
        """List messages, oldest first, after ``since``."""
        chosen = Filter(to=to, channel=channel, message_id=message_id, like=like, since=since)
        items = await store.find(chosen, limit=limit)
        return Page(items=items, next_since=items[-1].id if len(items) == limit else None)

    @app.get("/api/messages/{id}")
    async def get_message(id: MessageNumber) -> Stored:
        """Read one message."""
        return await _existing(store, id)

    @app.delete("/api/messages")
    async def delete_messages() -> Deleted:
        """Empty the inbox."""
        return Deleted(deleted=await store.clear())

    @app.get("/api/counts")
    async def get_counts() -> Counts:
        """Count messages by channel, and copies by message id."""
        return await store.counts()

    @app.get("/api/faults")
    async def list_faults() -> FaultScript:
        """List the faults that are still to happen."""
        return FaultScript(faults=faults.pending)

    @app.post("/api/faults", status_code=201)
    async def add_faults(script: FaultScript) -> FaultScript:
        """Queue faults."""
        faults.add(*script.faults)
        return FaultScript(faults=faults.pending)

    @app.delete("/api/faults", status_code=204)
    async def clear_faults() -> None:
        """Behave well again."""
        faults.clear()


def _add_pages(app: FastAPI, store: Store) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def show_inbox(
        to: str = "",
        q: str = "",
        channel: str = "",
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    ) -> HTMLResponse:
        view = pages.InboxView(to=to.strip(), q=q.strip(), channel=channel if channel in ("email", "sms") else "")
        chosen = Filter.model_validate(
            {"to": view.to or None, "like": view.q or None, "channel": view.channel or None, "before": before}
        )
        found = await store.find(chosen, limit=_PAGE_SIZE + 1, newest_first=True)
        messages = found[:_PAGE_SIZE]
        older = None
        if len(found) > _PAGE_SIZE:
            older = "/?" + urlencode(view.query() | {"before": str(messages[-1].id)})
        counts = await store.counts(duplicated=0)
        return _page(pages.inbox(messages, counts, view, older=older, newest=before is None))

    @app.get("/messages/{id}", response_class=HTMLResponse, include_in_schema=False)
    async def show_message(id: MessageNumber) -> HTMLResponse:
        return _page(pages.message(await _existing(store, id)))

    @app.get("/messages/{id}/html", response_class=HTMLResponse, include_in_schema=False)
    async def show_html_part(id: MessageNumber) -> HTMLResponse:
        stored = await _existing(store, id)
        return HTMLResponse(pages.html_part(stored.html), headers=pages.HTML_PART_HEADERS)

    @app.get("/messages/{id}/source", include_in_schema=False)
    async def show_source(id: MessageNumber) -> Response:
        raw = await store.raw(id)
        if raw is None:
            raise _no_message(id)
        return Response(raw, media_type="text/plain; charset=utf-8", headers=pages.PAGE_HEADERS)

    @app.get("/assets/{name}", include_in_schema=False)
    async def get_asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404, f"There is no asset {json.dumps(name)}.")
        content, media_type = _ASSETS[name]
        return Response(content, media_type=media_type, headers=pages.PAGE_HEADERS)


def _page(content: str) -> HTMLResponse:
    return HTMLResponse(content, headers=pages.PAGE_HEADERS)


async def _existing(store: Store, id: int) -> Stored:
    stored = await store.get(id)
    if stored is None:
        raise _no_message(id)
    return stored


def _no_message(id: int) -> HTTPException:
    return HTTPException(404, f"There is no message {id}. It may have been deleted: see /api/messages.")
