"""Remember the files of the Unix sockets on which the command listens, by inode."""

from __future__ import annotations

import fcntl
import os

from nono.kernel.sock_diag import bound_inode
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

    def add(self, duplicate: Socket, descriptor: int) -> None:
        """Remember the file that a listening socket of the command is bound to.

        descriptor: The file now found at the socket's path. The command may have replaced it by another
        socket's, so the kernel is asked which file was bound. If it does not answer, the file does not count.
        """
        found = os.fstat(descriptor)
        key = found.st_dev, found.st_ino
        bound = bound_inode(os.fstat(duplicate.fileno()).st_ino)
        if bound == found.st_ino & _INODE_MASK and key not in self._files and self._has_room():
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
