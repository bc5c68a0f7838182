"""Importing profiles: everything is checked first, then all of it is written in one transaction, or nothing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from wend.errors import InvalidDocument, Problem
from wend.profiles.bulk import copy_profiles, insert_profiles
from wend.profiles.files import Format, Unreadable, read_profiles
from wend.profiles.spool import Spool
from wend.storage.database import Database

MOST_PROBLEMS = 100
"""Problems that are told one by one; the others are counted."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come.

    Attributes:
        phase: ``checking`` counts bytes of the file, ``writing`` counts profiles.
        done: So many.
        total: Of so many; None while checking, where only the caller may know the file's size.
    """

    phase: Literal["checking", "writing"]
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        created: Profiles that were new.
        updated: Profiles that were there, changed or not.
        lines: Lines that held a profile: the sum of the two.
    """

    created: int
    updated: int
    lines: int


def import_profiles(
    database: Database,
    chunks: Iterable[bytes],
    format: Format,
    now: datetime,
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    region: str | None = None,
    separator: str | None = None,
) -> ImportReport:
    """Create and change the profiles of a file; ``wend.profiles.files`` says what it may hold.

    An external id that stands on two lines is a problem: which line was meant is not for us to guess.

    Args:
        chunks: The file's bytes, cut anywhere.
        format: ``csv`` or ``ndjson``.
        now: When the profiles are created and changed.
        on_progress: Called every few thousand lines.
        region: ISO country of phone numbers without ``+``.
        separator: Of CSV; None finds it out.

    Raises:
        InvalidDocument: The problems by line, up to a hundred of them and the number of the rest. Nothing was imported.
        Unavailable: The database does not answer. Nothing was imported.
    """
    with Spool() as spool:
        _check(spool, _counted(chunks, on_progress), format, region, separator)
        if not spool.rows:
            return ImportReport(0, 0, 0)
        with database.write() as connection:
            write = copy_profiles if database.dialect == "postgresql" else insert_profiles
            created = write(connection, spool, now, lambda done: on_progress(Progress("writing", done, spool.rows)))
        return ImportReport(created, spool.rows - created, spool.rows)


class _Problems:
    def __init__(self) -> None:
        self.first: list[Problem] = []
        self.number = 0

    def report(self, line: int, message: str) -> None:
        self.number += 1
        if self.number <= MOST_PROBLEMS:
            self.first.append(Problem(f"line {line}", message))

    def raise_any(self) -> None:
        rest = self.number - len(self.first)
        if self.number:
            more = [Problem("", f"… and {rest} more")] if rest else []
            raise InvalidDocument("The import", [*self.first, *more])


def _check(spool: Spool, chunks: Iterator[bytes], format: Format, region: str | None, separator: str | None) -> None:
    problems = _Problems()
    try:
        for line, wanted in read_profiles(chunks, format, problems.report, region=region, separator=separator):
            spool.add(line, wanted)
    except Unreadable as error:
        problems.report(error.line, error.message)
    for line, earlier in spool.repeated():
        problems.report(line, f"external_id: is that of line {earlier} again")
    problems.raise_any()


def _counted(chunks: Iterable[bytes], on_progress: Callable[[Progress], None]) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        on_progress(Progress("checking", done))
