"""Where Liquid stands in a template's source, and the same source without it.

python-liquid's lexer is regular expressions that take quadratic time over constructs that are never closed, in
comments too. This one pass runs before it, in linear time, and refuses what is not closed; from then on both read
the same constructs at the same places (a test compares them).
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

MAX_CONSTRUCT = 1_000
# Stands for whatever a construct prints. From the private use area: no letter, quote or space of HTML.
PRINTED = "\ue000"

_OPENING = re.compile(r"\{[{%]")
_TAG_NAME = re.compile(r"\{%-?\s*(#|\w+)")
_RAW = re.compile(r"\{%-?\s*(raw|doc)\s*-?%\}")
_END = {name: re.compile(rf"\{{%-?\s*end{name}\s*-?%\}}") for name in ("raw", "doc")}
_PRINTING_TAGS = frozenset({"echo", "liquid", "cycle", "increment", "decrement"})

Kind = Literal["literal", "raw", "print", "silent"]


class SourceError(Exception):
    """A construct that cannot be read; ``position`` is its offset in the source."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the source, ``[start, end)``.

    ``literal`` is text as written, ``raw`` text inside ``{% raw %}``, ``print`` a construct that prints, ``silent``
    one that prints nothing, or a whole comment.
    """

    kind: Kind
    start: int
    end: int
    tag: str = ""


def pieces(source: str) -> list[Piece]:
    """Return the pieces of ``source``, in order, without a gap.

    Raises:
        SourceError: A construct is never closed, longer than 1,000 characters, or a tag without a name.
    """
    found: list[Piece] = []
    position = 0
    while opening := _OPENING.search(source, position):
        start = opening.start()
        if start > position:
            found.append(Piece("literal", position, start))
        if (raw := _RAW.match(source, start)) is not None:
            found.extend(_enclosed(source, raw))
        elif source.startswith("{{", start):
            found.append(Piece("print", start, _closed(source, start, "}}")))
        else:
            end = _closed(source, start, "%}")
            if (name := _TAG_NAME.match(source, start)) is None:
                raise SourceError(start, "this {% has no tag's name behind it")
            tag = name[1]
            found.append(Piece("print" if tag in _PRINTING_TAGS else "silent", start, end, tag))
        position = found[-1].end
    if position < len(source):
        found.append(Piece("literal", position, len(source)))
    return _without_comments(found)


def _closed(source: str, start: int, closing: str) -> int:
    end = source.find(closing, start + 2)
    if end < 0:
        raise SourceError(start, f"this {source[start : start + 2]} is never closed by {closing}")
    if end - start > MAX_CONSTRUCT:
        raise SourceError(start, f"what stands between Liquid's braces may have {MAX_CONSTRUCT:,} characters")
    return end + 2


def _enclosed(source: str, opening: re.Match[str]) -> list[Piece]:
    name = opening[1]
    closing = _END[name].search(source, opening.end())
    if closing is None:
        raise SourceError(opening.start(), f"this {{% {name} %}} is never closed by {{% end{name} %}}")
    inside: Kind = "raw" if name == "raw" else "silent"
    return [
        Piece("silent", opening.start(), opening.end(), name),
        Piece(inside, opening.end(), closing.start()),
        Piece("silent", closing.start(), closing.end(), f"end{name}"),
    ]


def _without_comments(found: list[Piece]) -> list[Piece]:
    """Return the pieces with all that stands between ``comment`` and its ``endcomment`` made silent."""
    depth = 0
    opened_at = 0
    result: list[Piece] = []
    for piece in found:
        if depth and piece.tag == "endcomment":
            depth -= 1
        result.append(Piece("silent", piece.start, piece.end) if depth else piece)
        if piece.tag == "comment":
            opened_at = opened_at if depth else piece.start
            depth += 1
    if depth:
        raise SourceError(opened_at, "this {% comment %} is never closed by {% endcomment %}")
    return result


class Visible:
    """The source without its Liquid, and the way back from a place in it to the place in the source.

    Attributes:
        text: What prints nothing is gone, whatever prints is one ``PRINTED`` character.
    """

    def __init__(self, source: str) -> None:
        """Read ``source``.

        Raises:
            SourceError: As ``pieces``.
        """
        self.source = source
        self._starts: list[int] = []
        self._pieces: list[Piece] = []
        texts: list[str] = []
        length = 0
        for piece in pieces(source):
            if piece.kind == "silent" or piece.start == piece.end:
                continue
            text = PRINTED if piece.kind == "print" else source[piece.start : piece.end]
            self._starts.append(length)
            self._pieces.append(piece)
            texts.append(text)
            length += len(text)
        self.text = "".join(texts)

    def piece(self, index: int) -> Piece:
        """Return the piece that character ``index`` of the text comes from."""
        return self._pieces[bisect_right(self._starts, index) - 1]

    def start(self, index: int) -> int:
        """Return where character ``index`` of the text begins in the source; at its end, the source's length."""
        if index >= len(self.text):
            return len(self.source)
        at = bisect_right(self._starts, index) - 1
        piece = self._pieces[at]
        return piece.start if piece.kind == "print" else piece.start + index - self._starts[at]

    def end(self, index: int) -> int:
        """Return where character ``index`` of the text ends in the source."""
        piece = self.piece(index)
        return piece.end if piece.kind == "print" else self.start(index) + 1


def line_of(source: str, position: int) -> int:
    """Return the line, counted from 1, that ``position`` is on."""
    return source.count("\n", 0, max(position, 0)) + 1
