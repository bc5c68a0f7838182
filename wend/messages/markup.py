"""HTML as it is written: tags with the places of their attributes, and the text of a page.

Reads as browsers do where that matters for links (comments, raw text elements, entities in attributes) and refuses
what is never closed. The standard library's parser is not used: it needs quadratic time for tags that are not
closed (16 s for 40 kB), says nothing of where attributes stand, drops tags that it finds odd, and reads some
documents otherwise from one patch release to the next, so that links would change their numbers.
"""

import html
import html.entities
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_SPACE = " \t\n\r\f"
_COMMENT_END = re.compile(r"--!?>")
_TAG_NAME = re.compile(rf"[A-Za-z][^{_SPACE}/>]*+")
_ATTRIBUTE = re.compile(
    rf"""[{_SPACE}/]*+
    (?:
      (?P<end>>)
    | (?P<name>[^{_SPACE}/>][^{_SPACE}/>=]*+)
      (?:[{_SPACE}]*+=[{_SPACE}]*+
        (?:"(?P<double>[^"]*+)" | '(?P<single>[^']*+)' | (?P<bare>(?!["'])[^{_SPACE}>]*+))
      )?+
      (?P<unclosed>[{_SPACE}]*+=[{_SPACE}]*+["'])?+
    )""",
    re.VERBOSE,
)
# What these hold is text, whatever it looks like.
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
_REFERENCE = re.compile(r"&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+);?|[A-Za-z][A-Za-z0-9]*+(?P<semicolon>;?)(?P<equals>=?))")

Quote = Literal['"', "'", ""]


class MarkupError(Exception):
    """Something is opened and never closed; ``position`` is where it opens."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; ``name`` in lower case, the value between its quotes is ``[start, end)``, still escaped.

    Without a value (``<a href>``) start and end are the end of the name and ``has_value`` is false.
    """

    name: str
    start: int
    end: int
    quote: Quote
    has_value: bool


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag, ``[start, end)``; ``name`` in lower case."""

    name: str
    start: int
    end: int
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment or declaration, Outlook's conditional ones included, ``[start, end)``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class EndTag:
    """An end tag; ``name`` in lower case."""

    name: str
    start: int
    end: int


Markup = Tag | EndTag | Comment


def markup(text: str) -> Iterator[Markup]:
    """Yield the tags and comments of ``text`` in order, in linear time.

    Raises:
        MarkupError: A tag, a quoted value, a comment or an element like ``<style>`` is never closed.
    """
    position = 0
    while (start := text.find("<", position)) >= 0:
        following = text[start + 1 : start + 2]
        if text.startswith("<!--", start):
            yield (comment := _comment(text, start))
            position = comment.end
        elif following.isascii() and following.isalpha():
            yield (tag := _tag(text, start))
            position = tag.end
            if (closing := _RAW_TEXT.get(tag.name)) is not None:
                if (match := closing.search(text, position)) is None:
                    raise MarkupError(start, f"this <{tag.name}> is never closed by </{tag.name}>")
                position = match.start()
        elif following and following in "!?/":
            position = _end(text, start)
            name = _TAG_NAME.match(text, start + 2) if following == "/" else None
            # What is no end tag (a doctype, Outlook's <![if !mso]>) is a comment to browsers.
            yield Comment(start, position) if name is None else EndTag(name[0].lower(), start, position)
        else:
            position = start + 1


def _comment(text: str, start: int) -> Comment:
    for short in ("<!-->", "<!--->"):
        if text.startswith(short, start):
            return Comment(start, start + len(short))
    if (match := _COMMENT_END.search(text, start + 4)) is None:
        raise MarkupError(start, "this comment is never closed by -->")
    return Comment(start, match.end())


def _end(text: str, start: int) -> int:
    end = text.find(">", start)
    if end < 0:
        raise MarkupError(start, f"this {text[start : start + 2]} is never closed by >")
    return end + 1


def _tag(text: str, start: int) -> Tag:
    name = _TAG_NAME.match(text, start + 1)
    assert name is not None, "a tag begins with a letter"
    attributes: list[Attribute] = []
    position = name.end()
    while (match := _ATTRIBUTE.match(text, position)) is not None:
        if match["end"]:
            return Tag(name[0].lower(), start, match.end(), tuple(attributes))
        if match["unclosed"] is not None:
            break
        attributes.append(_attribute(match))
        position = match.end()
    raise MarkupError(start, f"this <{name[0]}> is never closed: look for a missing > or quote")


def _attribute(match: re.Match[str]) -> Attribute:
    quotes: tuple[tuple[str, Quote], ...] = (("double", '"'), ("single", "'"), ("bare", ""))
    for group, quote in quotes:
        if match[group] is not None:
            return Attribute(match["name"].lower(), *match.span(group), quote, has_value=True)
    end = match.end("name")
    return Attribute(match["name"].lower(), end, end, "", has_value=False)


def unescaped(value: str) -> str:
    """Return an attribute's value without its entities, as browsers read it.

    In attributes ``&reg`` in ``?a=1&region=2`` stays what it is; ``html.unescape`` would make a trade mark of it.
    """

    def character(match: re.Match[str]) -> str:
        reference = match[0]
        if reference.startswith("&#"):
            return html.unescape(reference)
        name = reference[1:].rstrip("=")
        if name not in html.entities.html5 or (match["equals"] and not match["semicolon"]):
            return reference
        return html.entities.html5[name] + match["equals"]

    return _REFERENCE.sub(character, value)


def escaped(value: str) -> str:
    """Return ``value`` as it may stand in an attribute, within either quotes."""
    return html.escape(value, quote=True)


_HIDDEN = frozenset({"head", "template"}) | frozenset(_RAW_TEXT)
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "hr"})
_LINES = frozenset({"br", "div", "tr", "li", "section", "article", "header", "footer", "dt", "dd", "center"})
_EDGES = re.compile(r" *\n *")


def text_of(page: str) -> str:
    """Return the text of an HTML page for the plain part of a mail: ``shown text (address)`` for links.

    Raises:
        MarkupError: As ``markup``.
    """
    out: list[str] = []
    destinations: list[str] = []
    hidden: str | None = None
    position = 0
    for item in markup(page):
        if hidden is None:
            out.append(re.sub(r"\s+", " ", html.unescape(page[position : item.start])))
        position = item.end
        if isinstance(item, Comment):
            continue
        if hidden is not None:
            # </head> may be left out: the body ends it too.
            if item.name == (hidden if isinstance(item, EndTag) else "body"):
                hidden = None
        elif isinstance(item, EndTag):
            if item.name == "a" and destinations and (destination := destinations.pop()):
                out.append(f" ({destination})")
            out.append(_break(item.name))
        else:
            hidden = item.name if item.name in _HIDDEN else None
            out.append(_opened(page, item, destinations))
    out.append(re.sub(r"\s+", " ", html.unescape(page[position:])))
    text = _EDGES.sub("\n", re.sub(r" {2,}", " ", "".join(out)))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _opened(page: str, tag: Tag, destinations: list[str]) -> str:
    values = {a.name: unescaped(page[a.start : a.end]) for a in reversed(tag.attributes)}
    if tag.name == "a":
        destination = values.get("href", "")
        destinations.append("" if destination.startswith("#") else destination.removeprefix("mailto:"))
    if tag.name == "img":
        return values.get("alt", "")
    return _break(tag.name) + ("- " if tag.name == "li" else "")


def _break(name: str) -> str:
    return "\n\n" if name in _PARAGRAPHS else "\n" if name in _LINES else ""
