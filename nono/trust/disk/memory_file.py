"""Store what was approved in a project: digests, and the contents needed to show a difference later."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from posixpath import join, split
from zlib import compress, decompressobj

from nono.digests import sha256
from nono.disk.durable import unfinished
from nono.disk.regular_file import read_regular_file
from nono.private_dir import open_private_dir
from nono.trust import memory
from nono.trust.disk.concern import memory_path
from nono.trust.disk.evidence import FILE_BYTES_MAX
from nono.trust.memory import Memory

_BYTES_MAX = 16 * 1024 * 1024
_CONTENT_BYTES_MAX = 1024 * 1024  # of larger ones only the digest is kept


class MemoryFile:
    """The stored memory of the project at `root`, which is canonical. Nothing stays open between calls."""

    def __init__(self, root: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self.path = memory_path(root, environ)
        self._directory, self._name = split(self.path)

    def read(self) -> Memory | None:
        """Return the memory; None if there is none. Raises OSError or ValueError if it cannot be read."""
        try:
            return memory.parse(read_regular_file(self.path, _BYTES_MAX))
        except FileNotFoundError:
            return None

    def change(self, change: Callable[[Memory], Memory], contents: Mapping[str, bytes] = {}) -> None:
        """Change the memory under a lock. Raises OSError, or ValueError if it is damaged.

        contents: Approved contents to keep, by SHA-256.
        """
        with self._locked() as directory:
            before = self.read() or Memory()
            for digest, content in contents.items():
                if len(content) <= _CONTENT_BYTES_MAX:
                    self._write(directory, f"{digest}.z", compress(content))
            after = change(before)
            if after != before:
                self._write(directory, self._name, memory.encoded(after, self._root))

    def forget(self) -> None:
        """Forget the project. Contents stay, because other projects may have approved the same ones."""
        with self._locked() as directory, suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=directory)

    def content(self, digest: str) -> bytes | None:
        """Return an approved content; None if it is missing or was altered."""
        try:
            packed = read_regular_file(join(self._directory, f"{digest}.z"), FILE_BYTES_MAX)
            content = decompressobj().decompress(packed, _CONTENT_BYTES_MAX + 1)
        except Exception:  # OSError, or an error of zlib
            return None
        return content if sha256(content).hexdigest() == digest else None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        directory = open_private_dir(self._directory, create=True)
        try:
            lock = os.open(
                "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield directory
            finally:
                os.close(lock)
        finally:
            os.close(directory)

    def _write(self, directory: int, name: str, content: bytes) -> None:
        with unfinished(directory, name) as file:
            file.write(content)
