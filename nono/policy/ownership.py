"""Judge whether other users can change a file, or exchange it for another."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from nono.named_tuple import NamedTuple


class Inode(NamedTuple):
    """A file or directory as stat describes it."""

    path: str
    mode: int
    uid: int
    gid: int


def changeable(inode: Inode, euid: int) -> str | None:
    """Return how users other than root and `euid` can change the inode, or None."""
    if inode.uid not in (0, euid):
        return f"{inode.path} belongs to uid {inode.uid}"
    if inode.mode & stat.S_IWOTH:
        return f"everybody can write to {inode.path}"
    # A group that root lets write, such as Debian's staff in /usr/local, is root's decision. A group whose
    # gid equals the user's uid contains, by the convention of private groups, the user alone.
    if inode.mode & stat.S_IWGRP and inode.uid != 0 and inode.gid != euid:
        return f"group {inode.gid} can write to {inode.path}"
    return None


def exchangeable(directories: Sequence[Inode], euid: int) -> str | None:
    """Return how users other than root and `euid` can exchange what a directory holds, or None.

    directories: The directory, then each one above it.
    """
    for position, each in enumerate(directories):
        # The sticky bit keeps users from renaming each other's files, as in /tmp, but not from making them.
        if position and each.mode & stat.S_ISVTX:
            continue
        if (reason := changeable(each, euid)) is not None:
            return reason
    return None
