"""Pass on a file whose content was judged, so that nobody changes it before it is read.

A file that no program of this user can write is passed on as it is. Another one is protected by a lease
(fcntl(2)): an open for writing then waits, at most LEASE_S. If a lease is impossible, because the file is
already open for writing, the reader gets a sealed copy, whose inode differs, as programs like cp notice.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from signal import SIGURG

from nono.kernel.open_path import path_to

LEASE_S = 1.0  # from the moment it is passed on: readers read at once
LEASES_MAX = 64  # each keeps a descriptor open
COPIES_BYTES_MAX = 64 * 1024 * 1024


class JudgedFiles:
    """The leases and copies of one run, until close()."""

    def __init__(self) -> None:
        self._leases: set[int] = set()
        self._copies: dict[str, int] = {}
        self._bytes = 0

    def lease(self, descriptor: int) -> int | None:
        """Return another descriptor of the file, which cannot be opened for writing until it is released.

        None: no lease is possible.
        """
        if len(self._leases) >= LEASES_MAX:
            return None
        leased = os.open(path_to(descriptor), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A process that breaks the lease causes a signal here, and SIGIO would end us. The lease ends
            # soon anyway.
            fcntl.fcntl(leased, fcntl.F_SETSIG, SIGURG)  # ignored by default (signal(7))
            fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError:
            os.close(leased)
            return None
        self._leases.add(leased)
        return leased

    def release(self, leased: int) -> None:
        """End a lease. Does nothing if close() did."""
        if leased in self._leases:
            self._leases.remove(leased)
            os.close(leased)

    def copy(self, digest: str, content: bytes, state: os.stat_result) -> int | None:
        """Return a descriptor of a sealed copy, which close() closes; None if there is no room for another.

        One copy serves every open of the same content, so that many opens cannot fill the memory.

        state: The file's, whose mode and times the copy gets.
        """
        if digest in self._copies:
            return self._copies[digest]
        if self._bytes + len(content) > COPIES_BYTES_MAX:
            return None
        descriptor = os.memfd_create("instructions", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fchmod(descriptor, state.st_mode & 0o777)
            os.utime(descriptor, ns=(state.st_atime_ns, state.st_mtime_ns))
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        except BaseException:
            os.close(descriptor)
            raise
        self._copies[digest] = descriptor
        self._bytes += len(content)
        return descriptor

    def close(self) -> None:
        for descriptor in (*self._leases, *self._copies.values()):
            with suppress(OSError):
                os.close(descriptor)
        self._leases.clear()
        self._copies.clear()
