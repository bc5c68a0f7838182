"""The inbox as HTML.

Everything in it was written by strangers: text is escaped where it is put in, an e-mail's own HTML is shown in a
sandboxed frame under a policy of its own, and the pages' policy lets nothing run but the sink's one script.
"""

import re
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from wend.sink.store import Counts, Stored

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
# No allow-scripts and no allow-same-origin: what an e-mail contains can be looked at and followed, nothing else.
HTML_PART_HEADERS = PAGE_HEADERS | {
    "Content-Security-Policy": (
        f"sandbox {_SANDBOX}; default-src 'none'; img-src http: https: data:; font-src http: https: data:; "
        "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
}
_CHANNELS = {"": "All", "email": "E-mail", "sms": "SMS"}
_URL = re.compile(r"https?://[^\s<>\"']+")
_HEAD = re.compile(r"<head(\s[^>]*)?>", re.IGNORECASE)


@dataclass(frozen=True)
class InboxView:
    """What the inbox is filtered by; empty strings filter nothing."""

    to: str = ""
    q: str = ""
    channel: str = ""

    def query(self) -> dict[str, str]:
        """Return the filters that are set, as parameters of the page's address."""
        return {name: value for name, value in vars(self).items() if value}


def inbox(messages: list[Stored], counts: Counts, view: InboxView, *, older: str | None, newest: bool) -> str:
    """Return the inbox page; only its newest page refreshes itself."""
    rows = "".join(_row(message) for message in messages)
    if not messages:
        hint = "No message matches. " if view.query() else "Nothing has been sent yet. "
        rows = f'<li class="empty">{hint}New messages appear here by themselves.</li>'
    total = f"{counts.messages:,} caught: {counts.email.messages:,} e-mail, {counts.sms.messages:,} SMS"
    copies = counts.email.duplicates + counts.sms.duplicates
    warning = f'<strong class="copies">{copies:,} duplicate{"" if copies == 1 else "s"}</strong>' if copies else ""
    pager = f'<nav aria-label="Pages"><a href="{escape(older)}">Older messages</a></nav>' if older else ""
    refresh = '<button type="button" id="refresh" aria-pressed="true" hidden>Auto-refresh</button>' if newest else ""
    body = f"""
<header><h1><a href="/">Wend sink</a></h1>{refresh}</header>
<main>
{_filters(view)}
<div id="live">
<p class="counts"><span>{total}</span> {warning}</p>
<ol class="messages" aria-label="Messages, newest first">{rows}</ol>
{pager}
</div>
</main>"""
    return _document("Wend sink", body, refreshing=newest)


def message(stored: Stored) -> str:
    """Return the page of one message: headers, text, and the HTML part in its frame."""
    facts = [("To", stored.recipient), ("From", stored.sender), ("Received", _when(stored))]
    if stored.message_id:
        facts.append(("Message id", stored.message_id))
    title = stored.subject or ("(no subject)" if stored.channel == "email" else "Text message")
    html = ""
    if stored.html:
        frame = f'<iframe src="/messages/{stored.id}/html" sandbox="{_SANDBOX}" title="HTML part"></iframe>'
        html = f"<section><h3>HTML</h3>{frame}</section>"
    text = f"<section><h3>Text</h3><pre>{_linked(stored.text)}</pre></section>" if stored.text else ""
    headers = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in stored.headers)
    body = f"""
<header><h1><a href="/">Wend sink</a></h1></header>
<main class="message">
<p><a href="/">← All messages</a></p>
<h2>{_badge(stored)} {escape(title)}</h2>
<dl class="facts">{"".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)}</dl>
{html}{text}
<details><summary>Headers</summary><dl class="headers">{headers}</dl></details>
<p><a href="/messages/{stored.id}/source">Source</a> · <a href="/api/messages/{stored.id}">JSON</a></p>
</main>"""
    return _document(f"{title} · Wend sink", body, refreshing=False)


def html_part(html: str) -> str:
    """Return the e-mail's HTML with its links opening in new tabs, which have no way back (noopener by default)."""
    base = '<base target="_blank">'
    if _HEAD.search(html):
        return _HEAD.sub(lambda found: found[0] + base, html, count=1)
    return f"<!doctype html>{base}{html}"


def _document(title: str, body: str, *, refreshing: bool) -> str:
    live = '<script src="/assets/inbox.js" defer></script>' if refreshing else ""
    if refreshing:
        live += '<noscript><meta http-equiv="refresh" content="10"></noscript>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/inbox.css">
{live}
</head>
<body>{body}
</body>
</html>
"""


def _filters(view: InboxView) -> str:
    tabs = ""
    for channel, label in _CHANNELS.items():
        query = urlencode(InboxView(view.to, view.q, channel).query())
        current = ' aria-current="page"' if channel == view.channel else ""
        tabs += f'<a href="/{"?" if query else ""}{escape(query)}"{current}>{label}</a>'
    hidden = f'<input type="hidden" name="channel" value="{view.channel}">' if view.channel else ""
    clear = '<a href="/">Clear</a>' if view.query() else ""
    return f"""<nav class="tabs" aria-label="Channel">{tabs}</nav>
<form role="search" method="get" action="/">{hidden}
<label>Recipient <input type="search" name="to" value="{escape(view.to)}" autocomplete="off"></label>
<label>Contains <input type="search" name="q" value="{escape(view.q)}" autocomplete="off"></label>
<button type="submit">Filter</button> {clear}
</form>"""


def _row(stored: Stored) -> str:
    preview = " ".join(stored.text.split())[:160]
    subject = stored.subject or ("(no subject)" if stored.channel == "email" else preview or "(empty)")
    more = preview if stored.subject else ""
    at = escape(_when(stored))
    return (
        f'<li><a href="/messages/{stored.id}">{_badge(stored)}<span class="to">{escape(stored.recipient)}</span>'
        f'<span class="what"><b>{escape(subject)}</b> <span class="preview">{escape(more)}</span></span>'
        f'<time datetime="{stored.received_at.isoformat()}">{at}</time></a></li>'
    )


def _badge(stored: Stored) -> str:
    return f'<span class="badge {stored.channel}">{_CHANNELS[stored.channel]}</span>'


def _when(stored: Stored) -> str:
    return f"{stored.received_at:%Y-%m-%d %H:%M:%S} UTC"


def _linked(text: str) -> str:
    """Return the text escaped, its http and https addresses as links."""
    parts: list[str] = []
    done = 0
    for found in _URL.finditer(text):
        url = found[0].rstrip(".,;:!?)")
        link = f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow">{escape(url)}</a>'
        parts += [escape(text[done : found.start()]), link]
        done = found.start() + len(url)
    return "".join(parts) + escape(text[done:])
