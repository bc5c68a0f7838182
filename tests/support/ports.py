"""Ports that stay free."""

from contextlib import suppress
from pathlib import Path
from random import SystemRandom

from wend.cli.ports import LOCAL, listen

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST, _USUALLY_HANDED_OUT_FROM = 10_000, 32_768


def lasting_port() -> int:
    """Return a free port that the system hands out to nobody who asks for any.

    So it is still free when somebody listens on it in a while, or listens on it again.
    """
    numbers = SystemRandom()
    for _ in range(100):
        port = numbers.randrange(_LOWEST, _handed_out_from())
        with suppress(OSError):
            listen(LOCAL, port).close()
            return port
    raise AssertionError("no port is free")


def _handed_out_from() -> int:
    try:
        first = int(_HANDED_OUT.read_text().split()[0])
    except FileNotFoundError:
        return _USUALLY_HANDED_OUT_FROM
    return first if first > _LOWEST + 1000 else _USUALLY_HANDED_OUT_FROM
