"""What the ring found, as JSON and for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(_Model):
    """Whether something held, and what was seen."""

    name: str
    held: bool
    seen: str


class LineReport(_Model):
    """What one line found on one database.

    Attributes:
        plan: What was to happen; follows from the seed.
        faults: How often each fault befell somebody.
        compared: How much was compared.
        error: What ended the line before its end.
        expected: Whether it was to hold; a broken build has lines that are to fail.
    """

    line: str
    what: str
    database: str
    broken: str | None
    plan: list[str]
    faults: dict[str, int]
    compared: dict[str, int]
    checks: list[Verdict]
    error: str | None
    seconds: float
    expected: bool = True

    @property
    def held(self) -> bool:
        """Whether every check held, and there was one."""
        return self.error is None and bool(self.checks) and all(check.held for check in self.checks)

    @property
    def good(self) -> bool:
        """Whether it came out as it was to."""
        return self.held == self.expected and self.error is None


class Report(_Model):
    """What the ring found."""

    seed: int
    form: str
    lines: list[LineReport]

    @property
    def good(self) -> bool:
        """Whether every line came out as it was to."""
        return bool(self.lines) and all(line.good for line in self.lines)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the report that ``write`` wrote."""
        document = json.loads((directory / "chaos.json").read_text())
        del document["good"]
        for line in document["lines"]:
            del line["held"]
        return cls.model_validate(document)

    def write(self, directory: Path) -> None:
        """Write ``chaos.json`` and ``chaos.md``."""
        directory.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = self.model_dump(mode="json") | {"good": self.good}
        for told, line in zip(document["lines"], self.lines, strict=True):
            told["held"] = line.held
        (directory / "chaos.json").write_text(json.dumps(document, indent=1) + "\n")
        (directory / "chaos.md").write_text(self.for_people())

    def for_people(self) -> str:
        """Return it as Markdown."""
        lines = [f"# The chaos ring, {self.form} form, seed {self.seed}", ""]
        lines += ["| Line | Database | Build | Faults | Seconds | Verdict |", "|---|---|---|---|---|---|"]
        for each in self.lines:
            build = each.broken or "sound"
            told = (each.line, each.database, build, sum(each.faults.values()), f"{each.seconds:.0f}", _word(each))
            lines.append("| " + " | ".join(map(str, told)) + " |")
        for each in self.lines:
            lines += ["", *_of_one(each)]
        lines += ["", *_faults_of(self.lines), ""]
        return "\n".join(lines)


def _word(line: LineReport) -> str:
    if line.error is not None:
        return "BROKE OFF"
    word = "held" if line.held else "FAILED"
    return word if line.expected else f"{word} (was to fail)"


def _of_one(line: LineReport) -> list[str]:
    build = f", broken build `{line.broken}`" if line.broken else ""
    said = [f"## {line.line} on {line.database}{build}: {_word(line)}", "", f"{line.what}.", ""]
    if line.error is not None:
        said += [f"It broke off: {line.error}", ""]
    said += ["| Must hold | Verdict | Seen |", "|---|---|---|"]
    for check in line.checks:
        said.append(f"| {check.name} | {'held' if check.held else '**FAILED**'} | {_cell(check.seen)} |")
    said += ["", "Faults: " + (_counts(line.faults) or "none")]
    said += ["", "Compared: " + (_counts(line.compared) or "nothing")]
    if line.plan:
        shown = line.plan if len(line.plan) <= 40 else [*line.plan[:40], f"… and {len(line.plan) - 40} more"]
        said += ["", "Plan: " + "; ".join(shown)]
    return said


def _faults_of(lines: Sequence[LineReport]) -> list[str]:
    databases = sorted({line.database for line in lines})
    names = sorted({name for line in lines for name in line.faults})
    said = ["## Faults, of all lines together", "", "| Fault | " + " | ".join(databases) + " |"]
    said.append("|---" * (len(databases) + 1) + "|")
    for name in names:
        sums = [sum(line.faults.get(name, 0) for line in lines if line.database == each) for each in databases]
        said.append(f"| {name} | " + " | ".join(map(str, sums)) + " |")
    return said


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:600]
