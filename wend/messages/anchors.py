"""The links of an HTML template: where their destinations stand in the source, and what they are called.

Links are looked for in the source and not in what was rendered: their names and numbers are then the same for
everybody, and nothing that a profile's data prints can become one.
"""

import re
from dataclasses import dataclass
from typing import Final

from wend.errors import Problem
from wend.messages.destinations import is_dangerous, is_untracked, normalised, refusal
from wend.messages.errors import where
from wend.messages.markup import Attribute, Comment, MarkupError, Tag, markup, unescaped
from wend.messages.source import PRINTED, SourceError, Visible, line_of

HREF_TAG: Final = "wend_href"
END_HREF_TAG: Final = "endwend_href"

_LINK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_AUTOMATIC_NAME = re.compile(r"link-[0-9]+", re.ASCII)
_LINKING = frozenset({"a", "area"})
_BLOCKS = frozenset({"if", "unless", "case", "for", "tablerow", "capture", "ifchanged"})
_MIDDLES = frozenset({"else", "elsif", "when"})
_TAG = re.compile(r"\{%-?\s*(\w+)")
_CONDITIONAL_LINK = re.compile(r"<!--\[if.*?<a[\s>]", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Anchor:
    """One destination of one ``<a>`` (or ``<area>``) in the source.

    Attributes:
        line: Where the tag begins.
        start, end: The destination's place in the source, without its quotes.
        in_raw: It stands inside ``{% raw %}``.
        name: As given in ``data-link``; None if it has none.
        literal: The destination, if no Liquid is in it.
        tracked: Not so for mail, telephone, same-page and ``data-track="off"`` links that print something.
    """

    line: int
    start: int
    end: int
    in_raw: bool
    name: str | None
    literal: str | None
    tracked: bool


@dataclass(frozen=True)
class Anchors:
    """What was found in an HTML template: anchors in order, problems, and remarks that forbid nothing."""

    found: tuple[Anchor, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...]


class _Refused(Exception):
    """This tag's link cannot be used; the text says why."""


def name_problem(name: str) -> str | None:
    """Return why a link may not be called this; None if it may."""
    if not _LINK_NAME.fullmatch(name):
        return "a link's name has up to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit"
    if _AUTOMATIC_NAME.fullmatch(name):
        return f"{name!r} is what a link without a name is called; choose another name"
    return None


def find_anchors(source: str) -> Anchors:
    """Return the links of an HTML template. Links in comments, scripts and styles are none."""
    found: list[Anchor] = []
    problems: list[Problem] = []
    remarks: list[Problem] = []
    try:
        visible = Visible(source)
    except SourceError as error:
        return Anchors((), (_problem(source, error.position, error.reason),), ())
    try:
        for item in markup(visible.text):
            if isinstance(item, Comment):
                if _CONDITIONAL_LINK.match(visible.text, item.start, item.end):
                    reason = "links in a conditional comment for Outlook are not tracked"
                    remarks.append(_problem(source, visible.start(item.start), reason))
            elif isinstance(item, Tag) and item.name.split(PRINTED)[0] in _LINKING:
                try:
                    found.extend(_anchors(visible, item))
                except _Refused as refused:
                    problems.append(_problem(source, visible.start(item.start), str(refused)))
    except MarkupError as error:
        problems.append(_problem(source, visible.start(error.position), error.reason))
    return Anchors(tuple(found), tuple(problems), tuple(remarks))


def rewritten(source: str, anchors: tuple[Anchor, ...]) -> str:
    """Return the source with each anchor's destination inside a block ``wend_href`` of the anchor's index."""
    out: list[str] = []
    position = 0
    for index, anchor in enumerate(anchors):
        opening, closing = f"{{% {HREF_TAG} {index} %}}", f"{{% {END_HREF_TAG} %}}"
        if anchor.in_raw:
            opening = f"{{% endraw %}}{opening}{{% raw %}}"
            closing = f"{{% endraw %}}{closing}{{% raw %}}"
        out += [source[position : anchor.start], opening, source[anchor.start : anchor.end], closing]
        position = anchor.end
    return "".join(out) + source[position:]


def _anchors(visible: Visible, tag: Tag) -> list[Anchor]:
    """Return the anchors of one tag: none, one, or several if Liquid chooses between several ``href``."""
    by_name: dict[str, list[Attribute]] = {}
    for attribute in tag.attributes:
        if set(attribute.name) & {'"', "'", "<"}:
            raise _Refused("a quote or < stands where an attribute's name should; write quotes around whole values")
        by_name.setdefault(attribute.name, []).append(attribute)
    hrefs = by_name.get("href", [])
    name = _constant(visible, by_name.get("data-link", []))
    track = _constant(visible, by_name.get("data-track", []))
    if name is not None and (problem := name_problem(name)):
        raise _Refused(problem)
    if track not in (None, "on", "off"):
        raise _Refused('data-track is "on" (as without it) or "off"')
    if not hrefs:
        if name is not None:
            raise _Refused(f"link {name!r} has no href")
        return []
    if len(hrefs) > 1 and "{%" not in visible.source[visible.start(tag.start) : visible.start(tag.end)]:
        raise _Refused("it has more than one href")
    anchors = [_anchor(visible, tag, href, name, off=track == "off") for href in hrefs]
    return [anchor for anchor in anchors if anchor.tracked or anchor.literal is None]


def _constant(visible: Visible, attributes: list[Attribute]) -> str | None:
    """Return the value of an attribute that names something: publish checks read it, so no Liquid may be in it."""
    if not attributes:
        return None
    values = {unescaped(visible.text[each.start : each.end]).strip() for each in attributes}
    if len(values) > 1 or any(_has_liquid(visible, *_span(visible, each)) for each in attributes):
        raise _Refused(f"{attributes[0].name} is a plain text, once, without Liquid")
    return values.pop()


def _anchor(visible: Visible, tag: Tag, href: Attribute, name: str | None, *, off: bool) -> Anchor:
    start, end = _span(visible, href)
    opening = visible.piece(href.start - 1 if href.quote else href.start)
    closing = visible.piece(href.end if href.quote else max(href.end - 1, href.start))
    if opening is not closing and "raw" in (opening.kind, closing.kind):
        raise _Refused("its href begins or ends inside of {% raw %}")
    in_raw = opening.kind == "raw"
    dynamic = not in_raw and _has_liquid(visible, start, end)
    if dynamic and not href.quote:
        raise _Refused("its href has Liquid in it and must stand in quotes")
    if dynamic and not _is_balanced(visible.source[start:end]):
        raise _Refused("Liquid blocks that begin in its href must end in it")
    # Up to its first Liquid the destination is known, and that may be enough to tell of what kind it is.
    written = visible.source[start:end]
    known = normalised(unescaped(written.split("{", 1)[0] if dynamic else written))
    if is_dangerous(known):
        raise _Refused("its destination would run a script or read a file")
    tracked = not off and not is_untracked(known)
    if not tracked and name is not None:
        raise _Refused(f"link {name!r} has a name, but mail, telephone, same-page and untracked links are not counted")
    if tracked and not dynamic and (reason := refusal(known)):
        raise _Refused(f'{reason}; mark it data-track="off" if that is meant')
    line = line_of(visible.source, visible.start(tag.start))
    return Anchor(line, start, end, in_raw, name, None if dynamic else known, tracked)


def _span(visible: Visible, attribute: Attribute) -> tuple[int, int]:
    """Return the source's ``[start, end)`` of an attribute's value, with all Liquid between its quotes."""
    if attribute.quote:
        return visible.end(attribute.start - 1), visible.start(attribute.end)
    if attribute.start == attribute.end:
        return visible.start(attribute.start), visible.start(attribute.start)
    return visible.start(attribute.start), visible.end(attribute.end - 1)


def _has_liquid(visible: Visible, start: int, end: int) -> bool:
    fragment = visible.source[start:end]
    return "{{" in fragment or "{%" in fragment


def _is_balanced(fragment: str) -> bool:
    depth = 0
    for tag in _TAG.findall(fragment):
        if tag in _BLOCKS:
            depth += 1
        elif tag.startswith("end") and tag[3:] in _BLOCKS:
            depth -= 1
        if depth < 0 or (depth == 0 and tag in _MIDDLES):
            return False
    return depth == 0


def _problem(source: str, position: int, reason: str) -> Problem:
    return Problem(where("html", line_of(source, position)), reason)
