"""``wend pause``, ``resume``, ``close``, ``stop``, ``move``, ``exit``: what is done to the runs that are inside."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.figures import say_pause
from wend.cli.inputs import Yes, confirm, read_instant
from wend.cli.output import clean, instant, state, table
from wend.cli.runs import find_run
from wend.cli.session import RUNNING, Session, asks_api
from wend.errors import Conflict

Key = Annotated[str, typer.Argument(help="The journey's key.")]
STEPS = "--map"


class NothingToMove(Conflict):
    """Nobody waits inside whom the move would concern."""

    def __init__(self, journey: str, version: int, sending: int) -> None:
        later = f" {sending:,} run(s) are sending at this moment: move them when they wait." if sending else ""
        super().__init__(f"No run of {journey} that fits waits on another version than {version}.{later}")
        self.journey = journey


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause", rich_help_panel=RUNNING)(pause)
    app.command("resume", rich_help_panel=RUNNING)(resume)
    app.command("close", rich_help_panel=RUNNING)(close)
    app.command("stop", rich_help_panel=RUNNING)(stop)
    app.command("move", rich_help_panel=RUNNING)(move)
    app.command("exit", rich_help_panel=RUNNING)(exit_)


@asks_api
def pause(
    session: Session,
    key: Key,
    entries: Annotated[
        Literal["drop", "queue"],
        typer.Option(help="Who would enter meanwhile: does not; or starts when the journey goes on."),
    ] = "drop",
    waits: Annotated[
        Literal["run", "freeze"],
        typer.Option(help="Waits for a length of time: run on; or stand still, and go on where they stood."),
    ] = "run",
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="When it goes on by itself: 2026-12-24T08:00+01:00.")
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Held runs that go on per second when it is resumed; else 100.")
    ] = None,
) -> None:
    """Send nothing more for a journey until it is resumed; nobody inside is lost, and clicks count.

    Nothing is sent after the answer but what a provider has already. Without --until it lasts until wend resume.

    Example: wend pause product-launch --entries queue --waits freeze
    """
    resume_at = read_instant(until, "--until")
    asked = {"entries": entries, "waits": waits, "rate": rate, "resume_at": resume_at}

    def render(done: dict[str, Any]) -> RenderableType:
        said = Text(f"Journey {key} is ").append_text(state(done["state"])).append(" ")
        said.append(f"{say_pause(asked, done['resume_at'])}; {done['inside']:,} run(s) inside")
        return Group(said, Text(f"Let it go on with: wend resume {key}", "dim"))

    session.output.show(session.api.post("journeys", key, "pause", body=_given(asked)), render)


@asks_api
def resume(
    session: Session,
    key: Key,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Held runs that go on per second; else what the pause says.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Let it go on then: 2026-12-24T08:00+01:00.")
    ] = None,
) -> None:
    """Let a paused journey go on, now or at an instant; those who are held decide on what holds then.

    Example: wend resume product-launch --rate 50
    """
    if rate is not None and at is not None:
        raise typer.BadParameter("--rate is for now; at an instant it goes on at the rate that the pause says")
    asked = {"rate": rate, "at": read_instant(at, "--at")}

    def render(done: dict[str, Any]) -> RenderableType:
        said = Text(f"Journey {key} is ").append_text(state(done["state"]))
        if done["state"] == "paused":
            return said.append(f", and goes on by itself at {instant(done['resume_at'])}")
        if not done["held"]:
            return said.append(f"; none of {done['inside']:,} run(s) inside was held")
        how = "the rate of the pause" if rate is None else f"{rate:,} per second"
        return said.append(f"; {done['held']:,} of {done['inside']:,} run(s) inside were held, and go on at {how}")

    session.output.show(session.api.post("journeys", key, "resume", body=_given(asked)), render)


@asks_api
def close(session: Session, key: Key) -> None:
    """Take nobody into a journey any more; those inside go on to their end.

    Example: wend close product-launch
    """

    def render(done: dict[str, Any]) -> RenderableType:
        said = Text(f"Journey {key} is ").append_text(state(done["state"]))
        return said.append(f"; {done['runs']:,} run(s) go on to their end" if done["runs"] else "; nobody is inside")

    session.output.show(session.api.post("journeys", key, "close"), render)


@asks_api
def stop(session: Session, key: Key, yes: Yes = False) -> None:
    """End every run of every version of a journey, now and for good. Asks first.

    Example: wend stop product-launch --yes
    """
    if not yes:
        inside = session.api.get("journeys", key, "figures")["inside"]
        confirm(f"Stop {key} for good, and end its {inside:,} run(s)?", yes)

    def render(done: dict[str, Any]) -> RenderableType:
        return Text(f"Journey {key} is ").append_text(state(done["state"])).append(f"; {done['runs']:,} run(s) ended")

    session.output.show(session.api.post("journeys", key, "stop"), render)


@asks_api
def move(
    session: Session,
    key: Key,
    to: Annotated[int, typer.Option(min=1, metavar="VERSION", help="The version that they go on by.")],
    from_: Annotated[
        list[int] | None,
        typer.Option("--from", min=1, metavar="VERSION", help="Only those on it; may be given several times."),
    ] = None,
    at_or_before: Annotated[
        str | None, typer.Option(metavar="STEP", help="Only those at this step, or on a way that leads to it.")
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            STEPS, metavar="OLD=NEW", help="Where a step is gone: which takes its place; may be given several times."
        ),
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Moved runs that decide anew per second; else 100.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show whom it concerns, and move nobody.")] = False,
    yes: Yes = False,
) -> None:
    """Move runs inside to another version, where they stand: their waits are timed anew by what it says.

    Shows how many they are, and asks first. Nothing is sent a second time, and what was clicked counts.

    Example: wend move product-launch --to 2 --from 1 --map reminder=second-mail
    """
    mapped = read_steps(steps)
    asked = {"to": to, "from_versions": from_ or [], "at_or_before": at_or_before, "steps": mapped, "rate": rate}

    def ask(only_preview: bool) -> dict[str, Any]:
        query = {"preview": only_preview}
        answer: dict[str, Any] = session.api.call("POST", "journeys", key, "move", query=query, body=_given(asked))
        return answer

    if preview or not yes:
        planned = ask(True)
        if preview:
            session.output.show(planned, lambda found: draw_move(found, mapped))
            return
        if not planned["runs"]:
            raise NothingToMove(key, to, planned["sending"])
        session.output.tell(draw_move(planned, mapped))
        confirm(f"Move {planned['runs']:,} run(s) of {key} to version {to}?", yes)
    session.output.show(ask(False), lambda done: _draw_moved(done, mapped, with_table=yes))


@asks_api
def exit_(
    session: Session,
    id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its workflow's.")],
    yes: Yes = False,
) -> None:
    """Take a person out of a run, whatever it waits for; nothing more is sent by it. Asks first.

    Of one journey or of all of them: wend profiles exit.

    Example: wend exit 0190b3c1-8f0e-4a53-9d0c-6a1f5f0d2b11
    """
    found = find_run(session.api, id)
    where = f" at {clean(found['step'])}" if found["step"] else ""
    confirm(f"Take profile {found['profile_id']} out of {found['journey']}{where}, for good?", yes)

    def render(done: dict[str, Any]) -> RenderableType:
        return Text(f"Profile {done['profile_id']} is out of {found['journey']}: run {found['id']} ended")

    session.output.show(session.api.post("runs", found["id"], "exit"), render)


def draw_move(planned: Mapping[str, Any], steps: Mapping[str, str]) -> RenderableType:
    """Return how many runs a move concerns, by version and step.

    Args:
        planned: A preview, or what was done.
        steps: Steps that are gone, and which take their places.
    """
    rows = [_move_row(each, steps) for each in planned["moving"]]
    said: list[RenderableType] = []
    if rows:
        said.append(table(["version", "at", f"in version {planned['to']} at", "runs#"], rows))
    else:
        said.append(Text("No run that fits waits on another version", "dim"))
    if planned["sending"]:
        told = f"{planned['sending']:,} more are sending at this moment: they stay, and can be moved when they wait"
        said.append(Text(told, "yellow"))
    return Group(*said)


def _move_row(group: Mapping[str, Any], steps: Mapping[str, str]) -> tuple[Any, ...]:
    step = group["step"]
    if step is None:
        return (str(group["version"]), Text("has not begun", "dim"), Text("its beginning", "dim"), group["runs"])
    return (str(group["version"]), step, steps.get(step, step), group["runs"])


def _draw_moved(done: Mapping[str, Any], steps: Mapping[str, str], *, with_table: bool) -> RenderableType:
    said = Text(f"{done['runs']:,} run(s) of {done['journey']} are moved to version {done['to']}")
    return Group(draw_move(done, steps), said) if with_table else said


def read_steps(given: Iterable[str] | None) -> dict[str, str]:
    """Return steps given as ``OLD=NEW``: which takes the place of which."""
    steps: dict[str, str] = {}
    for each in given or ():
        old, equals, new = each.partition("=")
        if not (old and equals and new):
            raise typer.BadParameter(f"{each!r} is not OLD=NEW", param_hint=STEPS)
        if steps.setdefault(old, new) != new:
            raise typer.BadParameter(f"{old!r} is given two places: {steps[old]} and {new}", param_hint=STEPS)
    return steps


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for, without what is left to the API."""
    return {name: value for name, value in asked.items() if value is not None}
