"""Whether a message is ready to be sent: every problem at once, each with its place."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

from wend.errors import Problem
from wend.messages.compiled import compiled
from wend.messages.content import MessageContent, SmsContent
from wend.messages.context import MessageContext
from wend.messages.errors import RenderError, where
from wend.messages.links import Rendered, render
from wend.messages.source import SourceError, line_of, pieces
from wend.messages.templates import sources
from wend.messages.tokens import TOKEN_LENGTH

# Gmail shows no more of a message than this.
CLIPPED_AT: Final = 102_400  # bytes

_GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_PLAIN_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)

Encoding = Literal["GSM-7", "UCS-2"]


def check_message(
    content: MessageContent, sample: MessageContext | None = None, link_base: str = "https://example.com/c/"
) -> list[Problem]:
    """Return everything that is wrong with a message (errors, first) or worth knowing (warnings).

    With a ``sample`` the message is rendered as well, which finds unknown attributes, and destinations that come
    out wrong or differ under one name. ``link_base`` is what tracked links begin with; it counts in an SMS.
    """
    message = compiled(content)
    errors: list[Problem] = list(message.problems)
    warnings = [*message.remarks, *_untracked_addresses(content)]
    if sample is not None and not errors:
        try:
            rendered = render(content, sample, lambda number, destination: link_base + "x" * TOKEN_LENGTH)
        except RenderError as error:
            problem = Problem(where(error.part, error.line), f"{error.reason} (for the sample profile)")
            errors.append(problem)
        else:
            warnings += _rendered_warnings(content, rendered)
    return [*errors, *(replace(problem, severity="warning") for problem in warnings)]


def preview(content: MessageContent, context: MessageContext) -> Rendered:
    """Return the message as this profile would get it, its links leading straight to their destinations.

    Raises:
        RenderError: The message cannot be made for this profile and run.
        InvalidDocument: The content itself cannot be used.
    """
    return render(content, context, lambda number, destination: destination)


def sms_encoding(text: str) -> Encoding:
    """Return how a text travels: one character outside of GSM-7 makes all of it UCS-2, with less than half the room."""
    return "GSM-7" if all(each in _GSM_BASIC or each in _GSM_EXTENDED for each in text) else "UCS-2"


def sms_segments(text: str) -> int:
    """Return in how many parts a text travels, each of which is paid for.

    160 septets of GSM-7 or 70 units of UCS-2 fit into one; of several, each holds 153 or 67. Extension characters
    (``€``, ``[``) take two septets and characters beyond the basic plane two units; neither is cut in two. An empty
    text is one part.
    """
    if sms_encoding(text) == "GSM-7":
        return _parts((2 if each in _GSM_EXTENDED else 1 for each in text), alone=160, joined=153)
    return _parts((2 if ord(each) > 0xFFFF else 1 for each in text), alone=70, joined=67)


def _parts(widths: Iterator[int], *, alone: int, joined: int) -> int:
    total, parts, used = 0, 1, 0
    for width in widths:
        total += width
        if used + width > joined:
            parts, used = parts + 1, 0
        used += width
    return 1 if total <= alone else parts


def _rendered_warnings(content: MessageContent, rendered: Rendered) -> Iterator[Problem]:
    if not isinstance(content, SmsContent):
        size = len((rendered.html or "").encode())
        if size > CLIPPED_AT:
            yield Problem("html", f"it comes out with {size:,} bytes; some mail programs cut after {CLIPPED_AT:,}")
        return
    segments = sms_segments(rendered.text)
    if segments > 1:
        unusual = sorted({each for each in rendered.text if sms_encoding(each) == "UCS-2"})
        because = f", because of {' '.join(unusual[:5])}" if unusual else ""
        encoding = sms_encoding(rendered.text)
        yield Problem("text", f"it is sent (and paid) as {segments} parts for the sample profile: {encoding}{because}")


def _untracked_addresses(content: MessageContent) -> Iterator[Problem]:
    for part, source in sources(content):
        if part != "text":
            continue
        try:
            literals = [piece for piece in pieces(source) if piece.kind in ("literal", "raw")]
        except SourceError:
            return  # among the errors already
        for piece in literals:
            for match in _PLAIN_ADDRESS.finditer(source, piece.start, piece.end):
                remedy = "{{ 'https://…' | link: 'a-name' }} would be"
                yield Problem(where(part, line_of(source, match.start())), f"this address is not tracked; {remedy}")
