"""Write the file with the capability state of a run, which its command can read but not write."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import basename, join

from nono import paths
from nono.disk import json_text
from nono.errors import NonoError, reason_of
from nono.launch.state.capability_state import CapabilityState, Identity, parse_state, state_document
from nono.policy.path_expansion import differs_by_process
from nono.private_dir import open_private_dir

_PREFIX, _SUFFIX = ".nono-", ".json"
_UNFINISHED = ".new"  # precedes the name until the file is locked
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# On a read-only file system no name can be removed; a later run sweeps what was there before.
_NOTHING_TO_REMOVE = (errno.ENOENT, errno.EROFS)
MAX_BYTES = 8 * 1024 * 1024


class StateFile:
    """The state file, before and after it is created."""

    def __init__(self, directory_fd: int, path: str, warn: Callable[[str], None]) -> None:
        self.path = path  # canonical
        self._directory_fd = directory_fd
        self._warn = warn
        self._fd = -1

    def create(self) -> bool:
        """Create the file, empty; call once. Returns False, after a warning, on failure: it is optional."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        name = basename(self.path)
        try:
            self._fd = os.open(_UNFINISHED + name, flags, 0o600, dir_fd=self._directory_fd)
            os.fchmod(self._fd, 0o600)  # a umask may have removed the owner's bits
            # The lock is held to the end: an unlocked file was left by a killed supervisor. The file gets its
            # name after its lock, or another run's _sweep() could remove it.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(_UNFINISHED + name, name, src_dir_fd=self._directory_fd, dst_dir_fd=self._directory_fd)
        except OSError as error:
            self._warn(_without(self.path, error))
            return False
        return True

    def write(self, state: CapabilityState) -> None:
        """Fill the file, once, before the command runs. On failure warns and removes it."""
        content = json_text.compact_ascii(state_document(state)).encode("ascii")
        try:
            with open(self._fd, "wb", closefd=False) as file:
                file.write(content)
        except OSError as error:
            self._warn(_without(self.path, error))
            self._unlink()

    def remove(self) -> None:
        """Remove the file, even if incomplete, and release its lock."""
        self._unlink()
        if self._fd >= 0:
            os.close(self._fd)

    def _unlink(self) -> None:
        for name in (basename(self.path), _UNFINISHED + basename(self.path)):
            try:
                os.unlink(name, dir_fd=self._directory_fd)
            except OSError as error:
                if error.errno not in _NOTHING_TO_REMOVE:
                    raise


@contextmanager
def state_file(environ: Mapping[str, str], warn: Callable[[str], None]) -> Iterator[StateFile | None]:
    """Prepare a state file in nono's state directory, which no grant covers; removed with the block.

    Yields None, after a warning, if the directory cannot be used.
    """
    directory = join(paths.state_root(environ), "sessions")
    try:
        os.close(open_private_dir(paths.state_root(environ), create=True))
        directory_fd = open_private_dir(directory, create=True)
    except OSError as error:
        warn(_without(directory, error))
        yield None
        return
    try:
        _sweep(directory_fd)
        name = f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"
        file = StateFile(directory_fd, join(os.path.realpath(directory), name), warn)
        try:
            yield file
        finally:
            file.remove()
    finally:
        os.close(directory_fd)


def _sweep(directory_fd: int) -> None:
    """Remove the files of runs whose supervisor was killed."""
    for name in os.listdir(directory_fd):
        if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX)):
            continue
        with suppress(OSError):  # the file is gone, or its run still holds the lock
            fd = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory_fd
            )
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=directory_fd)
            finally:
                os.close(fd)


def read_own_state(environ: Mapping[str, str]) -> CapabilityState | None:
    """Return the state of the run this process is in; None outside. Raises NonoError for an invalid file."""
    path = environ.get(paths.STATE_VARIABLE)
    if not path:
        return None
    try:
        return parse_state(json_text.parse(_read(path).decode("utf-8")))
    except OSError as error:
        raise _invalid(path, reason_of(error)) from None
    except (ValueError, RecursionError) as error:
        raise _invalid(path, str(error)) from None


def identity(path: str) -> Identity | None:
    """Return device and inode of path; None if nothing is there, or if it differs by process (/proc)."""
    if differs_by_process(path):
        return None
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _read(path: str) -> bytes:
    """Read the file. Raises OSError, or ValueError unless it is a 0600 regular file owned by this user."""
    with open(os.open(path, _READ), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o600:
            raise ValueError("it must belong to this user and have mode 0600")
        if found.st_size > MAX_BYTES:
            raise NonoError(f"Capability state file too large: {path}: {found.st_size} bytes")
        return file.read(MAX_BYTES)


def _without(directory: str, error: OSError) -> str:
    return f"`nono why --self` will not work inside: {directory}: {reason_of(error)}"


def _invalid(path: str, problem: str) -> NonoError:
    return NonoError(
        f"Capability state file validation failed: {path}: {problem}",
        hint=f"{paths.STATE_VARIABLE} names the file of another run, or of another version of nono",
    )
