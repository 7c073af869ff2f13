"""The state file of a run, which its command may read and not write."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import basename, join

from nono import paths
from nono.errors import NonoError
from nono.launch.state import VARIABLE, Identity, State, parse_state, state_document
from nono.policy.path_expansion import CHILD_RELATIVE_DIRECTORIES, CHILD_RELATIVE_FILES, is_within
from nono.private_dir import open_private_dir

_PREFIX, _SUFFIX = ".nono-", ".json"
_UNFINISHED = ".new"  # before the name, as long as it is not locked
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_BYTES = 8 * 1024 * 1024


class StateFile:
    """The place of the file, until it is made and after."""

    def __init__(self, directory_fd: int, path: str, warn: Callable[[str], None]) -> None:
        self.path = path  # canonical
        self._directory_fd = directory_fd
        self._warn = warn
        self._fd = -1

    def create(self) -> bool:
        """Make it, empty, once. False, and a warning, when it cannot be: the command then does without."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        name = basename(self.path)
        try:
            self._fd = os.open(_UNFINISHED + name, flags, 0o600, dir_fd=self._directory_fd)
            os.fchmod(self._fd, 0o600)  # a umask may have taken the owner's bits away
            # Held to the end, so that what a supervisor leaves that was killed is known by it. Named last, or
            # another run could take it for that.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(_UNFINISHED + name, name, src_dir_fd=self._directory_fd, dst_dir_fd=self._directory_fd)
        except OSError as error:
            self._warn(_without(self.path, error))
            return False
        return True

    def write(self, state: State) -> None:
        """Fill it, once, before the command runs. When it cannot be: a warning, and the file is gone."""
        content = json.dumps(state_document(state)).encode("ascii")
        try:
            with open(self._fd, "wb", closefd=False) as file:
                file.write(content)
        except OSError as error:
            self._warn(_without(self.path, error))
            self._unlink()

    def remove(self) -> None:
        """Whatever there is of it."""
        self._unlink()
        if self._fd >= 0:
            os.close(self._fd)

    def _unlink(self) -> None:
        for name in (basename(self.path), _UNFINISHED + basename(self.path)):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory_fd)


@contextmanager
def state_file(environ: Mapping[str, str], warn: Callable[[str], None]) -> Iterator[StateFile | None]:
    """A place in nono's own state, where no grant reaches. The file is gone when the block is left.

    None, and a warning, when there can be none.
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
        with suppress(OSError):  # it is gone, or its run is not
            fd = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory_fd
            )
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=directory_fd)
            finally:
                os.close(fd)


def read_own_state(environ: Mapping[str, str]) -> State | None:
    """The state of the run that this process is in; None outside. NonoError: it is not what a run writes."""
    path = environ.get(VARIABLE)
    if not path:
        return None
    try:
        return parse_state(json.loads(_read(path), parse_constant=_refuse_constant))
    except OSError as error:
        raise _invalid(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        raise _invalid(path, str(error)) from None


def identity(path: str) -> Identity | None:
    """What stands at path; None for nothing, and for what names whoever opens it (`/proc/self`)."""
    if any(is_within(path, own) for own in (*CHILD_RELATIVE_DIRECTORIES, *CHILD_RELATIVE_FILES)):
        return None
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _read(path: str) -> bytes:
    """OSError, or ValueError when it is no file of this user's alone."""
    with open(os.open(path, _READ), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o600:
            raise ValueError("it must belong to this user and have mode 0600")
        if found.st_size > MAX_BYTES:
            raise NonoError(f"Capability state file too large: {path}: {found.st_size} bytes")
        return file.read(MAX_BYTES)


def _refuse_constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


def _without(directory: str, error: OSError) -> str:
    return f"`nono why --self` will not work inside: {directory}: {error.strerror or error}"


def _invalid(path: str, problem: str) -> NonoError:
    return NonoError(
        f"Capability state file validation failed: {path}: {problem}",
        hint=f"{VARIABLE} names the file of another run, or of another version of nono",
    )
