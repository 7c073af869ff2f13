"""Look at one name in an open directory and read what is there, without following links."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.undo.contents.packs import LARGE_BYTES
from nono.undo.contents.store import QuotaError, Store
from nono.undo.model.entry import DIRECTORY, FILE, LINK, OTHER, TOO_LARGE, Entry

TRIES = 4
# Extended attributes are held in memory. On some file systems those of one file may take 500 MiB.
ATTRIBUTES_BYTES_MAX = 64 << 10  # of one file, names included
ALL_ATTRIBUTES_BYTES_MAX = 64 << 20  # of all files of a walk
RACY_NS = 50_000_000  # longer than the tick of any clock that a file system takes its timestamps from
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class AttributesError(QuotaError):
    """The extended attributes take more than may be kept."""


class Allowance:
    """How many bytes a walk may still read. A command can create a sparse file of a terabyte."""

    def __init__(self, left_bytes: int, *, is_strict: bool) -> None:
        """is_strict: Raise QuotaError for a file that exceeds the allowance, instead of skipping it."""
        self._left_bytes, self._is_strict = left_bytes, is_strict
        self._attributes_bytes = ALL_ATTRIBUTES_BYTES_MAX
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Return False if fewer than `size` bytes are left, which are then not taken."""
        with self._lock:
            if size <= self._left_bytes:
                self._left_bytes -= size
                return True
        if self._is_strict:
            raise QuotaError
        return False

    def take_attributes(self, size: int) -> None:
        """Raises AttributesError, strict or not: without them no entry says what a file was."""
        with self._lock:
            self._attributes_bytes -= size
            if self._attributes_bytes < 0:
                raise AttributesError


def look(
    directory: int,
    name: str,
    store: Store | None,
    known: Entry | None = None,
    allowance: Allowance | None = None,
) -> Entry | None:
    """Look at a name in an open directory, and read what is there. Returns None if nothing is.

    store: Keeps the content; None: only its digest is wanted.
    known: The entry from an earlier look; a file with the same times is not read again.
    allowance: How much may still be read; None: any number of bytes.
    Raises QuotaError, and OSError if the content cannot be written.
    """
    for _ in range(TRIES):
        try:
            return _look(directory, name, store, known, allowance)
        except FileNotFoundError:
            return None
        except OSError as error:
            # A file of another kind has just taken its place.
            if error.errno not in (errno.EINVAL, errno.ENOTDIR, errno.ELOOP):
                raise
    return None


def _look(
    directory: int, name: str, store: Store | None, known: Entry | None, allowance: Allowance | None
) -> Entry | None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return entry_of(status, os.readlink(name, dir_fd=directory))
    if stat.S_ISREG(status.st_mode):
        seen = entry_of(status, None)
        if known is not None and known.same_times(seen):
            return known
        return _file(directory, name, store, seen, allowance)
    if stat.S_ISDIR(status.st_mode):
        try:
            child = os.open(name, DIRECTORY_FLAGS, dir_fd=directory)
        except PermissionError:
            return entry_of(status, None)
        try:
            return entry_of(os.fstat(child), None, attributes_of(child, allowance))
        finally:
            os.close(child)
    return entry_of(status, None)


def _file(
    directory: int, name: str, store: Store | None, seen: Entry, allowance: Allowance | None
) -> Entry | None:
    """Read a file. Its content is left out if it is unreadable, keeps changing or exceeds the allowance."""
    if allowance is not None and not allowance.take(seen.size):
        return seen
    for _ in range(TRIES):
        try:
            file = os.open(name, _FILE_FLAGS, dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError:
            return seen  # no permission to read it, or a link has just taken its place
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return entry_of(status, None)
            now_ns = time.time_ns()
            content = _content(file, status, store)
            if content is not None:
                is_racy = status.st_ctime_ns > now_ns - RACY_NS
                is_sparse = status.st_blocks * 512 < status.st_size
                attributes = attributes_of(file, allowance)
                is_racy = is_racy or attributes is TOO_LARGE  # a next run reads it again
                return entry_of(status, content, attributes)._replace(is_sparse=is_sparse, is_racy=is_racy)
            seen = entry_of(os.fstat(file), None)
        except QuotaError:
            raise
        except OSError as error:
            if store is not None and not _is_of_reading(file):
                raise error
            return entry_of(status, None)
        finally:
            os.close(file)
    return seen


def _is_of_reading(file: int) -> bool:
    """Return True if the file cannot be read, so that the error did not come from the store."""
    try:
        os.pread(file, 1, 0)
        return False
    except OSError:
        return True


def _content(file: int, status: os.stat_result, store: Store | None) -> str | None:
    """Return the digest of a file; None if it changed while it was read."""

    def is_unchanged() -> bool:
        now = os.fstat(file)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    if status.st_size > LARGE_BYTES:
        return _digest(file, is_unchanged) if store is None else store.add_file(file, is_unchanged)
    content = os.read(file, LARGE_BYTES + 1)
    while 0 < len(content) < status.st_size and (more := os.read(file, LARGE_BYTES + 1)):
        content += more
    if len(content) != status.st_size or not is_unchanged():
        return None
    # Imported here: the first import loads the OpenSSL library.
    from hashlib import sha256

    return sha256(content).hexdigest() if store is None else store.add(content)


def _digest(file: int, is_unchanged: Callable[[], bool]) -> str | None:
    from hashlib import file_digest

    with open(os.dup(file), "rb") as copy:
        digest = file_digest(copy, "sha256").hexdigest()
    return digest if is_unchanged() else None


def entry_of(status: os.stat_result, content: str | None, attributes: Mapping[str, str] = {}) -> Entry:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        kind = FILE
    elif stat.S_ISDIR(mode):
        kind = DIRECTORY
    else:
        kind = LINK if stat.S_ISLNK(mode) else OTHER
    return Entry(
        kind,
        stat.S_IMODE(mode),
        status.st_uid,
        status.st_gid,
        0 if kind == DIRECTORY else status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        0 if kind == DIRECTORY else status.st_nlink,
        content,
        attributes,
    )


def attributes_of(file: int, allowance: Allowance | None) -> Mapping[str, str]:
    """Return the extended attributes of an open file; none if the file system has none.

    TOO_LARGE stands for more than may be kept, and for more names than the kernel lists.

    Raises AttributesError if the allowance does not suffice.
    """
    found: dict[str, str] = {}
    size = 0
    try:
        for name in os.listxattr(file):
            # Set by a security module or by root: nobody else can restore them.
            if name.startswith("security."):
                continue
            value = os.getxattr(file, name)
            size += len(name) + len(value)
            if size > ATTRIBUTES_BYTES_MAX:
                return TOO_LARGE
            found[name] = b64encode(value).decode("ascii")
    except OSError as error:
        if error.errno == errno.E2BIG:
            return TOO_LARGE
        # otherwise there are none, or one has just been removed
    if size and allowance is not None:
        allowance.take_attributes(size)
    return found
