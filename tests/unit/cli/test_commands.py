"""Commands that need nobody to talk to, and the names that messages give to commands."""

import io
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from wend.cli import app
from wend.cli.inputs import confirm

ROOT = Path(__file__).parents[3]
RUNNER = CliRunner()


def test_the_schema_is_printed_without_an_api() -> None:
    printed = RUNNER.invoke(app, ["schema", "journey", "--json"], env={"WEND_API_URL": "http://127.0.0.1:1"})
    assert printed.exit_code == 0
    assert '"$schema"' in printed.stdout


def test_without_an_api_a_command_says_how_to_start_one() -> None:
    refused = RUNNER.invoke(app, ["journeys", "--api", "http://127.0.0.1:1"])
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "http://127.0.0.1:1" in refused.stderr
    assert "make up" in refused.stderr


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_terminal_is_asked_before_something_ends(monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    with nullcontext() if goes_on else pytest.raises(typer.Abort):
        confirm("Stop it?", yes=False)


def test_nobody_is_asked_in_a_script_or_with_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    confirm("Stop it?", yes=False)
    confirm("Stop it?", yes=True)


def test_an_unknown_command_is_a_matter_of_usage() -> None:
    assert RUNNER.invoke(app, ["jurneys"]).exit_code == 2


COMMAND = re.compile(r"(?:`|: |: \{[^}]*\} )wend ([a-z]+(?: [a-z]+)?)")


def named_commands() -> list[str]:
    """Return the commands that Wend's messages and help texts tell people to run."""
    sources = [path for folder in ("wend", "api", "activities", "workflows") for path in (ROOT / folder).rglob("*.py")]
    return sorted({found for path in sources for found in COMMAND.findall(path.read_text())})


def subcommands(words: list[str]) -> set[str]:
    """Return what can follow these words; nothing where they are a whole command."""
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return set(getattr(command, "commands", ()))


@pytest.mark.parametrize("command", named_commands())
def test_every_command_that_a_message_names_exists(command: str) -> None:
    first, *rest = command.split()
    assert first in subcommands([])
    if rest and (known := subcommands([first])):
        assert rest[0] in known


def test_messages_name_commands() -> None:
    assert {"migrate", "journeys put", "messages ready", "runs", "versions"} <= {
        command if subcommands([command.split()[0]]) else command.split()[0] for command in named_commands()
    }


@pytest.mark.parametrize("name", sorted(subcommands([])))
def test_every_command_says_what_it_does(name: str) -> None:
    for words in [[name], *([name, each] for each in subcommands([name]))]:
        told = RUNNER.invoke(app, [*words, "--help"])
        assert told.exit_code == 0
        assert "Usage" in told.stdout
