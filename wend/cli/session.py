"""What every command that talks to the API has in common: ``--api``, ``--json``, and how it is refused."""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec

import typer

from wend.cli.output import Output
from wend.errors import InvalidDocument, Problem, WendError

if TYPE_CHECKING:
    from wend.cli.client import Api
    from wend.cli.state import Addresses

P = ParamSpec("P")

DEFAULT_URL: Final = "http://127.0.0.1:8000"

ACTOR: Final = "cli"
"""Who acts, where the environment's WEND_ACTOR does not say it."""

MOST_ACTOR_CHARACTERS: Final = 100

PEOPLE_AND_CONTENT: Final = "People and content"
JOURNEYS: Final = "Journeys"
RUNNING: Final = "Running a journey"
RUNS: Final = "Runs"
"""Headings in the help, above the commands that belong together."""

ApiUrl = Annotated[str, typer.Option("--api", envvar="WEND_API_URL", metavar="URL", help="Where Wend's API is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Limit = Annotated[int, typer.Option(min=1, help="How many to list at most.")]

_ADDED: Final = (
    inspect.Parameter("api", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT_URL, annotation=ApiUrl),
    inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
)


@dataclass(frozen=True)
class Session:
    """One command's connection to the API, and its output."""

    api: "Api"
    output: Output


def asks_api(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Make a command of a function that takes a session: it gets ``--api`` and ``--json``, and exits 1 if refused."""
    own = inspect.signature(function, eval_str=True)
    parameters = [*list(own.parameters.values())[1:], *_ADDED]

    given: Callable[..., None] = function

    @functools.wraps(function)
    def run(*, api: str, as_json: bool, **arguments: Any) -> None:
        output = Output(as_json)
        try:
            with connect(api) as client:
                given(Session(client, output), **arguments)
        except WendError as error:
            output.refuse(error)
            raise typer.Exit(1) from error

    # typer reads the parameters from here; what is wrapped takes a session that no command line can give.
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    del run.__wrapped__
    return run


def api_token() -> str | None:
    """Return the API's key out of the environment; ``None`` where it holds none."""
    return os.environ.get("WEND_API_TOKEN") or None


def actor() -> str:
    """Return who acts, as the audit log tells it: the environment's WEND_ACTOR, or ``cli``.

    Raises:
        InvalidDocument: It is too long, or has characters that cannot be shown.
    """
    given = os.environ.get("WEND_ACTOR", "").strip() or ACTOR
    if len(given) > MOST_ACTOR_CHARACTERS or not given.isprintable():
        told = f"is a name of at most {MOST_ACTOR_CHARACTERS} printable characters"
        raise InvalidDocument("The environment", [Problem("WEND_ACTOR", told)])
    return given


def connect(url: str) -> "Api":
    """Return a connection, with the key that the environment holds.

    Raises:
        NoAddress: The URL is none of an API.
        InvalidDocument: The environment says who acts in a way that cannot be shown.
    """
    from wend.cli.client import Api

    return Api(url, api_token(), actor=actor(), elsewhere=_running)


def workflow_url(api: "Api", workflow_id: str) -> str | None:
    """Return a workflow's address in the Temporal UI; ``None`` where this directory's state is not that API's."""
    addresses = _addresses()
    if addresses is None or addresses.api != api.url.replace("//localhost:", "//127.0.0.1:"):
        return None
    return addresses.workflow_url(workflow_id)


def _running() -> str | None:
    addresses = _addresses()
    return addresses.api if addresses else None


def _addresses() -> "Addresses | None":
    """Return where the Wend on this directory's state says that it is."""
    from wend.cli.state import StateDirectory

    try:
        return StateDirectory(Path(".wend")).read_addresses()
    except (OSError, TypeError, ValueError):
        return None  # a hint beside something else, in a directory that may be another's
