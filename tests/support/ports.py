"""Ports that stay free."""

import secrets
from contextlib import suppress
from pathlib import Path

from wend.cli.ports import LOCAL, listen

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_000


def lasting_port() -> int:
    """Return a free port that the system hands out to nobody who asks for any.

    So it is still free when somebody listens on it in a while, or listens on it again.
    """
    for _ in range(100):
        port = secrets.choice(not_handed_out())
        with suppress(OSError):
            listen(LOCAL, port).close()
            return port
    raise AssertionError("no port is free")


def not_handed_out() -> range:
    """Return the ports that the system gives to nobody by itself."""
    try:
        first, last = map(int, _HANDED_OUT.read_text().split())
    except (OSError, ValueError):
        first, last = 32_768, 60_999
    return range(max(_FIRST, first - 20_000), first) if first > _FIRST + 1000 else range(last + 1, 65_536)
