"""Read and write by a descriptor, in as many calls as it takes."""

from __future__ import annotations

import os

# Open a directory itself, never one that a link leads to.
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_at_most(fd: int, limit_bytes: int) -> bytes:
    """Read a descriptor to its end or to limit_bytes, whatever size its file claims to have.

    The caller keeps fd. Raises OSError as read(2) does. Ask for one byte more than acceptable to learn if
    there was more. A loop, because a read may be short before the end, on FUSE for instance.
    """
    content = b""
    while len(content) < limit_bytes and (chunk := os.read(fd, limit_bytes - len(content))):
        content += chunk
    return content


def write_all(fd: int, content: bytes) -> None:
    """Write all of `content`, whatever a single write(2) takes. Raises OSError; a part is written then."""
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]
