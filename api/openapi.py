"""The OpenAPI document: FastAPI's own, with the bodies that ``api.bodies`` reads."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from api.bodies import Body
from api.errors import ProblemDetails, TooLarge, UnsupportedMedia, declares

TAGS: Final = [
    {"name": "profiles", "description": "People: identities, attributes, time zone."},
    {"name": "segments", "description": "Named sets of profiles, by rule or by list."},
    {"name": "messages", "description": "Content for one channel: drafts, and ready versions."},
    {"name": "journeys", "description": "Drafts, checks, publishing, pauses, changes, the end, and figures."},
    {"name": "runs", "description": "One person's passage through a journey."},
    {"name": "sent messages", "description": "What became of what was sent, and what providers tell of it."},
    {"name": "events", "description": "What happened to people."},
    {"name": "audit", "description": "Who did what."},
    {"name": "metrics", "description": "What alarms are made of, for Prometheus."},
    {"name": "tracking", "description": "The links in messages: what recipients reach."},
    {"name": "health", "description": "Whether this process lives, and whether it is ready."},
]

_REF: Final = "#/components/schemas/{model}"


def install(app: FastAPI, routers: Iterable[tuple[str, APIRouter]]) -> None:
    """Have the app describe itself, bodies included.

    Args:
        app: The app.
        routers: Those that it includes, each with its prefix.
    """
    readers = list(_readers(routers))

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _add_bodies(document, readers)
            _drop_foreign_errors(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _readers(routers: Iterable[tuple[str, APIRouter]]) -> Iterator[tuple[str, str, Body[Any]]]:
    """Yield path, method and body of every operation that reads one."""
    for prefix, router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for dependency in route.dependant.dependencies:
                    if isinstance(dependency.call, Body):
                        for method in route.methods or ():
                            yield prefix + route.path_format, method.lower(), dependency.call


def _add_bodies(document: dict[str, Any], readers: Iterable[tuple[str, str, Body[Any]]]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _add_schema(schemas, ProblemDetails, "serialization")
    for path, method, body in readers:
        operation = document["paths"][path][method]
        schema = _add_schema(schemas, body.schema, "validation")
        examples = {name: {"value": value} for name, value in (body.examples or {}).items()}
        content: dict[str, Any] = {"schema": schema} | ({"examples": examples} if examples else {})
        operation["requestBody"] = {
            "required": not body.optional,
            "content": dict.fromkeys(body.media_types, content),
        }
        operation["responses"] |= {str(status): said for status, said in declares(TooLarge, UnsupportedMedia).items()}


def _drop_foreign_errors(document: dict[str, Any]) -> None:
    """Take out the errors that FastAPI would answer: ours are problem documents, everywhere."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _add_schema(schemas: dict[str, Any], model: Any, mode: Any) -> dict[str, Any]:
    """Add a type's schema, and those it refers to; return what refers to it."""
    schema = TypeAdapter(model).json_schema(ref_template=_REF, mode=mode)
    named = schema.pop("$defs", {})
    if "$ref" in schema or "title" not in schema:
        shown = schema
    else:
        named[schema["title"]] = schema
        shown = {"$ref": _REF.format(model=schema["title"])}
    for name, definition in named.items():
        assert schemas.setdefault(name, definition) == definition, f"two schemas are called {name}"
    return shown
