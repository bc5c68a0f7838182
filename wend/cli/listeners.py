"""Who listens on a port of this machine."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_LISTENING = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens; ``command`` is its program and arguments, as far as we may see them."""

    pid: int
    command: str

    @property
    def program(self) -> str:
        """The name of its program, without the way there."""
        return Path(self.command.split(" ", 1)[0]).name


def listener_on(port: int) -> Listener | None:
    """Return who listens on a TCP port; ``None`` if nobody does, or if we may not know."""
    if sys.platform == "linux":
        return _by_proc(port)
    return _by_lsof(port)


def _by_proc(port: int) -> Listener | None:
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(each.readlink()) in sockets for each in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return Listener(int(process.name), " ".join(words).strip())
        except OSError:
            continue  # another's, or gone meanwhile
    return None


def _inodes(port: int) -> set[str]:
    found: set[str] = set()
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(file).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # a machine without IPv6
        for line in lines:
            _, local, _, state, *rest = line.split()
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                found.add(rest[5])
    return found


def _by_lsof(port: int) -> Listener | None:
    if not (lsof := shutil.which("lsof")):
        return None
    command = [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout
    fields = {line[0]: line[1:] for line in told.splitlines() if line}
    return Listener(int(fields["p"]), fields.get("c", "")) if "p" in fields else None
