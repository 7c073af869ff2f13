"""Read the identity of a trapped thread: its ids, capabilities, root and namespaces."""

from __future__ import annotations

import os

from nono.named_tuple import NamedTuple

_STATUS_LINES = (b"Uid:", b"Gid:", b"Groups:", b"CapEff:")


class CallerContext(NamedTuple):
    """Everything about a process that determines its access to files.

    Two processes with equal contexts see the same files at the same paths, with the same rights.
    """

    mount_namespace: tuple[int, int]
    user_namespace: tuple[int, int]
    root: tuple[int, int]
    rights: tuple[bytes, ...]  # lines of /proc/PID/status


def caller_context(tid: int) -> CallerContext:
    """Read the context of a thread or process.

    Raises OSError if it is gone, or not dumpable and so not readable.
    """
    with open(f"/proc/{tid}/status", "rb") as status:
        rights = tuple(line for line in status if line.startswith(_STATUS_LINES))
    return CallerContext(
        _identity(f"/proc/{tid}/ns/mnt"),
        _identity(f"/proc/{tid}/ns/user"),
        _identity(f"/proc/{tid}/root"),
        rights,
    )


def open_root(pid: int) -> int:
    """Open the root of a process, in its mount namespace, as an O_PATH descriptor; the caller closes it.

    Raises OSError if the process is gone or not readable.
    """
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _identity(link: str) -> tuple[int, int]:
    found = os.stat(link)
    return found.st_dev, found.st_ino
