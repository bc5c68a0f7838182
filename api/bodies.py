"""Bodies of requests: JSON, and YAML where a definition is taken; parsed by the models, told by problems."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from api.errors import TooLarge, UnsupportedMedia
from api.parts import ApiParts, Parts
from wend.documents import read_document
from wend.errors import InvalidDocument, Problem
from wend.exchange import read_json
from wend.journeys.model import all_fields
from wend.journeys.problems import problems_of

T = TypeVar("T")
Parse = Callable[[Any, ApiParts], T]

JSON: Final = "application/json"
YAML: Final = ("application/yaml", "text/yaml")
MOST_BYTES: Final = 1_000_000
"""The most of a body that holds one thing."""

MOST_BATCH_BYTES: Final = 8_000_000
"""The most of a body that holds many things at once."""

_SMALL: Final = 50_000
"""Bytes of JSON that are read where they come in; more of it goes to a thread."""


class Body(Generic[T]):
    """Reads the body of a request; a dependency, and what the OpenAPI document says of it.

    Attributes:
        schema: The type that the OpenAPI document shows.
        media_types: What is read.
        optional: An empty body stands for an empty object.
        examples: By name.
    """

    def __init__(
        self,
        schema: Any,
        parse: Parse[T],
        *,
        yaml: bool = False,
        optional: bool = False,
        most: int = MOST_BYTES,
        examples: Mapping[str, Any] | None = None,
    ) -> None:
        self.schema = schema
        self.media_types = (JSON, *YAML) if yaml else (JSON,)
        self.optional = optional
        self.examples = examples
        self._parse = parse
        self._most = most

    async def __call__(self, request: Request, parts: Parts) -> T:
        """Return what was sent.

        Raises:
            InvalidDocument: Every problem.
            TooLarge: It is larger than what is read here.
            UnsupportedMedia: It is of another kind.
        """
        raw = await self._read(request)
        if not raw and self.optional:
            return self._parse({}, parts)
        kind = media_type(request, self.media_types)
        if kind == JSON and len(raw) <= _SMALL:
            return self._parse(read_json(raw, "The body"), parts)
        read = read_json if kind == JSON else read_document
        return await run_in_threadpool(lambda: self._parse(read(raw, "The body"), parts))

    async def _read(self, request: Request) -> bytes:
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._most:
            raise TooLarge(self._most)
        raw = bytearray()
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > self._most:
                raise TooLarge(self._most)
        return bytes(raw)


def media_type(request: Request, known: tuple[str, ...]) -> str:
    """Return which of the known kinds the body is.

    Raises:
        UnsupportedMedia: None of them.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in known:
        return given
    if given.endswith("+json") and JSON in known:
        return JSON
    raise UnsupportedMedia(given, known)


@lru_cache(maxsize=100)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def parse_as(
    model: Any,
    document: Any,
    what: str,
    context: Mapping[str, Any] | None = None,
    *,
    named: type[BaseModel] | None = None,
) -> Any:
    """Return the document as the model, or any other type that pydantic knows.

    Args:
        model: A model, or another type.
        document: A JSON value.
        what: Names the document to whoever sent it.
        context: For validators.
        named: The model whose fields are suggested for unknown ones, where ``model`` is none.

    Raises:
        InvalidDocument: Every problem, each with its path.
    """
    is_model = isinstance(model, type) and issubclass(model, BaseModel)
    if is_model and not isinstance(document, Mapping):
        raise InvalidDocument(what, [Problem("", f"is no object with the fields {', '.join(model.model_fields)}")])
    try:
        return _adapter(model).validate_python(document, context=dict(context or {}))
    except ValidationError as error:
        known = model if is_model else named
        fields = all_fields(known) if known else ()
        raise InvalidDocument(what, problems_of(error, document, fields)) from error


def reads(model: Any, *, parse: Parse[Any] | None = None, **options: Any) -> Any:
    """Return the dependency that reads the body as a model.

    Args:
        model: What the body is, and what the OpenAPI document says that it is.
        parse: Makes something of the JSON value, where the model alone does not.
        options: Of ``Body``.
    """
    what = "The body"
    return Depends(Body(model, parse or (lambda document, _: parse_as(model, document, what)), **options))
