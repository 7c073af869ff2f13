"""Remember the files of the Unix sockets on which the command listens, by device and inode."""

from __future__ import annotations

import errno
import fcntl
import os
import socket

from nono.kernel.open_path import path_to
from nono.kernel.sock_diag import bound_file
from nono.supervisor.calls.trapped_call import Socket

KEPT_MAX = 512  # each keeps a descriptor open
_INODE_MASK = 0xFFFFFFFF  # the bits of an inode number that sock_diag reports


class OwnSockets:
    """Keeps each file open, so that its inode number is not reused; close() closes them."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], int] = {}  # device and inode to an O_PATH descriptor

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def add(self, duplicate: Socket, descriptor: int, tid: int) -> None:
        """Remember the file that a socket of the command is bound to, before the socket listens.

        descriptor: The file now found at the socket's path. The command may have replaced it by another
        socket's, so the kernel is asked which file was bound. If it does not answer, the file does not count.
        The inode number proves nothing alone: on a tmpfs the command can have the one it wants, and on btrfs
        in each subvolume, all of which are one device to sock_diag. A socket that listens is another's.
        tid: A thread that sees the file's mount.
        """
        found = os.fstat(descriptor)
        key = found.st_dev, found.st_ino
        bound = bound_file(os.fstat(duplicate.fileno()).st_ino)
        if bound is None or bound.inode != found.st_ino & _INODE_MASK or key in self._files:
            return
        device = os.major(found.st_dev), os.minor(found.st_dev)
        is_there = bound.device == device or bound.device == device_of_mount(descriptor, tid)
        if is_there and not may_listen(descriptor, duplicate.type) and self._has_room():
            self._files[key] = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 0)

    def holds(self, descriptor: int) -> bool:
        """Return True if a descriptor refers to such a file."""
        if not self._files:
            return False
        found = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) in self._files

    def _has_room(self) -> bool:
        if len(self._files) < KEPT_MAX:
            return True
        for key, file in list(self._files.items()):
            if not os.fstat(file).st_nlink:  # removed: no path leads to it
                os.close(self._files.pop(key))
        return len(self._files) < KEPT_MAX


def may_listen(descriptor: int, kind: int) -> bool:
    """Return False if the socket at a file does not listen, and is of this kind. It does not notice the test.

    connect(2) refuses a socket that has a peer, and before that one to which nobody listens (unix(7)).
    """
    probe, peer = socket.socketpair(socket.AF_UNIX, kind)
    with probe, peer:
        probe.setblocking(False)
        return probe.connect_ex(path_to(descriptor)) != errno.ECONNREFUSED


def device_of_mount(descriptor: int, tid: int) -> tuple[int, int] | None:
    """Return the device of the file system that holds a file, as the mounts of thread `tid` name it.

    On btrfs, and for some files of an overlay, st_dev is a number of its own. Returns None if `tid` does not
    see the mount. No mount has this one's number while `descriptor` is open.

    Raises OSError if `tid` has ended, or hides.
    """
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as fdinfo:
        mount = next((line.split()[1] for line in fdinfo if line.startswith(b"mnt_id:")), None)
    with open(f"/proc/{tid}/mountinfo", "rb") as mounts:
        for line in mounts:
            number, _, device, *_ = line.split(b" ", 3)
            if number == mount:
                major, _, minor = device.partition(b":")
                return int(major), int(minor)
    return None
