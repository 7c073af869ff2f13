"""Learns which names come and go in directories (inotify(7))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

from nono.kernel.libc import syscall, syscall_number
from nono.kernel.uapi import inotify as uapi

READ_BYTES = 65536
_NAMES_CHANGE = uapi.IN_CREATE | uapi.IN_DELETE | uapi.IN_MOVED_FROM | uapi.IN_MOVED_TO


def new_queue() -> int:
    """A non-blocking descriptor that is readable when something has changed; the caller closes it.

    OSError EMFILE: this user has fs.inotify.max_user_instances of them.
    """
    return syscall(syscall_number("inotify_init1"), uapi.IN_CLOEXEC | uapi.IN_NONBLOCK, tried="inotify_init1")


def watch_names(queue: int, directory: str) -> None:
    """Tell queue of names in directory from now on; one that is watched already stays so.

    OSError ENOSPC: this user has fs.inotify.max_user_watches of them. EACCES: it may not be read.
    """
    path = ctypes.create_string_buffer(os.fsencode(directory))
    flags = _NAMES_CHANGE | uapi.IN_ONLYDIR | uapi.IN_DONT_FOLLOW
    syscall(
        syscall_number("inotify_add_watch"), queue, ctypes.addressof(path), flags, tried="inotify_add_watch"
    )


def changed_names(queue: int) -> Iterator[str | None]:
    """What queue holds, as far as one read gets; None: events were lost, so anything may have changed."""
    try:
        read = os.read(queue, READ_BYTES)
    except BlockingIOError:
        return
    while read:
        _, mask, _, length = uapi.EVENT.unpack_from(read)
        name = read[uapi.EVENT.size : uapi.EVENT.size + length].rstrip(b"\0")
        read = read[uapi.EVENT.size + length :]
        yield None if mask & uapi.IN_Q_OVERFLOW else os.fsdecode(name)
