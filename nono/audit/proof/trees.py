"""The Merkle root over the files of directories: whether a run changed any of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from hashlib import file_digest, sha256

from nono.named_tuple import NamedTuple

# What version control and package managers write by themselves, and a build writes anew.
PASSED_OVER = frozenset(
    (b".git", b".hg", b".svn", b"target", b"node_modules", b"__pycache__", b".venv", b".DS_Store")
)
ENTRIES_MAX = 300_000
BYTES_MAX = 2 * 1024 * 1024 * 1024
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TreeRoot(NamedTuple):
    """The Merkle root of some directories."""

    root: str  # 64 lower-case hex digits
    unreadable: int  # files and directories that are not in it


class TooLargeError(Exception):
    """The directories hold more than is hashed."""


def tree_root(directories: Sequence[str]) -> TreeRoot:
    """Hash the regular files below some directories, following no link. Raises TooLargeError."""
    walk = _Walk()
    for directory in directories:
        walk.take(os.fsencode(directory))
    return TreeRoot(merkle_root(walk.digests).hex(), walk.unreadable)


def merkle_root(digests: Mapping[bytes, bytes]) -> bytes:
    """Return the root over paths and the digests of their contents, in the order of the paths' components."""
    level = [
        sha256(b"\0" + path + digest).digest()
        for path, digest in sorted(digests.items(), key=lambda each: each[0].split(b"/"))
    ]
    if not level:
        return sha256(b"").digest()
    while len(level) > 1:
        level = [_node(level[index : index + 2]) for index in range(0, len(level), 2)]
    return level[0]


def _node(pair: Sequence[bytes]) -> bytes:
    return sha256(b"\1" + pair[0] + pair[1]).digest() if len(pair) == 2 else pair[0]


class _Walk:
    """Collects the digests of files, up to a number of entries and of bytes."""

    def __init__(self) -> None:
        self.digests: dict[bytes, bytes] = {}
        self.unreadable = 0
        self._entries = self._bytes = 0

    def take(self, directory: bytes) -> None:
        for path, directories, files, descriptor in os.fwalk(directory, onerror=self._unread):
            directories[:] = [name for name in directories if name not in PASSED_OVER]
            for name in self._counted(files, len(directories)):
                if name not in PASSED_OVER:
                    self._hash(os.path.join(path, name), name, descriptor)

    def _counted(self, files: Sequence[bytes], directories: int) -> Iterator[bytes]:
        self._entries += directories + len(files)
        if self._entries > ENTRIES_MAX:
            raise TooLargeError(f"more than {ENTRIES_MAX:,} files and directories")
        yield from files

    def _hash(self, path: bytes, name: bytes, directory: int) -> None:
        try:
            descriptor = os.open(name, _OPEN, dir_fd=directory)
        except OSError:
            # A link or a socket is none of the files, and one that is gone was not there.
            self.unreadable += _is_file(name, directory)
            return
        with open(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return
            self._bytes += found.st_size
            if self._bytes > BYTES_MAX:
                raise TooLargeError(f"more than {BYTES_MAX >> 30} GiB")
            try:
                self.digests[path] = file_digest(file, "sha256").digest()
            except OSError:
                self.unreadable += 1

    def _unread(self, _: OSError) -> None:
        self.unreadable += 1


def _is_file(name: bytes, directory: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False
