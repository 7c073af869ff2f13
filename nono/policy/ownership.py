"""Judge whether other users can change a file, or exchange it for another."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Sequence

from nono.named_tuple import NamedTuple

# <linux/posix_acl_xattr.h>, <linux/posix_acl.h>: a version, then entries of a tag, permissions and an id.
ACL = "system.posix_acl_access"
_ACL_VERSION = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP_OBJ, _ACL_GROUP = 0x02, 0x04, 0x08
_ACL_WRITE = 0x02


class Inode(NamedTuple):
    """A file or directory as stat describes it. acl: Its ACL attribute, empty if it has none."""

    path: str
    mode: int
    uid: int
    gid: int
    acl: bytes = b""


def changeable(inode: Inode, euid: int) -> str | None:
    """Return how users other than root and `euid` can change the inode, or None."""
    if inode.uid not in (0, euid):
        return f"{inode.path} belongs to uid {inode.uid}"
    if inode.mode & stat.S_IWOTH:
        return f"everybody can write to {inode.path}"
    # A group that root lets write, such as Debian's staff in /usr/local, is root's decision. A group whose
    # gid equals the user's uid contains, by the convention of private groups, the user alone.
    # Where there is an access control list, this bit is its mask.
    if inode.mode & stat.S_IWGRP and inode.uid != 0:
        for kind, number in _writers(inode):
            if number != euid and (kind, number) != ("uid", 0):
                return f"{kind} {number} can write to {inode.path}"
    return None


def _writers(inode: Inode) -> Iterator[tuple[str, int]]:
    """Yield the group of the inode, or the users and groups that its access control list lets write."""
    if not inode.acl:
        yield "group", inode.gid
        return
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(inode.acl[_ACL_VERSION.size :]):
        if permissions & _ACL_WRITE:
            if tag == _ACL_GROUP_OBJ:
                yield "group", inode.gid
            elif tag in (_ACL_USER, _ACL_GROUP):
                yield ("uid" if tag == _ACL_USER else "group"), number


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
