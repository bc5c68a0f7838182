"""What a provider said, without the people it said it about.

Providers like to quote: the address, its local part, the subject, a link out of the body. An outcome's detail
goes into the ledger and the log, where none of these may stand.
"""

import re
from collections.abc import Iterable

_LONGEST = 200

_PATTERNS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "[link]"),
    (re.compile(r"\S*@\S*"), "[address]"),
    (re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`"), "[quoted]"),
    # Seven characters at least, so that codes such as 5.7.1 stay and telephone numbers go.
    (re.compile(r"\+?\(?\d[\d\s().-]{5,}\d"), "[number]"),
)


def scrub(answer: str, known: Iterable[str] = ()) -> str:
    """Return a provider's words on one line, at most 200 characters, without addresses and quotations.

    Args:
        answer: What the provider said.
        known: What must not be repeated whatever it looks like: address, local part, subject. Parts shorter
            than three characters are let through, since they would blot out ordinary words.
    """
    text = " ".join("".join(char if char.isprintable() else " " for char in answer).split())
    for part in sorted({" ".join(part.split()) for part in known}, key=len, reverse=True):
        if len(part) >= 3:
            text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "[…]", text, flags=re.IGNORECASE)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def parts_of_address(address: str) -> tuple[str, ...]:
    """Return the address and what of it still names its owner: local part, with and without tag, and domain."""
    local, _, domain = address.rpartition("@")
    return (address, local, local.partition("+")[0], domain)
