"""Read and replace one whole file that only its owner may access, under a lock."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from posixpath import join

from nono.credentials.values.errors import CredentialUnavailable
from nono.disk import durable
from nono.disk.descriptor import read_at_most
from nono.disk.file_lock import locked_within
from nono.printable import shell_word
from nono.private_dir import open_private_dir

LOCK_WAIT_S = 5.0  # another nono holds the lock for a few fsync(2) at most

Stamp = tuple[int, int, int]  # inode, size, mtime in ns; each replacement is a new inode


class PrivateFile:
    """The file ``directory/stem.json``, with ``stem.lock`` beside it. Nothing stays open between calls.

    Every method raises CredentialUnavailable if another user could have read or written the directory or the
    file: its content is then neither trusted nor overwritten.
    """

    def __init__(self, directory: str, stem: str, *, max_bytes: int) -> None:
        self._directory = directory
        self._name = f"{stem}.json"
        self._lock = f"{stem}.lock"
        self._max_bytes = max_bytes
        self.path = join(directory, self._name)

    def read(self) -> bytes | None:
        """Return the content, cut off at max_bytes; None if there is no such file. Creates nothing.

        Raises CredentialUnavailable if it cannot be read, or is not private to this user.
        """
        try:
            directory_fd = open_private_dir(self._directory, create=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._untrusted(error) from error
        try:
            return self._read_at(directory_fd)
        finally:
            os.close(directory_fd)

    def stamp(self) -> Stamp | None:
        """Return a value that differs after every replacement; None if there is no such file."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[LockedFile]:
        """Yield the file while no other nono writes to it. Creates the directory.

        The lock is a separate file: the file itself is replaced by rename(2), and a lock on it would stay on
        the unlinked inode. Raises CredentialUnavailable if the lock was not free within LOCK_WAIT_S.
        """
        try:
            directory_fd = open_private_dir(self._directory, create=True)
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                lock_fd = os.open(self._lock, flags, 0o600, dir_fd=directory_fd)
                try:
                    self._take(lock_fd)
                    yield LockedFile(self, directory_fd)
                finally:
                    os.close(lock_fd)
            finally:
                os.close(directory_fd)
        except OSError as error:
            raise self._untrusted(error) from error

    @contextmanager
    def room(self, spare: str, more_bytes: int) -> Iterator[None]:
        """Hold room for a replacement that is longer than the file by up to `more_bytes`.

        spare: The name of a file beside it, for replace(). Nobody else uses it at the same time.

        Raises CredentialUnavailable if there is no room.
        """
        with ExitStack() as stack:
            try:
                directory_fd = open_private_dir(self._directory, create=True)
                stack.callback(os.close, directory_fd)
                size = len(self._read_at(directory_fd) or b"") + more_bytes
                stack.enter_context(durable.reserved(directory_fd, spare, size))
            except OSError as error:
                raise self._untrusted(error) from error
            yield

    def _take(self, lock_fd: int) -> None:
        if not locked_within(lock_fd, LOCK_WAIT_S):
            raise CredentialUnavailable(
                f"{self.path}: another nono has held its lock for {LOCK_WAIT_S:g} s",
                hint=f"see who it is: fuser {shell_word(join(self._directory, self._lock))}",
            )

    def _read_at(self, directory_fd: int) -> bytes | None:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(self._name, flags, dir_fd=directory_fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._untrusted(error) from error
        try:
            self._refuse_unsafe(os.fstat(fd))
            return read_at_most(fd, self._max_bytes)
        except OSError as error:
            raise self._untrusted(error) from error
        finally:
            os.close(fd)

    def _refuse_unsafe(self, status: os.stat_result) -> None:
        problem = None
        if not stat.S_ISREG(status.st_mode):
            problem = "not a regular file"
        elif status.st_uid != os.geteuid():
            problem = f"belongs to uid {status.st_uid}"
        elif status.st_mode & 0o077:
            problem = "other users could read or write it"
        if problem is not None:
            raise CredentialUnavailable(
                f"{self.path}: {problem}",
                hint=f"if its content is yours, run: chmod 600 {shell_word(self.path)}",
            )

    def _replace_at(self, directory_fd: int, content: bytes, spare: str | None) -> None:
        durable.write(directory_fd, self._name, content, spare)

    def _untrusted(self, error: OSError) -> CredentialUnavailable:
        # What to do about a full or read-only disk is said for every file.
        is_of_disk = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        hint = None if is_of_disk else f"ls -ld {shell_word(self._directory)}"
        return CredentialUnavailable(f"{self.path}: {error.strerror}", hint=hint)


class LockedFile:
    """A PrivateFile whose lock is held."""

    def __init__(self, file: PrivateFile, directory_fd: int) -> None:
        self._file = file
        self._directory_fd = directory_fd

    def read(self) -> bytes | None:
        """Return the content, like PrivateFile.read()."""
        return self._file._read_at(self._directory_fd)

    def replace(self, content: bytes, spare: str | None = None) -> None:
        """Replace the content atomically: a power failure leaves the old or new one (rename(2), fsync(2)).

        spare: The file that PrivateFile.room() holds, for a full disk.
        """
        self._file._replace_at(self._directory_fd, content, spare)
