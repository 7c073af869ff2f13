"""Opens paths to be examined before anything is done with what they name (openat2(2))."""

from __future__ import annotations

import ctypes
import os

from nono.kernel.libc import syscall, syscall_number
from nono.kernel.uapi import open as uapi

_STATFS_BYTES = 120  # struct statfs of 64-bit machines; f_type is its first word
_RACES_MAX = 16  # look-ups that something was renamed under


def open_canonical(path: str, *, flags: int = 0) -> int:
    """An O_PATH descriptor, close-on-exec, of an absolute path; the caller closes it.

    flags: os.O_NOFOLLOW lets the last component be a link, which is opened as such.
    OSError ELOOP: a component of path is a symbolic link. ENOSYS: before Linux 5.6, which had no Landlock.
    """
    return open_at(uapi.AT_FDCWD, os.fsencode(path), os.O_PATH | flags, uapi.RESOLVE_NO_SYMLINKS)


def open_in_root(root: int, path: bytes, *, directory: bool = False) -> int:
    """An O_PATH descriptor, close-on-exec, of what path names to whose root directory is root.

    The caller closes it. Symbolic links are followed, the last one too; a magic link of /proc is ELOOP: it
    would say what it means to this process. OSError EAGAIN: something on the way is renamed all the time.
    """
    flags = os.O_PATH | (os.O_DIRECTORY if directory else 0)
    for left in reversed(range(_RACES_MAX)):
        try:
            return open_at(root, path, flags, uapi.RESOLVE_IN_ROOT | uapi.RESOLVE_NO_MAGICLINKS)
        except BlockingIOError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def open_at(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """A close-on-exec descriptor of path as openat2(2) finds it from directory; the caller closes it.

    OSError ELOOP: path has a link of a kind that resolve (RESOLVE_*) excludes. Others as in the man page.
    """
    name = ctypes.create_string_buffer(path)
    packed = uapi.OPEN_HOW.pack(flags | os.O_CLOEXEC, 0, resolve)
    how = ctypes.create_string_buffer(packed, len(packed))
    return syscall(
        syscall_number("openat2"),
        directory,
        ctypes.addressof(name),
        ctypes.addressof(how),
        len(packed),
        tried=f"openat2({os.fsdecode(path)})",
    )


def is_on_procfs(descriptor: int) -> bool:
    """Whether an open file, also one opened with O_PATH, is one of proc(5). OSError as fstatfs(2)."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    syscall(syscall_number("fstatfs"), descriptor, ctypes.addressof(buffer), tried="fstatfs")
    return int.from_bytes(buffer.raw[:8], "little") == uapi.PROC_SUPER_MAGIC
