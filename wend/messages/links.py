"""Links of a message: named, numbered, tracked; and the message rendered with them.

A link is what is called the same: ``<a data-link="product-details" href="…">`` in HTML,
``{{ url | link: 'product-details' }}`` in text. Without a name it is ``link-1``, ``link-2``, … in the order of the
source, HTML before text. A name has one destination in one message. Numbers, from 1, follow the order in which
names first come up; they are the same for everybody, also for links that a condition leaves out.

Not tracked are ``mailto:``, ``tel:`` and ``#`` links, those marked ``data-track="off"``, links in comments
(Outlook's conditional ones too), and addresses that stand in a text without the filter.
"""

import re
from dataclasses import dataclass
from typing import Final

from wend.errors import InvalidDocument
from wend.messages.compiled import CompiledMessage, compiled
from wend.messages.content import MessageContent, SmsContent
from wend.messages.context import MessageContext
from wend.messages.errors import LinkError, Part, RenderError
from wend.messages.markup import MarkupError, text_of
from wend.messages.source import line_of
from wend.messages.tracking import LinkLog, PartLinks, RenderedLink, Track

__all__ = ["LinkError", "RenderError", "Rendered", "RenderedLink", "Track", "declared_links", "render"]

MAX_SUBJECT_LINE: Final = 900  # characters; a line of a header may have 998
MAX_SMS_TEXT: Final = 1_600  # characters; ten parts

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as it goes to one person.

    ``subject`` and ``html`` are None for an SMS. ``links`` are those that this rendering contains, by number.
    """

    subject: str | None
    html: str | None
    text: str
    sender: str | None
    reply_to: str | None
    links: tuple[RenderedLink, ...]


def declared_links(content: MessageContent) -> tuple[str, ...]:
    """Return the names of the message's links; the link with number n is the n-th.

    Raises:
        InvalidDocument: Templates or links of the message cannot be used; lists every problem.
    """
    return _usable(content).names


def render(content: MessageContent, context: MessageContext, track: Track) -> Rendered:
    """Return the message for one profile and run.

    ``track`` is given a link's number and destination and returns the address to put in its place; it is called
    once for every link that the rendering contains.

    Raises:
        RenderError: The message cannot be made for this profile and run.
        LinkError: The same, because of where one of its links leads.
        InvalidDocument: The content itself cannot be used; never so for content that passed its checks.
    """
    message = _usable(content)
    log = LinkLog(track)
    names = context.namespace()
    printed: dict[Part, str] = {}
    for template in message.templates:
        links = PartLinks(template.part, log, message.mentions.get(template.part, {}))
        printed[template.part] = template.render(names, links)
    if isinstance(content, SmsContent):
        return Rendered(None, None, _sms_text(printed["text"]), content.sender, None, log.links())
    html = printed["html"]
    text = printed["text"] if "text" in printed else _derived_text(html)
    return Rendered(_subject(printed["subject"]), html, text, content.sender, content.reply_to, log.links())


def _usable(content: MessageContent) -> CompiledMessage:
    message = compiled(content)
    if message.problems:
        raise InvalidDocument("The message", message.problems)
    return message


def _subject(printed: str) -> str:
    """Return the subject without space around it: one line, or somebody could write headers of their own."""
    subject = printed.strip()
    if not subject:
        raise RenderError("subject", None, "it comes out empty")
    if _CONTROL.search(subject):
        raise RenderError("subject", None, "it comes out as more than one line, or with control characters")
    if len(subject) > MAX_SUBJECT_LINE:
        raise RenderError("subject", None, f"it comes out with more than {MAX_SUBJECT_LINE} characters")
    return subject


def _sms_text(printed: str) -> str:
    text = printed.strip()
    if not text:
        raise RenderError("text", None, "it comes out empty")
    if len(text) > MAX_SMS_TEXT:
        raise RenderError("text", None, f"it comes out with more than {MAX_SMS_TEXT:,} characters")
    return text


def _derived_text(html: str) -> str:
    try:
        return text_of(html)
    except MarkupError as error:
        reason = f"no text can be made of the HTML that was printed (there in line {line_of(html, error.position)})"
        raise RenderError("html", None, f"{reason}: {error.reason}") from None
