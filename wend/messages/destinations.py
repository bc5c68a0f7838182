"""Where a link leads: which destinations may be stored and redirected to."""

import re
from typing import Final
from urllib.parse import urlsplit

MAX_DESTINATION: Final = 2_048  # characters

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENDS = "".join(map(chr, range(0x21)))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_UNTRACKED = ("mailto:", "tel:", "#")
_DANGEROUS = frozenset({"javascript", "data", "vbscript", "file"})
_HOST = re.compile(r"[\w.:-]*\w[\w.:-]*")


def normalised(text: str) -> str:
    """Return an address as browsers read it: no space around it, no line break or tab in it, ``%20`` for a space."""
    return re.sub(r"[\t\n\r]", "", text.strip(_ENDS)).replace(" ", "%20")


def is_untracked(address: str) -> bool:
    """Say whether the (beginning of the) address is of a kind that is never tracked: mail, telephone, same page."""
    return normalised(address).lower().startswith(_UNTRACKED)


def is_dangerous(address: str) -> bool:
    """Say whether the address would run or read something instead of leading somewhere."""
    scheme = _SCHEME.match(normalised(address))
    return scheme is not None and scheme[1].lower() in _DANGEROUS


def refusal(destination: str) -> str | None:
    """Return why a normalised destination may not be tracked, without quoting it; None if it may."""
    if not destination:
        return "it has no destination"
    if len(destination) > MAX_DESTINATION:
        return f"its destination has more than {MAX_DESTINATION:,} characters"
    if _CONTROL.search(destination) or "\\" in destination:
        return "its destination contains a control character or a backslash"
    try:
        parts = urlsplit(destination)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its destination is not a valid address"
    if parts.scheme not in ("http", "https"):
        return "its destination does not begin with http:// or https://"
    if not host:
        return "its destination has no host"
    if "@" in parts.netloc:
        return "its destination contains a user name"
    if not _HOST.fullmatch(host):
        return "its destination has a host that cannot be one"
    return None
