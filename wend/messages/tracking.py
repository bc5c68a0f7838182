"""Putting tracked addresses in the place of destinations while a part is rendered: one tag for HTML, one filter."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TextIO

from liquid import BlockNode, Node, RenderContext, Tag, TokenStream
from liquid.filter import with_context
from liquid.parser import get_parser
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG, Token

from wend.messages.anchors import END_HREF_TAG, HREF_TAG
from wend.messages.destinations import is_dangerous, normalised, refusal
from wend.messages.errors import LinkError, Part, RenderError
from wend.messages.limits import BoundedContext, bounded_environment
from wend.messages.markup import escaped, unescaped

Track = Callable[[int, str], str]


@dataclass(frozen=True, slots=True)
class RenderedLink:
    """A link of one rendered message: its number, its name and where it leads."""

    number: int
    name: str
    destination: str


@dataclass(frozen=True, slots=True)
class Mention:
    """One place in a part's source that leads somewhere; number 0 is a link that is not tracked."""

    line: int
    name: str
    number: int


class LinkLog:
    """The links that one rendering contains, each tracked once."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._links: dict[int, RenderedLink] = {}
        self._addresses: dict[int, str] = {}

    def links(self) -> tuple[RenderedLink, ...]:
        """Return the links, by number."""
        return tuple(self._links[number] for number in sorted(self._links))

    def address(self, part: Part, mention: Mention, destination: str) -> str:
        """Return the tracked address for a destination.

        Raises:
            LinkError: It may not be stored, or the name already leads elsewhere in this message.
        """
        if reason := refusal(destination):
            raise LinkError(part, mention.line, mention.name, reason)
        known = self._links.get(mention.number)
        if known is None:
            self._links[mention.number] = RenderedLink(mention.number, mention.name, destination)
            self._addresses[mention.number] = self._track(mention.number, destination)
        elif known.destination != destination:
            raise LinkError(part, mention.line, mention.name, "it has two destinations in this message")
        return self._addresses[mention.number]


@dataclass(frozen=True, slots=True)
class PartLinks:
    """What tag and filter need to know while they render a part."""

    part: Part
    log: LinkLog
    mentions: Mapping[str, Mention] = field(default_factory=dict)

    def href(self, index: str, written: str) -> str:
        """Return what goes between the quotes of an ``href``, given what the template printed there."""
        mention = self.mentions[index]
        destination = normalised(unescaped(written))
        if mention.number:
            return escaped(self.log.address(self.part, mention, destination))
        if is_dangerous(destination):
            raise RenderError(self.part, mention.line, "the destination of an untracked link would run something")
        return written

    def text(self, name: str, destination: str) -> str:
        """Return what stands for a link in a text."""
        return self.log.address(self.part, self.mentions[name], normalised(destination))


def part_links(context: RenderContext) -> PartLinks:
    """Return what a rendering knows of its links."""
    assert isinstance(context, BoundedContext)
    assert isinstance(context.state, PartLinks), "a template with links is rendered with its links"
    return context.state


class HrefNode(Node):
    """A destination in HTML: prints the tracked address of what the block prints."""

    __slots__ = ("block", "index")

    def __init__(self, token: Token, index: str, block: BlockNode) -> None:
        super().__init__(token)
        self.index = index
        self.block = block
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Print the address."""
        written = context.get_buffer(buffer)
        self.block.render(context, written)
        return buffer.write(part_links(context).href(self.index, written.getvalue()))

    def children(self, static_context: RenderContext, *, include_partials: bool = True) -> Iterable[Node]:
        """Return the block."""
        yield self.block


class HrefTag(Tag):
    """``{% wend_href 3 %}…{% endwend_href %}``, which only we write: around the destination of anchor 3."""

    name = HREF_TAG
    end = END_HREF_TAG

    def parse(self, stream: TokenStream) -> HrefNode:
        """Read the tag and its block."""
        token = stream.eat(TOKEN_TAG)
        index = stream.eat(TOKEN_EXPRESSION).value
        block = get_parser(self.env).parse_block(stream, frozenset((END_HREF_TAG,)))
        stream.expect(TOKEN_TAG, value=END_HREF_TAG)
        return HrefNode(token, index, block)


@with_context
def link(value: object, name: str, *, context: RenderContext) -> str:
    """Print the tracked address of a destination."""
    return part_links(context).text(name, str(value))


SUBJECT: Final = bounded_environment(autoescape=False, filters={})
TEXT: Final = bounded_environment(autoescape=False, filters={"link": link})
HTML: Final = bounded_environment(autoescape=True, filters={})
HTML.add_tag(HrefTag)
