"""Rename without replacing anything, or by exchanging two names (renameat2(2), Linux 3.15)."""

from __future__ import annotations

import ctypes
import errno
import os

from nono.kernel.libc import syscall, syscall_number

# <linux/fs.h>
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


def rename_at(source: int, old: str, target: int, new: str, flags: int) -> None:
    """Rename `old` in the directory `source` to `new` in `target`. Raises OSError.

    EEXIST: With RENAME_NOREPLACE, `new` exists.
    ENOENT: With RENAME_EXCHANGE, one of them is missing.
    EINVAL: The file system does not support it.
    """
    names = [ctypes.create_string_buffer(os.fsencode(name)) for name in (old, new)]
    first, second = map(ctypes.addressof, names)
    syscall(syscall_number("renameat2"), source, first, target, second, flags, tried=f"renameat2({new})")


def exchange(parent: int, temporary: str, name: str) -> bool:
    """Exchange two names; False if the file system does not support it."""
    try:
        rename_at(parent, temporary, parent, name, RENAME_EXCHANGE)
        return True
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        return False


def place(parent: int, temporary: str, name: str) -> None:
    """Give a file its name, which must still be free."""
    try:
        try:
            rename_at(parent, temporary, parent, name, RENAME_NOREPLACE)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            os.unlink(temporary, dir_fd=parent)
    except FileExistsError as error:
        raise OSError(errno.EEXIST, "something was made there during the restore") from error
