"""Who asks: the header that says so, for the audit log."""

from typing import Annotated, Final

from fastapi import Header
from pydantic import AfterValidator

UNNAMED: Final = "api"
"""Who asks without saying who they are."""

MOST_CHARACTERS: Final = 100


def _name(header: str) -> str:
    if header == UNNAMED:
        return header
    try:
        name = header.encode("latin-1").decode()  # headers come as bytes, and are read as Latin-1
    except UnicodeError as error:
        raise ValueError("is no UTF-8") from error
    if not name.strip() or not name.isprintable() or len(name) > MOST_CHARACTERS:
        raise ValueError(f"write a name of 1 to {MOST_CHARACTERS} printable characters")
    return name


Actor = Annotated[
    str,
    AfterValidator(_name),
    Header(
        alias="Wend-Actor",
        description=f"Who asks, for the audit log: printable UTF-8, at most {MOST_CHARACTERS} characters.",
        examples=["ada"],
    ),
]
"""Defaults to ``UNNAMED``."""
