"""The API as tests make it: one after the other, all over the same routes."""

from fastapi import FastAPI
from starlette.routing import BaseRoute

from api.app import create_app
from api.parts import ApiParts

_routes: list[BaseRoute] = []


def make_app(parts: ApiParts) -> FastAPI:
    """Return the API made of these parts, with the routes of the first that was made: to compile them takes longer than
    most tests, and they know nothing of any parts, which an endpoint finds by its request.
    """
    app = create_app(parts)
    if _routes:
        app.router.routes[:] = _routes
    else:
        _routes.extend(app.router.routes)
    return app
