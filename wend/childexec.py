"""Become another program, one that ends when the process that started it ends.

Run by path, before anything of the environment is imported: ``python -I -S childexec.py PARENT UID GID
PROGRAM ARGUMENT…``. The process id stays the same, so whoever started this knows the program by it.

On Linux the kernel sends SIGTERM when the parent is gone, whatever ended it. Other systems have nothing of
the kind: there, a program whose parent was killed stays until it is stopped by its id (see
``wend.devserver``).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def become(parent: int, uid: int, gid: int, argv: list[str]) -> None:
    """Replace this process by ``argv``, as ``uid`` and ``gid`` unless they are -1. Never returns.

    The request to the kernel comes after the change of user, which would undo it, and the look at the parent
    after the request: a parent that ended in between would never be reported.
    """
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
