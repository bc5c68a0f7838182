"""Commands that need nobody to talk to, and the names that messages give to commands."""

import io
import re
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from wend.cli import app
from wend.cli.inputs import confirm
from wend.cli.sampling import read_sample
from wend.cli.screen import LINK
from wend.cli.state import UnusableDirectory
from wend.errors import Conflict

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


def test_without_a_terminal_nothing_ends_unless_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(typer.BadParameter, match="add --yes"):
        confirm("Stop it?", yes=False)
    confirm("Stop it?", yes=True)


@pytest.mark.parametrize("command", ["up", "demo", "sink"])
@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_a_matter_of_usage(command: str, port: int) -> None:
    refused = RUNNER.invoke(app, [command, "--port", str(port)])
    assert refused.exit_code == 2
    assert "--port" in refused.stderr


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_file_is_no_state_directory(tmp_path: Path, command: str) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        refused = RUNNER.invoke(app, [command, "--dir", str(path)])
        assert isinstance(refused.exception, UnusableDirectory)
        assert "Choose another one with --dir" in str(refused.exception)


def test_a_sink_keeps_messages_in_no_directory_and_no_other_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("This is no database. " * 100)
    for path in (tmp_path, other, tmp_path / "absent" / "sink.db"):
        refused = RUNNER.invoke(app, ["sink", "--port", "0", "--smtp-port", "0", "--file", str(path)])
        assert isinstance(refused.exception, Conflict)
        assert "--file" in str(refused.exception)


def test_up_refuses_a_key_that_is_too_short(tmp_path: Path) -> None:
    refused = RUNNER.invoke(app, ["up", "--dir", str(tmp_path / "state")], env={"WEND_API_TOKEN": "hunter2"})
    assert "WEND_API_TOKEN: is shorter than 16" in str(refused.exception)
    assert "hunter2" not in str(refused.exception)
    assert not (tmp_path / "state").exists()


def test_nothing_to_try_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = RUNNER.invoke(app, ["try", "--dir", str(tmp_path / "file")])
    assert isinstance(refused.exception, Conflict)


def test_the_link_to_click_is_in_the_mail() -> None:
    assert f">{LINK}</a>" in read_sample("product-announcement.message")["content"]["html"]


def test_an_unknown_command_is_a_matter_of_usage() -> None:
    assert RUNNER.invoke(app, ["jurneys"]).exit_code == 2


COMMAND = re.compile(r"(?:`|: |: \{[^}]*\} )wend ([a-z][a-z-]*(?: [a-z]+)?)")


@cache
def named_commands() -> list[str]:
    """Return the commands that Wend's messages and help texts tell people to run."""
    sources = [path for folder in ("wend", "api", "activities", "workflows") for path in (ROOT / folder).rglob("*.py")]
    return sorted({found for path in sources for found in COMMAND.findall(path.read_text())})


@cache
def whole() -> Any:
    """Return the command line as Click has it."""
    return typer.main.get_command(app)


def subcommands(words: list[str]) -> set[str]:
    """Return what can follow these words; nothing where they are a whole command."""
    command = whole()
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
