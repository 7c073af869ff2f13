"""Reads a descriptor to its end, or to a limit, whatever size its file claims to have."""

from __future__ import annotations

import os


def read_at_most(fd: int, limit_bytes: int) -> bytes:
    """Up to limit_bytes; the caller keeps fd. OSError as read(2).

    Ask for one byte more than is acceptable to learn whether there was more. A loop, because a read may be
    short before the end, on FUSE for instance.
    """
    content = b""
    while len(content) < limit_bytes and (chunk := os.read(fd, limit_bytes - len(content))):
        content += chunk
    return content
