"""Checked profiles on their way into the database, on disk: memory does not grow with the file."""

import marshal
import tempfile
from array import array
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

from wend.profiles.model import ProfileUpsert

_BATCH = 1_000
_BUCKETS = 256


class Row(NamedTuple):
    """One line. Values are final: checked, and in one spelling."""

    line: int
    external_id: str
    identities: dict[str, str | None]
    attributes: dict[str, Any]
    time_zone: str | None
    sets_time_zone: bool

    def upsert(self) -> ProfileUpsert:
        """Return it as it was read, without checking it again."""
        names = {"external_id", "identities", "attributes", *(["time_zone"] if self.sets_time_zone else [])}
        return ProfileUpsert.model_construct(
            _fields_set=names,
            external_id=self.external_id,
            identities=self.identities,
            attributes=self.attributes,
            time_zone=self.time_zone,
        )


class Spool:
    """A temporary file of rows, which knows the lines that name the same external id."""

    def __init__(self) -> None:
        self.rows = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._batch: list[tuple[Any, ...]] = []
        # 16 bytes a row instead of the ids themselves.
        self._hashes = [array("q") for _ in range(_BUCKETS)]
        self._lines = [array("Q") for _ in range(_BUCKETS)]

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, line: int, wanted: ProfileUpsert) -> None:
        """Append a profile, which has an external id."""
        assert wanted.external_id is not None
        sets_time_zone = "time_zone" in wanted.model_fields_set
        self._batch.append(
            (line, wanted.external_id, wanted.identities, wanted.attributes, wanted.time_zone, sets_time_zone)
        )
        hashed = hash(wanted.external_id)
        self._hashes[hashed % _BUCKETS].append(hashed)
        self._lines[hashed % _BUCKETS].append(line)
        self.rows += 1
        if len(self._batch) == _BATCH:
            self._write()

    def batches(self) -> Iterator[list[Row]]:
        """Yield everything from the beginning, some thousand rows at a time."""
        self._write()
        self._file.seek(0)
        while size := int.from_bytes(self._file.read(8), "big"):
            yield [Row._make(row) for row in marshal.loads(self._file.read(size))]

    def repeated(self) -> list[tuple[int, int]]:
        """Return the lines whose external id an earlier line has, each with the first such line."""
        suspects: set[int] = set()
        for hashes, lines in zip(self._hashes, self._lines, strict=True):
            first: dict[int, int] = {}
            for hashed, line in zip(hashes, lines, strict=True):
                if (earlier := first.setdefault(hashed, line)) != line:
                    suspects |= {earlier, line}
        return self._confirm(suspects) if suspects else []

    def _confirm(self, suspects: set[int]) -> list[tuple[int, int]]:
        """Compare the ids themselves: two of them may hash alike."""
        first: dict[str, int] = {}
        repeated: list[tuple[int, int]] = []
        for batch in self.batches():
            for row in batch:
                if row.line in suspects and (earlier := first.setdefault(row.external_id, row.line)) != row.line:
                    repeated.append((row.line, earlier))
        return repeated

    def _write(self) -> None:
        if self._batch:
            # marshal is twice as quick as the next best, and this file never outlives the process.
            packed = marshal.dumps(self._batch)
            self._file.write(len(packed).to_bytes(8, "big") + packed)
            self._batch = []
