"""Read a whole file, up to a limit."""

from __future__ import annotations

import errno
import os
import stat


def read_regular_file(path: str, max_bytes: int, *, is_stored: bool = False) -> bytes:
    """Return the content of a file.

    is_stored: Refuse a file of proc(5), which the kernel makes up as it is read.
    Raises OSError with the reason in strerror, also if it is not a regular file or exceeds max_bytes.
    """
    # O_NONBLOCK: a FIFO at this path must not block nono forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(descriptor, "rb") as file:
        content = file.read(max_bytes + 1)
    if is_stored and content and status.st_size == 0:
        raise OSError(errno.EINVAL, "made up by the kernel as it is read", path)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes", path)
    return content
