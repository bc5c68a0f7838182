"""The command reference, out of the command line itself."""

from collections.abc import Iterator

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from wend.cli import app

Command = TyperCommand | TyperGroup
Parameter = TyperArgument | TyperOption

HEAD = """# Commands

<!-- Generated from the command line by `python -m tools.docs`; do not edit. -->

`make setup` puts `wend` into `.venv/bin`. `--help` behind any command says what is said here.

Commands that read or change profiles, segments, messages, journeys, runs and events talk to the API of a running
Wend. All of those take `--api URL` (or `WEND_API_URL`; `http://127.0.0.1:8000` without either) and `--json`, which
prints JSON and nothing else; the API's key, if it asks for one, comes from `WEND_API_TOKEN`, and who acts, for the
audit log, from `WEND_ACTOR`. They end with status 1 if they are refused, and say why."""

COMMON = {"api", "as_json"}
"""Parameters that the head explains, of commands that have both."""


def page() -> str:
    """Return the page."""
    return "\n\n".join([HEAD, *_sections(commands())]) + "\n"


def commands() -> dict[str, Command]:
    """Return every command by its full name, ``wend runs list``, groups included."""
    found: dict[str, Command] = {}
    _collect(typer.main.get_command(app), "wend", found)
    return found


def parameters(command: Command) -> list[Parameter]:
    """Return what a command takes, its help aside, and nothing that its own help hides."""
    known = [each for each in command.params if isinstance(each, TyperArgument | TyperOption)]
    return [each for each in known if not each.hidden]


def _collect(command: object, name: str, found: dict[str, Command]) -> None:
    assert isinstance(command, TyperCommand | TyperGroup)
    if command.hidden:
        return
    found[name] = command
    if isinstance(command, TyperGroup):
        for each, inner in command.commands.items():
            _collect(inner, f"{name} {each}", found)


def _sections(found: dict[str, Command]) -> Iterator[str]:
    for name, command in found.items():
        if name == "wend":
            continue
        level = "##" if name.count(" ") == 1 else "###"
        yield f"{level} `{name}`"
        text, _, example = (command.help or "").partition("Example:")
        if text.strip():
            yield _markdown(text.strip())
        if isinstance(command, TyperGroup) and not parameters(command):
            continue  # what has options of its own does something without a command as well
        arguments = [each for each in parameters(command) if isinstance(each, TyperArgument)]
        usage = " ".join([name, *map(_usage, arguments), "[OPTIONS]"])
        yield f"```\n{usage}\n```"
        if example.strip():
            yield f"For example:\n\n```sh\n{example.strip()}\n```"
        asks_api = COMMON.issubset(each.name for each in command.params)
        if rows := [_row(each) for each in parameters(command) if not (asks_api and each.name in COMMON)]:
            yield "\n".join(["| | | Default |", "|---|---|---|", *rows])


def _usage(argument: TyperArgument) -> str:
    shown = (argument.metavar or argument.name or "").strip("[].").upper()
    repeated = f"{shown}…" if argument.nargs != 1 else shown
    return repeated if argument.required else f"[{repeated}]"


def _row(parameter: Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if isinstance(parameter, TyperArgument):
        names = f"`{_usage(parameter)}`".replace("|", "\\|")
    said = _markdown(getattr(parameter, "help", None) or "")
    return f"| {names} | {said} | {_default(parameter)} |"


def _default(parameter: Parameter) -> str:
    default = parameter.default
    if parameter.required:
        return "**required**"
    if default is None or callable(default) or isinstance(default, bool) or default in ([], (), ""):
        return ""
    return f"`{getattr(default, 'value', default)}`"


def _markdown(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.replace("\f", "").replace("``", "`").split("\n\n")]
    return "\n\n".join(paragraphs).replace("|", "\\|")
