"""Open what is stored of a session: its directory below the state root, and the files in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import join
from signal import SIGURG
from typing import Any, BinaryIO

from nono.audit.ledger import EVENT_FILE
from nono.audit.reading import Reading
from nono.paths import is_session_id
from nono.private_dir import open_private_dir

LINE_BYTES_MAX = 64 * 1024 * 1024  # an argument list of 2 MiB, each byte escaped, twice
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BUFFER_BYTES = 1 << 16


def audit_directory(state_root: str) -> str:
    return join(state_root, "audit")


def directory_of(state_root: str, session_id: str) -> str:
    return join(state_root, "audit", session_id)


def session_ids(state_root: str) -> list[str]:
    """Return the ids of the sessions with a directory, in no order.

    Raises OSError like open_private_dir().
    """
    try:
        descriptor = open_private_dir(audit_directory(state_root), create=False)
    except FileNotFoundError:
        return []
    try:
        with os.scandir(descriptor) as entries:
            return [each.name for each in entries if is_session_id(each.name) and not each.is_file()]
    finally:
        os.close(descriptor)


def open_file(directory: str, name: str) -> BinaryIO:
    """Open a file of a session; the caller closes it.

    Raises OSError: ELOOP for a link, and like open_private_dir().
    """
    directory_fd = open_private_dir(directory, create=False)
    try:
        return open(os.open(name, _READ, dir_fd=directory_fd), "rb", buffering=_BUFFER_BYTES)
    finally:
        os.close(directory_fd)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines with their newlines. A line longer than any record comes in pieces."""
    while line := file.readline(LINE_BYTES_MAX):
        yield line


def digest_of_file(directory: str, name: str) -> str | None:
    """Return the SHA-256 of a file of a session in hex; None if there is none. Raises OSError."""
    # Imported here, because it imports OpenSSL: few files are hashed, but one may have a GiB.
    from hashlib import sha256

    digest = sha256()
    try:
        with open_file(directory, name) as file:
            while chunk := file.read(_BUFFER_BYTES):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


@contextmanager
def read_log(directory: str) -> Iterator[Reading]:
    """Read the log of the session in `directory` from the first record. Raises OSError like open_file()."""
    with open_file(directory, EVENT_FILE) as file:
        yield Reading(lines_of(file))


def first_event(directory: str) -> Mapping[str, Any]:
    """Return the first event of a log, unverified; empty if it cannot be read."""
    with suppress(OSError), open_file(directory, EVENT_FILE) as file:
        for record in Reading([file.readline(LINE_BYTES_MAX)]):
            return record.event
    return {}


def is_closed(directory: str) -> bool:
    """Return True if no process has the log open: otherwise a write lease is refused (fcntl(2))."""
    try:
        with open_file(directory, EVENT_FILE) as file:
            # A process that breaks the lease causes a signal here, and SIGIO would end us. It is released at
            # once.
            fcntl.fcntl(file, fcntl.F_SETSIG, SIGURG)  # ignored by default (signal(7))
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return True
    except OSError:
        return False


def disk_size(directory: str) -> int:
    """Return the bytes of all files below a directory."""
    total = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for each in entries:
            with suppress(OSError):
                is_dir = each.is_dir(follow_symlinks=False)
                total += disk_size(each.path) if is_dir else each.stat(follow_symlinks=False).st_size
    return total
