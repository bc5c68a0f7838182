"""What rendering a message may refuse.

RenderError          this message cannot be made for this profile and run
└── LinkError        because of one of its links

Both say where and why without quoting what was printed: they travel into histories and logs, where no attribute
value belongs.
"""

from typing import Literal

from wend.errors import WendError

Part = Literal["subject", "html", "text"]


def where(part: Part, line: int | None) -> str:
    """Return the place as people say it: ``html line 12``."""
    return part if line is None else f"{part} line {line}"


class RenderError(WendError):
    """The message cannot be made for this profile and run; another profile may do.

    Attributes:
        part: ``subject``, ``html`` or ``text`` (the only part of an SMS).
        line: Line in the part's source, counted from 1; None when it is the part as a whole.
        reason: What is wrong, without any printed value.
    """

    def __init__(self, part: Part, line: int | None, reason: str) -> None:
        super().__init__(f"{where(part, line)}: {reason}")
        self.part = part
        self.line = line
        self.reason = reason


class LinkError(RenderError):
    """A link of the message leads nowhere that may be stored.

    Attributes:
        link: The link's name, ``product-details`` or ``link-2``.
    """

    def __init__(self, part: Part, line: int | None, link: str, reason: str) -> None:
        super().__init__(part, line, f"link {link!r}: {reason}")
        self.link = link
