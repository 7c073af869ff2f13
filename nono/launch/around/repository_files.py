"""Read files and directories of a repository without leaving it, and note what was not read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nono.disk.descriptor import read_at_most
from nono.errors import NonoError
from nono.kernel import open_path
from nono.policy.path_expansion import is_within

# A command can create any number of anything.
ENTRIES_MAX = 1_000  # in one directory
TEXT_MAX_BYTES = 1024 * 1024  # in all; settings of a second to read
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

Inode = tuple[int, int, int, int]  # mode, size, time of the last change, number
NOTHING: Inode = (0, 0, 0, 0)
# Of this process or of the machine: they say nothing of the file.
_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class LookError(NonoError):
    """Nothing can be looked at, because this process has no descriptor or memory left."""

    def __init__(self, error: OSError) -> None:
        self.reason = os.strerror(error.errno or 0)
        super().__init__(f"what git and agents run here cannot be looked at: {self.reason}.")


class RepositoryFiles:
    """The files below some directories, as they are now.

    No link is followed out of these: a command may have laid it, and it may lead to a mount that never
    answers. Raises LookError if this process lacks what it takes to look.
    """

    def __init__(self, places: tuple[str, ...]) -> None:
        self._places = places
        self._roots: dict[str, int] = {}
        self._left_bytes = TEXT_MAX_BYTES
        self.unread: dict[str, Inode] = {}  # what is there, and was not read whole

    def __enter__(self) -> RepositoryFiles:
        for place in self._places:
            with suppress(OSError), _lacking():  # the command has removed it
                self._roots[place] = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._roots.values():
            os.close(descriptor)

    def text(self, path: str) -> str | None:
        """Return the content of a file; None if it is not there, or is left."""
        content = self.content(path, self._left_bytes)
        if content is None:
            return None
        self._left_bytes -= len(content)
        return os.fsdecode(content)

    def content(self, path: str, max_bytes: int) -> bytes | None:
        """Return what a file holds; None if it is not there, or is left."""
        try:
            descriptor = self._open(path, _FILE)
        except FileNotFoundError:
            return None
        except OSError:
            self.leave(path)
            return None
        try:
            content = b""
            if is_file := stat.S_ISREG(os.fstat(descriptor).st_mode):
                content = read_at_most(descriptor, max_bytes + 1)
        except OSError:
            is_file = False
        finally:
            # NFS and FUSE have errors for that too, which say nothing of what was read.
            with suppress(OSError):
                os.close(descriptor)
        if not is_file or len(content) > max_bytes:
            self.leave(path)
            return None
        return content

    def listed(self, directory: str) -> list[tuple[os.DirEntry[str], os.stat_result]] | None:
        """Return what is in a directory; None if it is not there, or is left."""
        try:
            entries = self._entries(directory)
        except FileNotFoundError:
            return None
        except OSError:
            entries = None
        if entries is None:
            self.leave(directory)
        return entries

    def _entries(self, directory: str) -> list[tuple[os.DirEntry[str], os.stat_result]] | None:
        """Return what is in a directory; None if that is too much. Raises OSError if it cannot be read."""
        descriptor = self._open(directory, _DIRECTORY)
        try:
            with _lacking():
                scanned = os.scandir(descriptor)
            with scanned as entries:
                found: list[tuple[os.DirEntry[str], os.stat_result]] = []
                for entry in entries:
                    if len(found) == ENTRIES_MAX:
                        return None
                    with suppress(FileNotFoundError):  # it vanished meanwhile, and hides none of the others
                        found.append((entry, entry.stat(follow_symlinks=False)))
                return found
        finally:
            os.close(descriptor)

    def leave(self, path: str) -> None:
        """Note that what is at `path` was not read."""
        self.unread[path] = self.own(path) or NOTHING

    def own(self, path: str) -> Inode | None:
        """Return what `path` itself is, perhaps a link; None if it is not there."""
        try:
            return self._inode(path, os.O_NOFOLLOW)
        except OSError:
            return None

    def target(self, link: str) -> Inode | None:
        """Return what a link leads to: NOTHING if that is not there, None if it is outside."""
        try:
            return self._inode(link)
        except FileNotFoundError:
            return NOTHING
        except OSError:
            return None

    def _inode(self, path: str, flags: int = 0) -> Inode:
        descriptor = self._open(path, os.O_PATH | flags)
        try:
            return inode_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def _open(self, path: str, flags: int) -> int:
        """Open what `path` leads to.

        Raises OSError if it is not there, not in the repository, or cannot be opened.
        """
        for root, descriptor in self._roots.items():
            if is_within(path, root):
                name = os.fsencode(path[len(root) :].lstrip("/") or ".")
                try:
                    return open_path.open_beneath(descriptor, name, flags)
                except OSError as error:
                    _refuse_lack(error)
                    raise
        raise FileNotFoundError(errno.ENOENT, "it is outside", path)


@contextmanager
def _lacking() -> Iterator[None]:
    """Raise LookError in place of an OSError that is about this process."""
    try:
        yield
    except OSError as error:
        _refuse_lack(error)
        raise


def _refuse_lack(error: OSError) -> None:
    """Raise LookError for an error that is about this process."""
    if error.errno in _LACKS:
        raise LookError(error) from error


def inode_of(found: os.stat_result) -> Inode:
    return found.st_mode, found.st_size, found.st_ctime_ns, found.st_ino
