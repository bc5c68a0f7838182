"""What people give on a command line: documents in files, people by an identity, properties as ``name=value``."""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from wend.errors import Conflict, InvalidDocument, NotFound, Problem

if TYPE_CHECKING:
    from wend.cli.client import Api

DocumentFile = Annotated[
    typer.FileBinaryRead, typer.Argument(metavar="FILE", help="YAML or JSON; - reads what comes in.")
]
ProfileId = Annotated[str | None, typer.Option("--profile", metavar="ID", help="The profile's id.")]
ExternalId = Annotated[str | None, typer.Option(help="The profile's external id: the one that you gave it.")]
Email = Annotated[str | None, typer.Option(help="The profile's e-mail address.")]
Properties = Annotated[
    list[str] | None,
    typer.Option("--property", metavar="NAME=VALUE", help="May be given several times; VALUE is JSON, or else text."),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="The same key again does nothing more, and answers the same."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal to ask on.")]


class SharedIdentity(Conflict):
    """Several profiles have this identity, and one was asked for."""

    def __init__(self, namespace: str, value: str, ids: Iterable[str]) -> None:
        self.ids = tuple(ids)
        listed = "".join(f"\n  {id}" for id in self.ids)
        super().__init__(f"Several profiles share the {namespace} {value!r}. Choose one with --profile:{listed}")


def name_of(file: IO[bytes]) -> str:
    """Return a file's name for messages, also of what comes in through a pipe."""
    name = getattr(file, "name", "<stdin>")
    return "The input" if name == "<stdin>" else str(name)


def read_file(file: IO[bytes]) -> dict[str, Any]:
    """Return the object in a YAML or JSON file.

    Raises:
        InvalidDocument: It cannot be read, or holds no object.
    """
    from wend.documents import read_document

    document = read_document(file.read(), name_of(file))
    if not isinstance(document, dict):
        raise InvalidDocument(name_of(file), [Problem("", "is no object with names and values")])
    return document


def take_key(document: Mapping[str, Any], what: str) -> tuple[str, dict[str, Any]]:
    """Return a document's key, and the document without it.

    Raises:
        InvalidDocument: It has none.
    """
    rest = dict(document)
    key = rest.pop("key", None)
    if not isinstance(key, str):
        raise InvalidDocument(what, [Problem("key", "is required, and is text: the file says whose it is")])
    return key, rest


def read_properties(given: Iterable[str] | None, option: str = "--property") -> dict[str, Any]:
    """Return properties given as ``name=value``; a value that is no JSON is text."""
    found: dict[str, Any] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE", param_hint=option)
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def read_instant(given: str | None, option: str) -> str | None:
    """Return an instant as the API takes it; it names its offset, so that it is the same everywhere."""
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError as error:
        raise typer.BadParameter(f"{given!r} is no instant: {_WRITE_INSTANT}", param_hint=option) from error
    if at.tzinfo is None:
        raise typer.BadParameter(f"{given!r} does not say in which zone: {_WRITE_INSTANT}", param_hint=option)
    return at.isoformat()


_WRITE_INSTANT = "write it with its offset, 2026-12-01T09:00+01:00, or in UTC, 2026-12-01T08:00Z"


def chosen_identity(profile: str | None, external_id: str | None, email: str | None) -> tuple[str, str]:
    """Return the one option that says who is meant, as namespace and value; ``id`` stands for Wend's own id."""
    given = {"id": profile, "external_id": external_id, "email": email}
    named = [(namespace, value) for namespace, value in given.items() if value is not None]
    if len(named) != 1:
        raise typer.BadParameter("say who: give one of --profile, --external-id and --email")
    return named[0]


def find_profile(api: "Api", namespace: str, value: str) -> str:
    """Return the id of the one profile that has the identity.

    Raises:
        NotFound: None has it.
        SharedIdentity: Several have it.
    """
    if namespace == "id":
        return value
    found = [each["id"] for each in api.get("profiles", namespace=namespace, value=value, limit=10)["items"]]
    if not found:
        raise NotFound("profile", f"{namespace}={value}", "Who is there: wend profiles list")
    if len(found) > 1:
        raise SharedIdentity(namespace, value, found)
    return str(found[0])


def confirm(question: str, yes: bool) -> None:
    """Ask, and end the command if the answer is no; where nobody can answer, refuse it."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody can answer that here, so nothing was done: add --yes to do it")
    typer.confirm(question, abort=True, err=True)


def named(namespace: str, value: str) -> dict[str, Any]:
    """Return who is meant as the API takes it."""
    return {"profile_id": value} if namespace == "id" else {"profile": {"namespace": namespace, "value": value}}
