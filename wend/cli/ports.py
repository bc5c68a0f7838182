"""Ports: looked at before anything is started, so that a taken one is told and nothing has to be undone."""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from wend.cli.screen import called_by_make
from wend.errors import Conflict

LOCAL = "127.0.0.1"
MOST_PORT = 65535


@dataclass(frozen=True)
class WantedPort:
    """A port that somebody is to listen on; 0 takes any free one."""

    number: int
    what: str
    option: str


class PortsTaken(Conflict):
    """Ports that were asked for are not free. Nothing was started."""

    def __init__(self, taken: Sequence[tuple[WantedPort, str]], command: str) -> None:
        lines = "".join(
            f"\n  {wanted.number:<6} for {wanted.what}: {reason}; {wanted.option} changes it"
            for wanted, reason in taken
        )
        options = " ".join(f"{wanted.option} {_free_after(wanted.number)}" for wanted, _ in taken)
        made = called_by_make() and command in ("up", "demo")
        remedy = f'make {command} ARGS="{options}"' if made else f"wend {command} {options}"
        what = "This port is" if len(taken) == 1 else "These ports are"
        super().__init__(f"{what} not free, and nothing was started:{lines}\nStop what listens there, or try: {remedy}")
        self.ports = tuple(wanted.number for wanted, _ in taken)


def check_free(wanted: Sequence[WantedPort], command: str, host: str = LOCAL) -> None:
    """Return if every port can be listened on, and no two are the same.

    Raises:
        PortsTaken: Some cannot; all of them are listed.
    """
    taken: list[tuple[WantedPort, str]] = []
    held: list[socket.socket] = []
    try:
        for each in wanted:
            try:
                held.append(listen(host, each.number))
            except OSError as error:
                reason = "something listens there" if error.errno == errno.EADDRINUSE else str(error.strerror)
                taken.append((each, reason))
    finally:
        for listener in held:
            listener.close()
    if taken:
        raise PortsTaken(taken, command)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the port; 0 takes a free one.

    Raises:
        OSError: The port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off only on sockets that say they are TCP; else each answer would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _free_after(port: int) -> int:
    for number in range(port + 1, min(port + 200, MOST_PORT + 1)):
        try:
            listen(LOCAL, number).close()
        except OSError:
            continue
        return number
    return 0
