"""Opens a path that was judged before, and none that has become a symbolic link since (openat2(2))."""

from __future__ import annotations

import ctypes
import os
import struct

from nono.kernel.libc import syscall, syscall_number

_OPEN_HOW = struct.Struct("=QQQ")  # flags, mode, resolve (<linux/openat2.h>)
_RESOLVE_NO_SYMLINKS = 0x04
_AT_FDCWD = -100


def open_canonical(path: str) -> int:
    """An O_PATH descriptor, close-on-exec, of an absolute path; the caller closes it.

    OSError ELOOP: a component of path is a symbolic link. ENOSYS: before Linux 5.6, which had no Landlock.
    """
    name = ctypes.create_string_buffer(os.fsencode(path))
    packed = _OPEN_HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS)
    how = ctypes.create_string_buffer(packed, len(packed))
    return syscall(
        syscall_number("openat2"),
        _AT_FDCWD,
        ctypes.addressof(name),
        ctypes.addressof(how),
        len(packed),
        tried=f"openat2({path})",
    )
