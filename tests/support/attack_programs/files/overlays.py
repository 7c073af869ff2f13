"""Make an overlay file system in namespaces of this program's own, without mounting it anywhere.

overlays LOWER UPPER WORKDIR: its directories. The kernel replaces `work` in WORKDIR by a new directory.
"""

from __future__ import annotations

import ctypes
import os
import sys

from support.attack_programs.outcome import report_all, syscall

FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 1, 6


def text(value: str) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(os.fsencode(value))


def make(lower: str, upper: str, workdir: str) -> None:
    kind = text("overlay")
    context = syscall("fsopen", ctypes.addressof(kind), 0)
    for key, value in (("lowerdir", lower), ("upperdir", upper), ("workdir", workdir)):
        words = text(key), text(value)
        syscall("fsconfig", context, FSCONFIG_SET_STRING, *map(ctypes.addressof, words), 0)
    syscall("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0)


if __name__ == "__main__":
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
    report_all({"overlay": lambda: make(*sys.argv[1:])})
