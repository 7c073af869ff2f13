"""Wait for a descriptor, and read and write by it, in as many calls as it takes."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

# Open a directory itself, never one that a link leads to.
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_readable(*descriptors: FileDescriptorLike, within_s: float = 0.0) -> bool:
    """Wait until one of these can be read, or has ended as a process has. Returns False after within_s.

    By poll(2): select(2) knows no descriptor above 1023, and whoever starts nono may leave it that many.
    """
    poll = select.poll()
    for each in descriptors:
        poll.register(each, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


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
