"""Read the path of a trapped call from its caller once, and find the inode it names."""

from __future__ import annotations

import errno
import os
import stat

from nono.approval.request import FileKind
from nono.kernel import open_path, threads
from nono.kernel.notify import Notification
from nono.kernel.uapi import open as uapi
from nono.policy.capability import Access
from nono.supervisor.verdict import open_call
from nono.supervisor.verdict.open_call import OpenCall
from nono.supervisor.verdict.open_verdict import Found

# The caller's own entries in /proc: left to its grants (docs/adr/0005); this process would resolve them to
# its own.
OWN_ENTRIES = (b"/proc/self/", b"/proc/thread-self/")
_PAGE_BYTES = 4096  # or a multiple of it: memory is mapped by pages

# The caller's flags that matter for an existing file. O_NOFOLLOW has been applied by then.
KEPT = (
    os.O_ACCMODE
    | os.O_APPEND
    | os.O_TRUNC
    | os.O_DIRECTORY
    | os.O_SYNC
    | os.O_DSYNC
    | os.O_DIRECT
    | os.O_NOATIME
    | os.O_NONBLOCK
)
_KNOWN = (
    KEPT
    | os.O_CREAT
    | os.O_EXCL
    | os.O_NOCTTY
    | os.O_NOFOLLOW
    | os.O_CLOEXEC
    | os.O_PATH
    | os.O_TMPFILE
    | os.O_ASYNC
)


class PathArguments:
    """Reads and resolves paths for callers whose root directory is `root`, an O_PATH descriptor."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._memory = threads.MemoryReader(uapi.PATH_MAX)

    def open_call(self, notification: Notification, name: str) -> OpenCall:
        """Read the arguments of an open once.

        Raises OSError or ValueError if they are malformed or unreadable.
        """
        registers = open_call.registers(name, notification.args)
        flags, resolve = registers.flags, 0
        if registers.how is not None:
            if registers.how_bytes > open_call.OPEN_HOW_BYTES_MAX:
                raise ValueError("an open_how longer than a page")
            raw = self._memory.read(notification.tid, registers.how, registers.how_bytes)
            if len(raw) < registers.how_bytes:
                raise ValueError("an open_how that is partly unmapped")
            flags, mode, resolve = open_call.parse_open_how(raw)
            # Unlike the older calls, openat2 refuses unknown flags.
            if flags & ~_KNOWN or (mode and not flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY)):
                raise ValueError("an open_how that the kernel refuses")
        return OpenCall(registers.directory, self.path(notification.tid, registers.path), flags, resolve)

    def path(self, tid: int, address: int) -> bytes:
        """Read the bytes up to a NUL, page by page, because the page after the end may not be mapped.

        Raises OSError or ValueError if there is no path, or an empty one.
        """
        path = b""
        while len(path) < uapi.PATH_MAX:
            to_page_end = _PAGE_BYTES - (address + len(path)) % _PAGE_BYTES
            piece = self._memory.read(tid, address + len(path), min(to_page_end, uapi.PATH_MAX - len(path)))
            head, nul, _ = piece.partition(b"\0")
            path += head
            if nul:
                if not path:
                    raise ValueError("an empty path")
                return path
            if len(piece) < to_page_end:
                break
        raise ValueError("a path without an end")

    def find(self, tid: int, call: OpenCall) -> int:
        """Resolve the path as its caller would, to an O_PATH descriptor; the caller of this method closes it.

        Magic links (/proc/PID/fd/N, cwd, root, exe) are not followed but raise OSError ELOOP: they lead to
        objects that the caller already has, or to another process's.
        """
        flags = os.O_PATH | call.flags & (os.O_NOFOLLOW | os.O_DIRECTORY)
        resolve = call.resolve | uapi.RESOLVE_NO_MAGICLINKS
        confined = call.resolve & (uapi.RESOLVE_BENEATH | uapi.RESOLVE_IN_ROOT)
        if call.is_absolute and not confined:
            return open_path.open_undisturbed(self._root, call.path, flags, resolve | uapi.RESOLVE_IN_ROOT)
        base = os.open(call.base(tid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_path.open_undisturbed(base, call.path, flags, resolve)
        finally:
            os.close(base)


def examine(descriptor: int) -> Found:
    """Describe the inode of an O_PATH descriptor. Raises OSError if it no longer has a path."""
    state = os.fstat(descriptor)
    path = os.readlink(open_path.path_to(descriptor))
    if not path.startswith("/") or state.st_nlink == 0:
        raise FileNotFoundError(errno.ENOENT, "no path leads to it", path)
    is_entry = any(map(str.isdecimal, path.split("/"))) and open_path.is_on_procfs(descriptor)
    return Found(path, _kind(state.st_mode), is_entry)


def mode_of(access: Access) -> int:
    """Return the mode by which access(2) asks for this access."""
    return (os.R_OK if access.reads else 0) | (os.W_OK if access.writes else 0)


def _kind(mode: int) -> FileKind | None:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISFIFO(mode):
        return "FIFO"
    return "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else None
