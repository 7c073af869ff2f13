"""Open a path so that its inode can be examined before it is used (openat2(2))."""

from __future__ import annotations

import ctypes
import os

from nono.kernel.libc import RepeatedCall, os_error, syscall, syscall_number
from nono.kernel.uapi import open as uapi

_STATFS_BYTES = 120  # struct statfs of 64-bit machines; f_type is its first word
_RACES_MAX = 16  # retries of a look-up that a rename disturbs (EAGAIN)


def open_canonical(path: str, *, flags: int = 0) -> int:
    """Open an absolute path as an O_PATH descriptor, close-on-exec; the caller closes it.

    flags: with os.O_NOFOLLOW the last component may be a symbolic link, which is opened itself.

    Raises OSError ELOOP if a component of `path` is a symbolic link, ENOSYS before Linux 5.6, which had no
    Landlock.
    """
    return open_at(uapi.AT_FDCWD, os.fsencode(path), os.O_PATH | flags, uapi.RESOLVE_NO_SYMLINKS)


class CanonicalPaths:
    """Opens one path after another as open_canonical() does: a start opens two hundred."""

    def __init__(self) -> None:
        packed = uapi.OPEN_HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, uapi.RESOLVE_NO_SYMLINKS)
        self._how = ctypes.create_string_buffer(packed, len(packed))
        self._path = ctypes.c_char_p()
        how = ctypes.addressof(self._how)
        self._call = RepeatedCall(syscall_number("openat2"), uapi.AT_FDCWD, self._path, how, len(packed))

    def open(self, path: str) -> int:
        self._path.value = os.fsencode(path)
        descriptor = self._call()
        if descriptor < 0:
            raise os_error(-descriptor, f"openat2({path})")
        return descriptor


def open_in_root(root: int, path: bytes, *, directory: bool = False) -> int:
    """Resolve `path` as a process with root directory `root` would, as an O_PATH descriptor, close-on-exec.

    The caller closes it. Symbolic links are followed, the last one too. Raises OSError ELOOP for a magic link
    of /proc, which would resolve for this process instead, EAGAIN if something on the way keeps being
    renamed.
    """
    flags = os.O_PATH | (os.O_DIRECTORY if directory else 0)
    return open_undisturbed(root, path, flags, uapi.RESOLVE_IN_ROOT | uapi.RESOLVE_NO_MAGICLINKS)


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Open `path`, relative to `directory`, close-on-exec; the caller closes the descriptor.

    Symbolic links are followed as far as they stay below. Raises OSError EXDEV if one does not, others like
    open_in_root().
    """
    return open_undisturbed(directory, path, flags, uapi.RESOLVE_BENEATH | uapi.RESOLVE_NO_MAGICLINKS)


def open_undisturbed(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """Open like open_at(), again while a rename anywhere in the system disturbs the look-up (EAGAIN)."""
    for left in reversed(range(_RACES_MAX)):
        try:
            return open_at(directory, path, flags, resolve)
        except BlockingIOError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def path_to(descriptor: int) -> str:
    """Return a path that leads to the very inode of one of this process's descriptors."""
    return f"/proc/self/fd/{descriptor}"


def open_at(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """Open `path` relative to `directory` with openat2(2), close-on-exec; the caller closes the descriptor.

    Raises OSError ELOOP if the path contains a kind of link that `resolve` (RESOLVE_*) excludes, others as in
    openat2(2).
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
    """Return True if an open file, O_PATH included, is on proc(5). Raises OSError as fstatfs(2) does."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    syscall(syscall_number("fstatfs"), descriptor, ctypes.addressof(buffer), tried="fstatfs")
    return int.from_bytes(buffer.raw[:8], "little") == uapi.PROC_SUPER_MAGIC
