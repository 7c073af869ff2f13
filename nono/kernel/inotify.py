"""Report names that appear in and disappear from directories, and writes to files (inotify(7))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

from nono.kernel.libc import syscall, syscall_number
from nono.kernel.uapi import inotify as uapi
from nono.named_tuple import NamedTuple

READ_BYTES = 65536
_NAMES_CHANGE = uapi.IN_CREATE | uapi.IN_DELETE | uapi.IN_MOVED_FROM | uapi.IN_MOVED_TO
# inotify does not report writes to a shared mapping, only that the file was closed.
_WRITES = _NAMES_CHANGE | uapi.IN_MODIFY | uapi.IN_CLOSE_WRITE | uapi.IN_ATTRIB


class Happened(NamedTuple):
    """One event. `mask` contains IN_Q_OVERFLOW if events were lost, of any watch."""

    watch: int
    mask: int
    name: str  # in the watched directory; "" for the directory itself


def new_queue() -> int:
    """Return a non-blocking inotify descriptor, readable when something changed; the caller closes it.

    Raises OSError EMFILE if this user already has fs.inotify.max_user_instances of them.
    """
    return syscall(syscall_number("inotify_init1"), uapi.IN_CLOEXEC | uapi.IN_NONBLOCK, tried="inotify_init1")


def watch_names(queue: int, directory: str) -> None:
    """Report changes of names in `directory` to `queue` from now on. Watching a directory twice is harmless.

    Raises OSError ENOSPC if this user already has fs.inotify.max_user_watches, EACCES if the directory is not
    readable.
    """
    _watch(queue, directory, _NAMES_CHANGE | uapi.IN_ONLYDIR | uapi.IN_DONT_FOLLOW)


def watch_file(queue: int, descriptor: int) -> None:
    """Report each write to an open file to `queue` from now on. OSError as for watch_names()."""
    _watch(queue, f"/proc/self/fd/{descriptor}", uapi.IN_MODIFY)


def watch_writes(queue: int, directory: int) -> int:
    """Report each write, creation and removal directly in an open directory. Returns the watch's number.

    Watching a directory again returns the same number. OSError as for watch_names().
    """
    return _watch(queue, f"/proc/self/fd/{directory}", _WRITES | uapi.IN_ONLYDIR)


def _watch(queue: int, path: str, flags: int) -> int:
    name = ctypes.create_string_buffer(os.fsencode(path))
    number = syscall_number("inotify_add_watch")
    return syscall(number, queue, ctypes.addressof(name), flags, tried="inotify_add_watch")


def happened(queue: int) -> list[Happened]:
    """Return the events that one read of `queue` returns, in their order."""
    try:
        read = os.read(queue, READ_BYTES)
    except BlockingIOError:
        return []
    found, at = list[Happened](), 0
    while at < len(read):
        watch, mask, _, length = uapi.EVENT.unpack_from(read, at)
        at += uapi.EVENT.size
        found.append(Happened(watch, mask, os.fsdecode(read[at : at + length].rstrip(b"\0"))))
        at += length
    return found


def changed_names(queue: int) -> Iterator[str | None]:
    """Yield the changed names that one read of `queue` returns.

    None: events were lost, anything may differ.
    """
    for each in happened(queue):
        yield None if each.mask & uapi.IN_Q_OVERFLOW else each.name
