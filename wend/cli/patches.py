"""``wend patches`` and ``wend replay``: what a release has to respect of runs that wait, and whether it does."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.output import Output, clean, table
from wend.cli.session import AsJson
from wend.errors import Conflict, WendError

if TYPE_CHECKING:
    from temporalio.client import WorkflowHistory

    from wend.cli.histories import Standing

T = TypeVar("T")

UPGRADES = "Upgrades"
"""Heading in the help."""

Directory = Annotated[
    Path, typer.Option("--dir", help="The state directory of `wend up`, where TEMPORAL_… says nothing.")
]

WORDS = {
    "keep": "keep: open runs need it",
    "look": "keep: not all open runs were looked at (--most)",
    "deprecate": "deprecate: the old way may go",
    "remove": "remove: no open run needs it",
    "gone": "nothing: it is removed",
    "removed too early": "put it back: open runs need it",
}

SHOWN = 20
"""Runs that do not replay, of which one line each is printed."""


class DoesNotReplay(Conflict):
    """Runs whose histories this release's workflow code does not reproduce."""

    def __init__(self, failed: int, replayed: int) -> None:
        super().__init__(
            f"{failed:,} of {replayed:,} histories do not replay with this release. Do not deploy it: those runs would "
            "stand still. Put the change behind a patch: docs/upgrading.md"
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (patches, replay):
        app.command(rich_help_panel=UPGRADES)(command)


def patches(
    where: Annotated[
        str, typer.Option(metavar="QUERY", help="Count only workflows that this visibility query finds.")
    ] = "",
    most: Annotated[int, typer.Option(min=1, help="Histories to look into at most, for each patch.")] = 1000,
    directory: Directory = Path(".wend"),
    as_json: AsJson = False,
) -> None:
    """Say of each patch in the workflows' code which open runs need it, and what may be done with it.

    Asks Temporal, as TEMPORAL_… says, or the server of a `wend up` in this directory. Exits 1 where a patch was removed
    that open runs still need.

    Example: wend patches
    """
    from wend.cli import histories
    from workflows.patches import PATCHES

    async def ask() -> tuple[list["Standing"], int]:
        client = await histories.connect(directory)
        found = [await histories.stand(client, patch, where, most) for patch in PATCHES]
        return found, await histories.count_unknown(client, PATCHES, where)

    output = Output(as_json)
    standings, unknown = _asked(output, ask())
    document = {"patches": [_document(each) for each in standings], "open_with_unknown": unknown}
    output.show(document, lambda _: draw(standings, unknown))
    if unknown or any(each.may == "removed too early" for each in standings):
        raise typer.Exit(1)


def replay(
    where: Annotated[
        str, typer.Option(metavar="QUERY", help="Replay what this visibility query finds.")
    ] = "ExecutionStatus = 'Running'",
    most: Annotated[int, typer.Option(min=1, help="Histories to replay at most; the youngest come first.")] = 1000,
    read: Annotated[
        Path | None, typer.Option("--from", metavar="DIRECTORY", help="Replay the histories there; asks no Temporal.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Write them there as well, to be replayed elsewhere.")
    ] = None,
    directory: Directory = Path(".wend"),
    as_json: AsJson = False,
) -> None:
    """Replay histories of your own runs with this release's workflow code; exits 1 if one does not replay.

    Run it by the new release before its workers start. It only reads histories: nothing is sent, nothing is changed.

    Example: wend replay --where "WendJourney = 'product-launch' AND StartTime < '2026-06-01T00:00:00Z'"
    """
    from wend.cli import histories

    if read is not None and save is not None:
        raise typer.BadParameter("what is read --from a directory is not saved to another; copy it")

    async def run() -> tuple[int, dict[str, str]]:
        if read is not None:
            return await _replay_all(_each(histories.load(read)))
        client = await histories.connect(directory)
        found = histories.read_histories(client, f"{histories.of_ours()} AND ({where})", most)
        return await _replay_all(found if save is None else histories.saved(found, save))

    output = Output(as_json)
    replayed, failed = _asked(output, run())
    output.show({"replayed": replayed, "failed": failed}, lambda _: _draw_replayed(replayed, failed))
    if failed:
        output.refuse(DoesNotReplay(len(failed), replayed))
        raise typer.Exit(1)


async def _each(found: Sequence["WorkflowHistory"]) -> AsyncIterator["WorkflowHistory"]:
    for history in found:
        yield history


async def _replay_all(found: AsyncIterator["WorkflowHistory"]) -> tuple[int, dict[str, str]]:
    """Return how many histories were replayed, and what went wrong with which workflow."""
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

    from worker import WORKFLOWS

    replayer = Replayer(
        workflows=WORKFLOWS, workflow_runner=UnsandboxedWorkflowRunner(), data_converter=pydantic_data_converter
    )
    replayed, failed = 0, {}
    async with replayer.workflow_replay_iterator(found) as results:
        async for result in results:
            replayed += 1
            if result.replay_failure is not None:
                failed[result.history.workflow_id] = str(result.replay_failure).split("\n")[0][:300]
    return replayed, failed


def draw(standings: Sequence["Standing"], unknown: int) -> RenderableType:
    """Return how the runs stand to the patches."""
    said: list[RenderableType] = []
    if not standings:
        said.append(Text("There is no patch: this release's workflow code has one way for every run."))
    else:
        columns = (
            "patch",
            "workflow",
            "since",
            "in the code",
            "open with#",
            "without#",
            "closed with#",
            "without#",
            "",
        )
        said.append(table(columns, [_row(each) for each in standings]))
    for each in standings:
        if each.holding:
            said.append(Text(f"{each.patch.id} is needed by {', '.join(map(clean, each.holding[:3]))}", "dim"))
    if unknown:
        text = f"{unknown:,} open run(s) are marked by patches that this release does not know. It is older than the "
        said.append(Text(f"{text}release that began them: do not run its workers.", "red"))
    return Group(*said)


def _row(each: "Standing") -> tuple[Any, ...]:
    patch = each.patch
    return (
        *(patch.id, patch.workflow, patch.since, patch.state),
        *(each.open_with, each.open_without, each.closed_with, each.closed_without),
        WORDS[each.may],
    )


def _document(each: "Standing") -> dict[str, Any]:
    return {
        "id": each.patch.id,
        "workflow": each.patch.workflow,
        "since": each.patch.since,
        "what": each.patch.what,
        "state": each.patch.state,
        "open": {"with": each.open_with, "without": each.open_without},
        "closed": {"with": each.closed_with, "without": each.closed_without},
        "needed_by": list(each.holding),
        "may": each.may,
    }


def _draw_replayed(replayed: int, failed: dict[str, str]) -> RenderableType:
    if not replayed:
        return Text("There is no such run: nothing was replayed.", "yellow")
    lines = [Text(f"{clean(name)}: {clean(why)}", "red") for name, why in list(failed.items())[:SHOWN]]
    return Group(Text(f"{replayed:,} replayed, {len(failed):,} do not replay"), *lines)


def _asked(output: Output, question: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(question)
    except WendError as error:
        output.refuse(error)
        raise typer.Exit(1) from error
