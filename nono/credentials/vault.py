"""The embedded credential store: one file that only its owner reads, where no keyring daemon is."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import join

from nono.audit.private_dir import open_private_dir
from nono.credentials.content import require_credential, secret_from_text
from nono.credentials.errors import CredentialUnavailable
from nono.credentials.reading import read_at_most
from nono.credentials.reference import check_name
from nono.paths import state_root
from nono.secret import Secret

FILE = "credentials.json"
_LOCK = "credentials.lock"
_NEW = "credentials.json.new"
_MAX_BYTES = 4 * 1024 * 1024

_Entries = dict[str, str]


class Vault:
    """The store of the user whose environment is given. Holds nothing open and remembers nothing it read.

    Every method raises CredentialUnavailable when somebody else could have read or written the directory or
    the file, or when it cannot be understood: such a file is neither believed nor overwritten. The directory
    is below the state root, which no sandbox is granted.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._directory = state_root(environ)
        self.path = join(self._directory, FILE)

    def get(self, name: str) -> Secret | None:
        """None when nothing is stored under name."""
        value = self._read().get(check_name(name))
        return None if value is None else secret_from_text(value, f"credential '{name}'")

    def names(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(self._read()))

    def set(self, name: str, secret: Secret) -> None:
        """Stores or replaces; on disk when this returns. Raises as require_credential too."""
        check_name(name)
        require_credential(secret, f"credential '{name}'")
        with self._locked() as directory_fd:
            self._replace(directory_fd, self._read_at(directory_fd) | {name: secret.reveal()})

    def remove(self, name: str) -> bool:
        """Whether there was something to remove."""
        check_name(name)
        if name not in self._read():
            return False
        with self._locked() as directory_fd:
            entries = self._read_at(directory_fd)
            removed = entries.pop(name, None) is not None
            self._replace(directory_fd, entries)
        return removed

    def _read(self) -> _Entries:
        try:
            directory_fd = open_private_dir(self._directory, create=False)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._untrusted(error) from None
        try:
            return self._read_at(directory_fd)
        finally:
            os.close(directory_fd)

    def _read_at(self, directory_fd: int) -> _Entries:
        try:
            fd = os.open(
                FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory_fd
            )
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._untrusted(error) from None
        try:
            self._refuse_unsafe(os.fstat(fd))
            content = read_at_most(fd, _MAX_BYTES)
        except OSError as error:
            raise self._untrusted(error) from None
        finally:
            os.close(fd)
        entries = _parse(content)
        if entries is None:
            raise CredentialUnavailable(
                f"{self.path}: not a credential store of this version of nono",
                hint="move the file away, then store the credentials again with: nono credential set NAME",
            )
        return entries

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
                f"{self.path}: {problem}", hint=f"if its content is yours, run: chmod 600 {self.path}"
            )

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The directory's descriptor, while no other nono writes. The lock is a file of its own: the store is
        replaced by rename, and a lock on it would be held on a file that has no name any more."""
        try:
            directory_fd = open_private_dir(self._directory, create=True)
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                lock_fd = os.open(_LOCK, flags, 0o600, dir_fd=directory_fd)
                try:
                    fcntl.flock(lock_fd, fcntl.LOCK_EX)
                    yield directory_fd
                finally:
                    os.close(lock_fd)
            finally:
                os.close(directory_fd)
        except OSError as error:
            raise self._untrusted(error) from None

    def _replace(self, directory_fd: int, entries: _Entries) -> None:
        """Old content or new content after a power cut, and nothing else (rename(2), fsync(2))."""
        content = json.dumps({"version": 1, "credentials": entries}, indent=2, sort_keys=True).encode()
        with suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=directory_fd)  # of a nono that was killed; the lock makes it ours
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(_NEW, flags, 0o600, dir_fd=directory_fd), "wb") as file:
                os.fchmod(file.fileno(), 0o600)  # a umask may have taken the owner's bits away
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(_NEW, FILE, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(_NEW, dir_fd=directory_fd)
            raise
        os.fsync(directory_fd)

    def _untrusted(self, error: OSError) -> CredentialUnavailable:
        return CredentialUnavailable(f"{self.path}: {error.strerror}", hint=f"ls -ld {self._directory}")


def _parse(content: bytes) -> _Entries | None:
    """None when it is no store. The parser's exception holds the whole text and therefore ends here."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"version": 1, "credentials": dict(entries)} if all(
            isinstance(v, str) for v in entries.values()
        ):
            return entries
    return None
