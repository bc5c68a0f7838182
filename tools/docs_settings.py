"""The settings, out of their models."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tools.docs_models import attribute_words
from wend.journeys.durations import format_duration
from wend.settings import Settings

WORDS = {
    "default_region": "ISO country of phone numbers that are written without `+`: `FR`.",
    "host": "Host of the provider's server.",
    "port": "Port of the provider's server.",
    "username": "For the provider.",
    "password": "For the provider; travels encrypted, or to this machine only.",
    "url": "Where text messages are posted to.",
    "log_format": "`json`, or `console` for people.",
}

HEAD = """# Settings

<!-- Generated from the models by `python -m tools.docs`; do not edit. -->

Every process reads the same settings from the environment, or from a file `.env` in its directory; the environment
wins. Nested ones have two underscores. Secrets never show in a log or an error. `wend up` and `wend demo` choose
database, ports, keys of links and channels themselves; `wend up` heeds `WEND_API_TOKEN` of the environment.

Temporal's own settings have no twins here: Wend reads the standard `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
`TEMPORAL_API_KEY` (which turns TLS on), `TEMPORAL_TLS_*`, and a profile file by `TEMPORAL_CONFIG_FILE` and
`TEMPORAL_PROFILE`. Without any of them it looks for a server at `127.0.0.1:7233`.

| Variable | Default | |
|---|---|---|"""


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(f"| `{name}` | {default} | {said} |" for name, default, said in settings())]) + "\n"


def settings() -> Iterator[tuple[str, str, str]]:
    """Yield every variable with its default and its words.

    Raises:
        KeyError: Nobody explains a setting.
    """
    yield from _settings(Settings, "WEND_")


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    words = attribute_words(model)
    for name, field in model.model_fields.items():
        inner = _model(field)
        if inner is not None:
            yield from _settings(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", _default(field), words[name] if name in words else WORDS[name]


def _model(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if default is PydanticUndefined:
        return "**required**"
    if default is None:
        return "a secret" if SecretStr in get_args(field.annotation) else ""
    if isinstance(default, dict | frozenset | set):
        return f"`{_json(default)}`" if default else ""
    if isinstance(default, timedelta):
        return f"`{format_duration(default)}`"
    return f"`{str(default).removesuffix('/')}`"


def _json(value: Any) -> str:
    return str(sorted(value)) if isinstance(value, frozenset | set) else str(value).replace("'", '"')
