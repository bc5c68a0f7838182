"""Requests for a tracked link that no person made: kept, never counted.

Mail gateways open links before the recipient sees the mail, messengers fetch previews, browsers prefetch. A journey
that took these for clicks would branch on machines.
"""

import re
from collections.abc import Mapping
from typing import Literal

NotCounted = Literal["head", "prefetch", "bot", "no_agent"]

_BOTS = re.compile(
    r"bot\b|crawler|spider|slurp|scanner|preview|facebookexternalhit|whatsapp|telegrambot|slackbot|skypeuripreview"
    r"|barracuda|proofpoint|mimecast|urldefense|safelinks|trendmicro|symantec|sophos|forcepoint|fortinet|cisco|ironport"
    r"|virustotal|googleimageproxy|yahoomailproxy|microsoft office existence|bingpreview|google-safety|headless"
    r"|python-requests|python-httpx|aiohttp|curl/|wget/|libwww|go-http-client|okhttp|java/|apache-httpclient|monitor",
    re.IGNORECASE,
)


def why_not_counted(method: str, headers: Mapping[str, str]) -> NotCounted | None:
    """Return why this request is no click of a person; ``None`` if it may be one.

    Args:
        method: The HTTP method.
        headers: By lower-case name.
    """
    if method.upper() == "HEAD":
        return "head"
    purpose = headers.get("sec-purpose", "") + headers.get("purpose", "") + headers.get("x-moz", "")
    if "prefetch" in purpose.lower() or "preview" in purpose.lower():
        return "prefetch"
    agent = headers.get("user-agent", "").strip()
    if not agent:
        return "no_agent"
    return "bot" if _BOTS.search(agent) else None
