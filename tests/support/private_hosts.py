"""Runs a command, as root, that sees another /etc/hosts and /etc/resolv.conf: in a mount namespace.

python private_hosts.py HOSTS RESOLV_CONF CMD...
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def stage(hosts: Path, resolv_conf: Path) -> list[str]:
    """The argv prefix."""
    return [sys.executable, "-I", "-S", __file__, str(hosts), str(resolv_conf)]


def _mount(source: str, target: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def main(hosts: str, resolv_conf: str, *command: str) -> None:
    os.unshare(os.CLONE_NEWNS)
    _mount("none", "/", MS_REC | MS_PRIVATE)
    _mount(hosts, "/etc/hosts", MS_BIND)
    _mount(resolv_conf, "/etc/resolv.conf", MS_BIND)
    os.execvp(command[0], command)


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    main(*arguments)
