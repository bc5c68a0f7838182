"""``wend profiles``: people, one by one and by the file."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn
from rich.text import Text

from wend.cli.inputs import (
    Email,
    ExternalId,
    ProfileId,
    Yes,
    chosen_identity,
    confirm,
    find_profile,
    name_of,
    read_properties,
)
from wend.cli.output import NOTHING, Output, fields, instant, listing
from wend.cli.session import PEOPLE_AND_CONTENT, Limit, Session, asks_api

CHUNK = 256 * 1024
"""Bytes of a file that travel at once."""

MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
SUFFIXES = {".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}

profiles = typer.Typer(help="People: load, find, show and delete them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(profiles, name="profiles", rich_help_panel=PEOPLE_AND_CONTENT)


@profiles.command("import")
@asks_api
def import_(
    session: Session,
    file: Annotated[typer.FileBinaryRead, typer.Argument(metavar="FILE", help="CSV or NDJSON; - reads what comes in.")],
    format: Annotated[
        Literal["csv", "ndjson"] | None, typer.Option(help="What the file is; else its name's ending says it.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="COUNTRY", help="Country of phone numbers without +, such as FR.")
    ] = None,
) -> None:
    """Import a file of profiles: all of it, or nothing and every problem by its line.

    CSV: the first line names the columns: external_id (required), email, phone, time_zone, identity.NAMESPACE; every
    other column is an attribute. NDJSON: one profile a line.

    Example: wend profiles import customers.csv
    """
    kind = format or SUFFIXES.get(Path(name_of(file)).suffix.lower())
    if kind is None:
        raise typer.BadParameter(f"{name_of(file)} does not say what it is: add --format csv or --format ndjson")
    with _progress(session.output) as progress:
        report = session.api.call(
            "POST",
            "profiles",
            "import",
            query={"region": region},
            content=_streamed(file, progress),
            headers={"Content-Type": MEDIA_TYPES[kind]},
            patient=True,
        )
    session.output.show(
        report, lambda done: Text(f"{done['lines']:,} profiles: {done['created']:,} new, {done['updated']:,} known")
    )


@profiles.command("put")
@asks_api
def put(
    session: Session,
    file: Annotated[
        typer.FileBinaryRead | None, typer.Argument(metavar="[FILE]", help="YAML or JSON: one profile, or a list.")
    ] = None,
    external_id: ExternalId = None,
    profile: ProfileId = None,
    email: Annotated[str | None, typer.Option(help="An e-mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="A phone number, with + and country.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Such as Europe/Paris.")] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="May be given several times; VALUE is JSON, or else text."),
    ] = None,
) -> None:
    """Create profiles, or change what is named here of those that are there.

    Example: wend profiles put --external-id crm-1001 --email ada@example.com --attribute first_name=Ada
    """
    from wend.documents import read_document

    identities = {name: value for name, value in (("email", email), ("phone", phone)) if value is not None}
    own = {"id": profile, "external_id": external_id, "time_zone": time_zone}
    given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    given |= {"identities": identities} if identities else {}
    given |= {"attributes": read_properties(attribute, "--attribute")} if attribute else {}
    if (file is None) == (not given):
        raise typer.BadParameter("give a FILE, or the profile by options")
    document = read_document(file.read(), name_of(file)) if file else given
    answer = session.api.post("profiles", body=document)
    row = listing(["profile", ""], lambda each: (each["id"], "created" if each["created"] else "known"), "No profile.")
    session.output.show(answer["items"], row)


@profiles.command("show")
@asks_api
def show(
    session: Session,
    profile: Annotated[str | None, typer.Argument(metavar="[ID]", help="The profile's id.")] = None,
    external_id: ExternalId = None,
    email: Email = None,
) -> None:
    """Show a profile.

    Example: wend profiles show --external-id crm-1001
    """
    id = find_profile(session.api, *chosen_identity(profile, external_id, email))
    session.output.show(session.api.get("profiles", id), _draw)


@profiles.command("find")
@asks_api
def find(
    session: Session,
    namespace: Annotated[str, typer.Argument(help="Kind of identity: external_id, email, phone, …")],
    value: Annotated[str, typer.Argument(help="The identity, however it is written.")],
    limit: Limit = 100,
) -> None:
    """Find the profiles that have an identity; several may share an address.

    Example: wend profiles find email ada@example.com
    """
    found, _ = session.api.listing("profiles", namespace=namespace, value=value, limit=limit)
    session.output.show(found, draw_profiles)


@profiles.command("list")
@asks_api
def list_(session: Session, limit: Limit = 100) -> None:
    """List profiles.

    Example: wend profiles list --limit 20
    """
    found, more = session.api.listing("profiles", limit=limit)
    session.output.show(found, draw_profiles)
    if more:
        session.output.note("There are more: --limit")


@profiles.command("delete")
@asks_api
def delete(
    session: Session,
    profile: Annotated[str | None, typer.Argument(metavar="[ID]", help="The profile's id.")] = None,
    external_id: ExternalId = None,
    email: Email = None,
    yes: Yes = False,
) -> None:
    """Delete a profile; its open runs end. Asks first.

    Example: wend profiles delete --external-id crm-1001 --yes
    """
    id = find_profile(session.api, *chosen_identity(profile, external_id, email))
    confirm(f"Delete profile {id} and everything that is known of them?", yes)
    erased = session.api.delete("profiles", id)
    session.output.show(erased, lambda done: Text(f"Profile {id} is deleted; {done['open_runs']} open run(s) ended"))


@profiles.command("exit")
@asks_api
def exit_(
    session: Session,
    profile: Annotated[str | None, typer.Argument(metavar="[ID]", help="The profile's id.")] = None,
    external_id: ExternalId = None,
    email: Email = None,
    journey: Annotated[str | None, typer.Option(metavar="KEY", help="Out of this journey; else out of all.")] = None,
    yes: Yes = False,
) -> None:
    """Take a profile out of one journey, or of all: their open runs end where they are. Asks first.

    Example: wend profiles exit --external-id crm-1001 --journey product-launch --yes
    """
    id = find_profile(session.api, *chosen_identity(profile, external_id, email))
    where = f"journey {journey}" if journey is not None else "all journeys"
    confirm(f"Take profile {id} out of {where}, for good?", yes)

    def render(done: dict[str, Any]) -> RenderableType:
        ended = len(done["runs"])
        return Text(f"Profile {id} is out of {where}: " + (f"{ended} run(s) ended" if ended else "no run was open"))

    session.output.show(session.api.post("profiles", id, "exit", body={"journey": journey}), render)


def _draw(profile: dict[str, Any]) -> RenderableType:
    identities = {} if profile["external_id"] is None else {"external_id": profile["external_id"]}
    return Group(
        Text(f"Profile {profile['id']}", "bold"),
        fields(
            {
                **identities,
                **profile["identities"],
                "time zone": profile["time_zone"],
                "created": instant(profile["created_at"]),
                "updated": instant(profile["updated_at"]),
            }
        ),
        Text("Attributes", "bold"),
        fields(profile["attributes"]) if profile["attributes"] else Text(NOTHING),
    )


def _row(profile: dict[str, Any]) -> tuple[Any, ...]:
    return (profile["id"], profile["external_id"], profile["identities"], len(profile["attributes"]))


draw_profiles = listing(["profile", "external id", "identities", "attributes#"], _row, "No profile.")
"""Draws a list of profiles."""


def _progress(output: Output) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    return Progress(*columns, console=output.err, disable=not output.is_watched, transient=True)


def _streamed(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    """Yield the file in pieces, and show how far it is; behind its end, that the server is at work."""
    task = progress.add_task("Sending and checking", total=_size(file))
    while chunk := file.read(CHUNK):
        yield chunk
        progress.advance(task, len(chunk))
    progress.update(task, visible=False)
    progress.add_task("Writing", total=None, completed=int(progress.tasks[0].completed))


def _size(file: IO[bytes]) -> int | None:
    """Return how many bytes a file has; ``None`` for what comes in through a pipe."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
