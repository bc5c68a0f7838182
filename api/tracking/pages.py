"""What a recipient sees whose link leads nowhere."""

from html import escape
from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1.5rem}}</style>
</head>
<body><h1>{title}</h1><p>{text}</p></body>
</html>
"""

NOT_FOUND: Final = (
    "This link does not work",
    "It may have been cut off on its way. Open the message again and follow the link from there.",
)
NOT_NOW: Final = ("This link does not work right now", "Please try again in a minute.")


def page(title: str, text: str) -> str:
    """Return a small page."""
    return _PAGE.format(title=escape(title), text=escape(text))
