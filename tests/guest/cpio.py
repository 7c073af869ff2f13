"""Write the archive that a kernel unpacks as its first file system (initramfs, "newc" format).

Source: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self

TRAILER = "TRAILER!!!"


class Archive:
    """Everything in it is root's. Directories on the way to a file appear by themselves."""

    def __init__(self, target: Path) -> None:
        self._file: BinaryIO = target.open("wb")
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._entry(TRAILER, 0, b"")
        self._file.close()

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._add(path, stat.S_IFDIR | mode, b"")

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        self._add(path, stat.S_IFREG | mode, content.encode())

    def symlink(self, path: str, target: str) -> None:
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def copy(self, path: Path, place: Path | None = None) -> None:
        """Add a file with its mode and modification time, at the same place unless another is named.

        Symbolic links are followed one by one, so that every link on the way is there as well.
        """
        found = path.lstat()
        where = str(place or path.parent.resolve() / path.name)
        if stat.S_ISLNK(found.st_mode):
            self.symlink(where, os.readlink(path))
            self.copy(path.parent / os.readlink(path))
        else:
            mode = stat.S_IFREG | 0o644 | found.st_mode & 0o111
            self._add(where, mode, path.read_bytes(), int(found.st_mtime))

    def tree(self, folder: Path, place: Path = Path("/")) -> None:
        """Add what is below the folder below the place, each link as it is; what is there already stays."""
        for directory, names, files in folder.walk():
            for path in (directory / name for name in [*names, *files]):
                where = str(place / path.relative_to(folder))
                if path.is_symlink():
                    self.symlink(where, os.readlink(path))
                elif path.is_dir():
                    self.directory(where)
                else:
                    self.copy(path, Path(where))

    def _add(self, path: str, mode: int, content: bytes, mtime: int = 0) -> None:
        if path in self._names:
            return
        parent = str(PurePosixPath(path).parent)
        if parent not in self._names and parent != path:
            self.directory(parent)
        self._names.add(path)
        if path != "/":
            self._entry(path.removeprefix("/"), mode, content, mtime)

    def _entry(self, name: str, mode: int, content: bytes, mtime: int = 0) -> None:
        number = len(self._names)
        encoded = os.fsencode(name) + b"\0"
        fields = (number, mode, 0, 0, 1, mtime, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % each for each in fields)
        self._padded(header + encoded)
        self._padded(content)

    def _padded(self, part: bytes) -> None:
        self._file.write(part + bytes(-len(part) % 4))
