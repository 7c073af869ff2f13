"""Runs a command, as root, that sees other files and directories at some paths: in a mount namespace.

python private_mounts.py SOURCE TARGET [SOURCE TARGET]... -- CMD...
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def stage(sources: Mapping[str | Path, Path]) -> list[str]:
    """The argv prefix. sources: what is seen at each path, which must exist."""
    pairs = [str(path) for target, source in sources.items() for path in (source, target)]
    return [sys.executable, "-I", "-S", __file__, *pairs, "--"]


def _mount(source: str, target: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def main(*arguments: str) -> None:
    end = arguments.index("--")
    os.unshare(os.CLONE_NEWNS)
    _mount("none", "/", MS_REC | MS_PRIVATE)
    for source, target in zip(arguments[:end:2], arguments[1:end:2], strict=True):
        _mount(source, target, MS_BIND)
    command = arguments[end + 1 :]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
