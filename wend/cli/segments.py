"""``wend segments``: who is meant, by rule or by list."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from wend.cli.inputs import DocumentFile, Yes, confirm, name_of, read_file, take_key
from wend.cli.output import Output, fields, instant, listing, moment, say_value
from wend.cli.profiles import draw_profiles
from wend.cli.session import PEOPLE_AND_CONTENT, Limit, Session, asks_api
from wend.errors import InvalidDocument, Problem

segments = typer.Typer(help="Segments: named sets of profiles, by rule or by list.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The segment's key.")]
Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[EXTERNAL_ID]...", help="Profiles, by the ids you gave them.")
]
ProfileIds = Annotated[
    list[str] | None,
    typer.Option("--profile", metavar="ID", help="A profile, by Wend's id; may be given several times."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(segments, name="segments", rich_help_panel=PEOPLE_AND_CONTENT)


@segments.command("put")
@asks_api
def put(session: Session, file: DocumentFile) -> None:
    """Make a segment, or change it. The file has its key and name, and its rule; without a rule it is a list.

    Example: wend segments put most-valuable-customers.segment.yaml
    """
    key, document = take_key(read_file(file), name_of(file))
    if "rule" not in document:
        document.setdefault("kind", "list")
    session.output.show(session.api.put("segments", key, body=document), _draw)


@segments.command("preview")
@asks_api
def preview(
    session: Session,
    file: DocumentFile,
    size: Annotated[int, typer.Option(min=0, max=100, help="How many of them to show.")] = 10,
) -> None:
    """Say whom a segment's rule would mean now, without saving it. The file is one that could be put.

    Example: wend segments preview most-valuable-customers.segment.yaml
    """
    rule = read_file(file).get("rule")
    if rule is None:
        raise InvalidDocument(name_of(file), [Problem("rule", "is required: a list has nothing to be tried")])

    def render(found: dict[str, Any]) -> RenderableType:
        people = [Text(), Text("Some of them", "bold"), draw_profiles(found["sample"])] if found["sample"] else []
        return Group(fields({"would be in it": found["count"]}), *people)

    session.output.show(session.api.post("segments", "preview", body={"rule": rule, "sample": size}), render)


@segments.command("list")
@asks_api
def list_(session: Session, limit: Limit = 100) -> None:
    """List segments.

    Example: wend segments list
    """
    found, more = session.api.listing("segments", limit=limit)
    row = listing(["segment", "name", "by", "updated (UTC)"], _row, "No segment yet: wend segments put FILE")
    session.output.show(found, row)
    if more:
        session.output.note("There are more: --limit")


@segments.command("show")
@asks_api
def show(session: Session, key: Key) -> None:
    """Show a segment and how many are in it.

    Example: wend segments show most-valuable-customers
    """
    segment = session.api.get("segments", key)
    session.output.show({**segment, "count": session.api.get("segments", key, "count")["count"]}, _draw)


@segments.command("count")
@asks_api
def count(session: Session, key: Key) -> None:
    """Count the members.

    Example: wend segments count most-valuable-customers
    """
    session.output.show(session.api.get("segments", key, "count"), lambda answer: Text(f"{answer['count']:,}"))


@segments.command("sample")
@asks_api
def sample(
    session: Session, key: Key, size: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 10
) -> None:
    """Show some members, drawn at random.

    Example: wend segments sample most-valuable-customers --size 5
    """
    session.output.show(session.api.get("segments", key, "sample", size=size)["items"], draw_profiles)


@segments.command("members")
@asks_api
def members(session: Session, key: Key, limit: Limit = 100) -> None:
    """List the members.

    Example: wend segments members employees
    """
    found, more = session.api.listing("segments", key, "members", limit=limit)
    session.output.show(found, draw_profiles)
    if more:
        session.output.note("There are more: --limit")


@segments.command("delete")
@asks_api
def delete(session: Session, key: Key, yes: Yes = False) -> None:
    """Delete a segment that nothing names; the profiles in it stay. Asks first.

    Example: wend segments delete newcomers --yes
    """
    confirm(f"Delete segment {key}?", yes)
    session.api.delete("segments", key)
    session.output.show({"key": key, "deleted": True}, lambda _: Text(f"Segment {key} is deleted"))


@segments.command("add")
@asks_api
def add(session: Session, key: Key, external_id: Ids = None, profile: ProfileIds = None) -> None:
    """Put profiles into a list.

    Example: wend segments add employees crm-1001 crm-1002
    """
    _change(session, key, "add", external_id, profile)


@segments.command("remove")
@asks_api
def remove(session: Session, key: Key, external_id: Ids = None, profile: ProfileIds = None) -> None:
    """Take profiles out of a list.

    Example: wend segments remove employees crm-1001
    """
    _change(session, key, "remove", external_id, profile)


@segments.command("replace")
@asks_api
def replace(
    session: Session,
    key: Key,
    external_id: Ids = None,
    profile: ProfileIds = None,
    file: Annotated[
        typer.FileText | None, typer.Option(help="Takes external ids from here too, one a line; - reads what comes in.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Make these profiles a list's only members. Asks first.

    Example: wend segments replace employees --file employees.txt --yes
    """
    externals = [*(external_id or []), *(line.strip() for line in file or [] if line.strip())]
    if not externals and not profile:
        raise typer.BadParameter("say who: external ids, --file or --profile ID")
    confirm(f"Make {len(externals) + len(profile or []):,} profile(s) the only members of {key}?", yes)
    listed = {"external_ids": externals, "profile_ids": profile or []}
    _show_change(session.output, session.api.put("segments", key, "members", body=listed))


def _change(session: Session, key: str, how: str, externals: list[str] | None, ids: list[str] | None) -> None:
    if not externals and not ids:
        raise typer.BadParameter("say who: external ids, or --profile ID")
    listed = {"external_ids": externals or [], "profile_ids": ids or []}
    _show_change(session.output, session.api.post("segments", key, "members", body={how: listed}))


def _show_change(output: Output, answer: dict[str, Any]) -> None:
    output.show(answer, lambda done: Text(f"{done['added']} added, {done['removed']} removed"))
    unknown = answer["unknown"]
    if missed := [*unknown["external_ids"], *unknown["profile_ids"]]:
        output.note(f"{len(missed)} belong to nobody: {', '.join(missed[:20])}{' …' if len(missed) > 20 else ''}")


def _row(segment: dict[str, Any]) -> tuple[Any, ...]:
    return (segment["key"], segment["name"], segment["kind"], moment(segment["updated_at"]))


def _draw(segment: dict[str, Any]) -> RenderableType:
    values = {"name": segment["name"], "by": segment["kind"], "updated": instant(segment["updated_at"])}
    if "count" in segment:
        values["members"] = segment["count"]
    parts: list[RenderableType] = [Text(f"Segment {segment['key']}", "bold"), fields(values)]
    if segment["rule"] is not None:
        parts.append(draw_rule(segment["rule"], Tree(Text("Rule", "bold"))))
    return Group(*parts)


def draw_rule(rule: dict[str, Any], into: Tree) -> Tree:
    """Return the tree with a rule's parts added."""
    for name, value in rule.items():
        if name in ("all", "any"):
            branch = into.add(Text(f"{name} of"))
            for each in value:
                draw_rule(each, branch)
        elif name == "not":
            draw_rule(value, into.add(Text("not")))
        else:
            into.add(Text(" ".join([name, *_words(value, rule)])))
            break  # a leaf: its first field says what it is about, the others how
    return into


def _words(about: Any, leaf: dict[str, Any]) -> list[str]:
    return [say_value(about), *(say_value(value) for name, value in list(leaf.items())[1:] if value is not None)]
