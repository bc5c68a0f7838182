"""The documents are true: what they show parses, what they name exists, and what the code writes is current."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typer.core import TyperOption

from tools import docs, docs_cli, docs_settings, docs_steps
from wend.documents import parse_definition, read_definition, read_document
from wend.journeys.checks import MessageInfo, check
from wend.journeys.definition import JourneyDefinition
from wend.messages.checks import check_message
from wend.messages.links import declared_links
from wend.messages.store import parse_content
from wend.profiles.files import read_profiles
from wend.segments.rules import parse_rule, segments_in

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
ADRS = sorted((ROOT / "docs/adr").glob("*.md"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """A code block: on which page and line, and what it says it is."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    """Yield every code block of every page."""
    for page in PAGES:
        kind, lines, began = "", [], 0
        for number, line in enumerate(page.read_text().splitlines(), start=1):
            fence = re.fullmatch(r"```(.*)", line)
            if fence and not began:
                kind, lines, began = fence[1].strip(), [], number
            elif fence:
                yield Block(name_of(page), began, kind, "\n".join(lines) + "\n")
                began = 0
            elif began:
                lines.append(line)
        assert not began, f"{page}: the block that begins in line {began} never ends"


BLOCKS = list(blocks())


# -- what is shown ----------------------------------------------------------------------------------------------------


def is_journey(text: str) -> None:
    definition = read_definition(text)
    assert parse_definition(definition.document()) == definition


def is_step(text: str) -> None:
    """A step stands alone, so those that it names are put below it."""
    [step] = read_document(text)
    known = re.findall(r"(?:next|sent_by|on_\w+|else): ([a-z-]+)", text)
    others = [{"id": each, "type": "wait", "for": "P1D"} for each in dict.fromkeys(known) if each != "exit"]
    parse_definition({"key": "page", "name": "Page", "steps": [step, *others]})


def is_segment(text: str) -> None:
    document = read_document(text)
    assert document.keys() - {"rule"} == {"key", "name"}
    if "rule" in document:
        parse_rule(document["rule"])


def is_message(text: str) -> None:
    document = read_document(text)
    assert document.keys() == {"key", "name", "content"}
    content = parse_content(document["content"])
    assert [str(problem) for problem in check_message(content) if problem.severity == "error"] == []


KINDS: dict[str, Callable[[str], Any]] = {
    "yaml journey": is_journey,
    "yaml step": is_step,
    "yaml segment": is_segment,
    "yaml message": is_message,
    "yaml rule": lambda text: parse_rule(read_document(text)),
    "yaml alerts": read_document,
    "json": read_document,
    "python": ast.parse,
    "sh": str,
    "": str,
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_what_it_says_it_is(block: Block) -> None:
    assert block.kind in KINDS, f"say what it is: {', '.join(KINDS)}"
    KINDS[block.kind](block.text)


def test_there_are_journeys_to_be_checked() -> None:
    assert sum(block.kind == "yaml journey" for block in BLOCKS) >= 4


# -- what is named ----------------------------------------------------------------------------------------------------


COMMANDS = docs_cli.commands()
MAKEFILE = (ROOT / "Makefile").read_text()


def wend_calls(line: str) -> Iterator[list[str]]:
    """Yield the words of each call of ``wend`` in a line of shell."""
    for call in re.findall(r"(?:^|[;&|]|\bdo)\s*(?:\.venv/bin/)?wend ([^;&|#]*)", line):
        yield call.split()


def inline_code(page: Path) -> list[str]:
    """Return the pieces of code in a page's sentences and tables."""
    return re.findall(r"`([^`\n]+)`", without_blocks(page))


def without_blocks(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.S)


def is_made(target: str) -> bool:
    return re.search(rf"^{target}:", MAKEFILE, re.M) is not None


def check_call(words: list[str]) -> None:
    """Refuse a command or an option that the command line does not have."""
    name = "wend"
    rest = list(words)
    while rest and f"{name} {rest[0]}" in COMMANDS:
        name += f" {rest.pop(0)}"
    assert name != "wend", f"there is no command wend {words[0]}"
    known = {option for each in COMMANDS[name].params if isinstance(each, TyperOption) for option in each.opts}
    known |= {option for each in COMMANDS[name].params for option in each.secondary_opts}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in known | {"--help"}, f"{name} has no option {word}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "sh"], ids=str)
def test_commands_in_blocks_exist(block: Block) -> None:
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():  # what goes on in the next line is one command
        for words in wend_calls(line):
            check_call(words)
        assert all(map(is_made, re.findall(r"(?:^|\s)make ([a-z]+)", line))), line
        for module in re.findall(r"python -m ([\w.]+)", line):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_in_sentences_exists(page: Path) -> None:
    for code in inline_code(page):
        for words in wend_calls(code):
            check_call(words)
        if code.startswith("make ") and (target := code.split()[1]).isalpha():
            assert is_made(target), code
        if re.fullmatch(r"(?:wend|api|workflows|activities|tests|tools|bench|docs|examples)/[\w./-]*", code):
            assert (ROOT / code).exists(), f"there is no {code}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = without_blocks(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in headings(goal), f"{goal.name} has no heading for #{anchor}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", without_blocks(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_document() -> None:
    index = (ROOT / "docs/README.md").read_text()
    missing = [name_of(page) for page in PAGES if page.is_relative_to(ROOT / "docs") and f"{page.name})" not in index]
    assert missing == ["docs/README.md"]
    for path in ADRS:
        title = path.read_text().partition("\n")[0].removeprefix("# ")
        assert f"[{title}](adr/{path.name})" in index


def test_settings_named_in_pages_exist() -> None:
    known = {name for name, _, _ in docs_settings.settings()} | {
        "WEND_ACTOR",
        "WEND_API_URL",
        "WEND_TEST_LONG",
        "WEND_TEST_POSTGRES_BIN",
    }
    for page in PAGES:
        for name in re.findall(r"\bWEND_[A-Z_]+\b", page.read_text()):
            assert any(each.startswith(name) for each in known), f"{name_of(page)}: {name}"


def test_addresses_named_in_pages_exist() -> None:
    from api.app import create_app
    from api.parts import ApiParts

    app = create_app(ApiParts(None, None, lambda: None, ""))  # type: ignore[arg-type,return-value]  # describes only
    paths = set(app.openapi()["paths"]) | {"/docs", "/openapi.json"}
    for where, code in [(name_of(page), code) for page in PAGES for code in inline_code(page)]:
        for path in re.findall(r"^(?:GET |POST |PUT |DELETE )?(/(?:v1|c|healthz|readyz|docs|openapi)[/\w.{}]*)$", code):
            assert path in paths | {"/v1", "/c/"}, f"{where}: {path}"


# -- what is written by the code --------------------------------------------------------------------------------------


def test_generated_pages_are_current() -> None:
    assert docs.stale() == [], "write them anew: python -m tools.docs"


def test_every_step_type_has_an_example() -> None:
    assert {docs_steps.type_of(step) for step in docs_steps.steps()} == set(docs_steps.EXAMPLES)


def test_the_readmes_journey_is_the_one_in_the_picture() -> None:
    from tools.docs_picture import REFERENCE

    [shown] = [block for block in BLOCKS if block.page == "README.md" and block.kind == "yaml journey"]
    drawn, told = read_definition(REFERENCE), read_definition(shown.text)
    assert [step.model_dump() for step in drawn.steps] == [step.model_dump() for step in told.steps]


# -- decisions --------------------------------------------------------------------------------------------------------


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts_on_one_page(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Decision", "Consequences", "Rejected"]
    assert re.search(r"^## Decision\n\n> ", text, re.M), "the decision is a sentence to be quoted"
    assert len(text.split()) < 500


# -- examples ---------------------------------------------------------------------------------------------------------

EXAMPLES = sorted((ROOT / "examples").glob("*/*.journey.yaml"))


class Directory:
    """What lies beside a journey's file."""

    def __init__(self, path: Path) -> None:
        self._messages = {each["key"]: each["content"] for each in self._read(path, "message")}
        self._segments = {each["key"]: each for each in self._read(path, "segment")}

    @staticmethod
    def _read(path: Path, kind: str) -> list[dict[str, Any]]:
        return [read_document(file.read_bytes()) for file in sorted(path.glob(f"*.{kind}.yaml"))]

    def message(self, key: str) -> MessageInfo | None:
        if key not in self._messages:
            return None
        content = parse_content(self._messages[key])
        return MessageInfo(content.channel, 1, declared_links(content))

    def messages(self) -> list[str]:
        return list(self._messages)

    def has_segment(self, key: str) -> bool:
        return key in self._segments

    def segments(self) -> list[str]:
        return list(self._segments)

    def rules(self) -> Iterator[Any]:
        return (parse_rule(each["rule"]) for each in self._segments.values() if "rule" in each)


def refuse(line: int, problem: str) -> None:
    raise AssertionError(f"line {line}: {problem}")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_can_be_published(path: Path) -> None:
    definition: JourneyDefinition = read_definition(path.read_bytes())
    beside = Directory(path.parent)
    assert [str(problem) for problem in check(definition, beside)] == []
    assert all(beside.has_segment(key) for rule in beside.rules() for key in segments_in(rule))
    for file in path.parent.glob("*.message.yaml"):
        is_message(file.read_text())
    for file in path.parent.glob("*.ndjson"):
        people = [*read_profiles([file.read_bytes()], "ndjson", refuse)]
        assert len(people) == len(file.read_text().splitlines())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2
