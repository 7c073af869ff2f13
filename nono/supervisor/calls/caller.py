"""What a trapped thread is and sees: its ids, its capabilities, its root and its namespaces."""

from __future__ import annotations

import os

from nono.named_tuple import NamedTuple

_STATUS_LINES = (b"Uid:", b"Gid:", b"Groups:", b"CapEff:")


class CallerContext(NamedTuple):
    """Two processes of equal standing see the same files under the same paths, with the same rights."""

    mount_namespace: tuple[int, int]
    user_namespace: tuple[int, int]
    root: tuple[int, int]
    rights: tuple[bytes, ...]  # lines of /proc/PID/status


def caller_context(tid: int) -> CallerContext:
    """Of a thread or process. OSError: it is gone, or may not be looked into (it is not dumpable)."""
    with open(f"/proc/{tid}/status", "rb") as status:
        rights = tuple(line for line in status if line.startswith(_STATUS_LINES))
    return CallerContext(
        _identity(f"/proc/{tid}/ns/mnt"),
        _identity(f"/proc/{tid}/ns/user"),
        _identity(f"/proc/{tid}/root"),
        rights,
    )


def open_root(pid: int) -> int:
    """An O_PATH descriptor of a process's root, in its mount namespace; the caller closes it. OSError."""
    return os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _identity(link: str) -> tuple[int, int]:
    found = os.stat(link)
    return found.st_dev, found.st_ino
