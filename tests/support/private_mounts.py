"""Run a command that sees other files and directories at some paths, in a mount namespace of its own.

python private_mounts.py SOURCE TARGET [SOURCE TARGET]... -- CMD...

Without CAP_SYS_ADMIN it is in a user namespace as well, in which the user keeps its id.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def stage(sources: Mapping[str | Path, Path]) -> list[str]:
    """Return the argv prefix. sources: what appears at each path; the paths must exist."""
    from support.running.needs import require  # not where this file is the program

    require("mounts")
    pairs = [str(path) for target, source in sources.items() for path in (source, target)]
    return [sys.executable, "-I", "-S", __file__, *pairs, "--"]


def _mount(source: str, target: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _leave() -> bool:
    """Move to a new mount namespace in which mounts can be made. Return True if it took a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        os.unshare(os.CLONE_NEWNS)
    except PermissionError:
        os.unshare(os.CLONE_NEWNS | os.CLONE_NEWUSER)
        maps = (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"))
        for name, text in maps:
            Path("/proc/self", name).write_text(text, encoding="ascii")
        return True
    return False


def enter(pairs: Sequence[str]) -> None:
    """Move this process to a mount namespace with these mounts: source, target, source, target..."""
    # In a user namespace the kernel does not allow leaving out what is mounted below.
    bind = MS_BIND | (MS_REC if _leave() else 0)
    _mount("none", "/", MS_REC | MS_PRIVATE)
    for source, target in zip(pairs[::2], pairs[1::2], strict=True):
        _mount(source, target, bind)


def main(*arguments: str) -> None:
    end = arguments.index("--")
    enter(arguments[:end])
    command = arguments[end + 1 :]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
