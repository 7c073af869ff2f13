"""Open directories beneath a granted one by open descriptors, without following links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from posixpath import dirname

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.kernel import open_path
from nono.kernel.uapi.open import AT_FDCWD, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
from nono.undo.model.snapshot import encoded

_AT_ONCE_BYTES = 4000  # the kernel resolves fewer than 4096 at once (PATH_MAX), and a tree can be deeper


@contextmanager
def opened_root(root: str, *, lists: bool = True) -> Iterator[int]:
    """Open a granted directory. Raises OSError, ELOOP if a part of its path was replaced by a link.

    lists: False if only known names are looked up, which needs no permission to read the directory.
    """
    flags = (DIRECTORY_FLAGS if lists else DIRECTORY_FLAGS | os.O_PATH) & ~os.O_NOFOLLOW
    directory = open_path.open_at(AT_FDCWD, encoded(root), flags, RESOLVE_NO_SYMLINKS)
    try:
        yield directory
    finally:
        os.close(directory)


def opened_parent(root: int, path: str) -> AbstractContextManager[int]:
    """Open the parent directory of a relative path. Raises OSError, ELOOP or EXDEV if it leads out."""
    return opened_directory(root, dirname(path))


@contextmanager
def opened_directory(root: int, path: str) -> Iterator[int]:
    """Open a directory by its relative path, of any length. Raises as opened_parent() does."""
    flags, resolve = DIRECTORY_FLAGS & ~os.O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
    first, *others = _parts(encoded(path) or b".")
    directory = open_path.open_at(root, first, flags, resolve)
    try:
        for part in others:
            above, directory = directory, open_path.open_at(directory, part, flags, resolve)
            os.close(above)
        yield directory
    finally:
        os.close(directory)


def _parts(path: bytes) -> Iterator[bytes]:
    """Cut a path into parts that the kernel resolves at once. A name has 255 bytes at most."""
    while len(path) > _AT_ONCE_BYTES:
        part, _, rest = path[:_AT_ONCE_BYTES].rpartition(b"/")
        yield part
        path = rest + path[_AT_ONCE_BYTES:]
    yield path
