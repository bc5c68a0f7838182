"""Profiles in CSV and NDJSON files, read line by line from chunks of bytes.

CSV: the first line names the columns.

- ``external_id`` is required; ``email``, ``phone``, ``time_zone`` and ``identity.<namespace>`` are what they say.
- Every other column is an attribute. A cell that reads as a JSON number, ``true`` or ``false`` is one (``01234`` is
  not, and a number beyond ±2⁵³ stays text, so that no digit is lost); any other cell is text, ISO dates too. A column
  named ``name:text`` is the attribute ``name``, always as text.
- An empty cell leaves what is stored untouched. The separator is ``,`` ``;`` or a tab, whichever the first line holds
  most of. UTF-8, with or without a byte order mark.

NDJSON: one ``ProfileUpsert`` a line, with ``external_id``. In both, blank lines count as lines and mean nothing.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from pydantic import ValidationError

from wend.journeys.problems import did_you_mean, problems_of
from wend.profiles.attributes import check_name
from wend.profiles.identities import EXTERNAL_ID
from wend.profiles.model import ProfileUpsert

Format = Literal["csv", "ndjson"]
Report = Callable[[int, str], None]
"""Takes the number of a line, and what is wrong there."""

LONGEST_LINE = 1_048_576
"""Bytes. More than any profile needs: a longer line is another kind of file, or a quote that was never closed."""

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_LARGEST_NUMBER = 2**53
_NAMESPACE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_SEPARATORS = ",;\t"
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")


class Unreadable(Exception):
    """From this line on the file cannot be read at all."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_profiles(
    chunks: Iterable[bytes],
    format: Format,
    report: Report,
    *,
    region: str | None = None,
    separator: str | None = None,
) -> Iterator[tuple[int, ProfileUpsert]]:
    """Yield the number of the line and the profile for every line that holds one; report all the others.

    Args:
        chunks: The file's bytes, cut anywhere.
        region: ISO country of phone numbers without ``+``.
        separator: Of CSV; None finds it out.

    Raises:
        Unreadable: It is no such file, from some line on.
    """
    lines = _decoded(_lines(chunks))
    context = {"region": region}
    documents = _csv_documents(lines, report, separator) if format == "csv" else lines
    for number, document in documents:
        try:
            if isinstance(document, str):
                if not (text := document.strip()):
                    continue
                wanted = ProfileUpsert.model_validate_json(text, context=context)
            else:
                wanted = ProfileUpsert.model_validate(document, context=context)
        except ValidationError as error:
            for problem in problems_of(error, _as_object(document), ProfileUpsert.model_fields):
                report(number, _say(str(problem)))
            continue
        if wanted.id is not None:
            report(number, "id: is Wend's own; people are imported by their external_id")
        elif wanted.external_id is None:
            report(number, "external_id: is required: without it, the next import would add the same person again")
        else:
            yield number, wanted


def _as_object(document: str | dict[str, Any]) -> Any:
    """Return what the paths of problems lead through; nothing where there is no JSON to follow."""
    if isinstance(document, str):
        with suppress(ValueError, RecursionError):
            return json.loads(document)
    return document


def _say(problem: str) -> str:
    # What the JSON parser says of a broken line comes with a position of its own, always in "line 1".
    return re.sub(r"^invalid JSON: (.*) at line 1 column (\d+)$", r"is no JSON: \1 at character \2", problem)


# -- bytes to lines ---------------------------------------------------------------------------------------------


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines with their ends."""
    number, rest = 1, b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if len(line) > LONGEST_LINE:
                raise Unreadable(number, f"is longer than {LONGEST_LINE:,} bytes")
            yield number, line + b"\n"
            number += 1
        if len(rest) > LONGEST_LINE:
            raise Unreadable(number, f"is longer than {LONGEST_LINE:,} bytes")
    if rest:
        yield number, rest


def _decoded(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if number == 1:
            if line.startswith(_OTHER_ENCODINGS):
                raise Unreadable(1, "is UTF-16; save the file as UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(number, f"is not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from error


# -- CSV --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    kind: Literal["field", "identity", "attribute"]
    name: str
    text: bool = False


def _document(columns: list[_Column], row: list[str]) -> dict[str, Any]:
    identities: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    document: dict[str, Any] = {"identities": identities, "attributes": attributes}
    for column, cell in zip(columns, row, strict=True):
        if not cell:
            continue
        kind = column.kind
        if kind == "attribute":
            attributes[column.name] = cell if column.text else _typed(cell)
        elif kind == "identity":
            identities[column.name] = cell
        else:
            document[column.name] = cell
    return document


def _csv_documents(
    lines: Iterator[tuple[int, str]], report: Report, separator: str | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    first = next(lines, None)
    if first is None or not first[1].strip():
        raise Unreadable(1, "names no columns: the first line of a CSV file does")
    separator = separator or max(_SEPARATORS, key=_outside_quotes(first[1]).count)
    rows = csv.reader(chain([first[1]], (line for _, line in lines)), delimiter=separator, strict=True)
    started = 1
    try:
        columns = _columns(next(rows), report)
        started = rows.line_num + 1  # a quoted cell may go over several lines: a row counts where it begins
        for row in rows:
            if len(row) == len(columns):
                yield started, _document(columns, row)
            elif row:
                report(started, f"has {len(row)} cells, but there are {len(columns)} columns")
            started = rows.line_num + 1
    except csv.Error as error:
        raise Unreadable(started, _say_csv(str(error))) from error


def _say_csv(error: str) -> str:
    if "new-line character" in error:
        return "has a carriage return in a cell without quotes; lines end with LF or CRLF"
    if "end of data" in error or "field limit" in error:
        return "has a quote that is never closed"
    return f"is no CSV: {error}"


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _columns(header: list[str], report: Report) -> list[_Column]:
    """Read the column names.

    Raises:
        Unreadable: They do not hold; the cells below would mean nothing. All that is wrong is reported first.
    """
    columns: list[_Column] = []
    wrong: list[str] = []
    for place, cell in enumerate(header, start=1):
        try:
            column = _column(cell.strip())
            if any((column.kind, column.name) == (each.kind, each.name) for each in columns):
                raise ValueError("is there twice")
            columns.append(column)
        except ValueError as error:
            wrong.append(f"column {place} ({cell.strip()!r}): {error}" if cell.strip() else f"column {place}: {error}")
    if not wrong and not any(column.name == EXTERNAL_ID for column in columns if column.kind == "field"):
        near = did_you_mean(EXTERNAL_ID, [cell.strip() for cell in header])
        wrong.append(f"no column is called external_id{near}")
    for message in wrong[:-1]:
        report(1, message)
    if wrong:
        raise Unreadable(1, wrong[-1])
    return columns


def _column(name: str) -> _Column:
    if not name:
        raise ValueError("has no name")
    if name in (EXTERNAL_ID, "time_zone"):
        return _Column("field", name)
    if name in ("email", "phone"):
        return _Column("identity", name)
    if name == "id":
        raise ValueError("is Wend's own id; people are imported by their external_id")
    if name.startswith("identity."):
        namespace = name.removeprefix("identity.")
        if not _NAMESPACE.fullmatch(namespace):
            raise ValueError("names no identity: lower-case letters, digits and _ after identity.")
        if namespace == EXTERNAL_ID:
            raise ValueError("is called external_id")
        return _Column("identity", namespace)
    attribute, colon, kind = name.partition(":")
    if colon and kind != "text":
        raise ValueError(f"{kind!r} is no type of column; there is one, text")
    if "." in attribute:
        raise ValueError("attributes within attributes come as NDJSON; a column's name has no dot")
    check_name(attribute)
    return _Column("attribute", attribute, text=bool(colon))


def _typed(cell: str) -> str | int | float | bool:
    if cell == "true":
        return True
    if cell == "false":
        return False
    if cell[0] in "-0123456789" and _NUMBER.fullmatch(cell):
        number = int(cell) if cell.lstrip("-").isdigit() and len(cell) < 20 else float(cell)
        if -_LARGEST_NUMBER <= number <= _LARGEST_NUMBER:
            return number
    return cell
