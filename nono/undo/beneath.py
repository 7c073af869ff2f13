"""Opens directories beneath a granted one by open descriptors, and through no link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from posixpath import dirname

from nono.kernel import open_path
from nono.kernel.uapi.open import AT_FDCWD, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
from nono.undo.model.snapshot import encoded

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened_root(root: str, *, lists: bool = True) -> Iterator[int]:
    """Open a granted directory. Raises OSError, ELOOP if a link has taken the place of a part of its path.

    lists: False if only names in it are wanted, which need no permission to read the directory.
    """
    flags = (DIRECTORY_FLAGS if lists else DIRECTORY_FLAGS | os.O_PATH) & ~os.O_NOFOLLOW
    directory = open_path.open_at(AT_FDCWD, encoded(root), flags, RESOLVE_NO_SYMLINKS)
    try:
        yield directory
    finally:
        os.close(directory)


def opened_parent(root: int, path: str) -> AbstractContextManager[int]:
    """Open the directory in which a relative path lies. Raises OSError, ELOOP or EXDEV if it leads out."""
    return opened_directory(root, dirname(path))


@contextmanager
def opened_directory(root: int, path: str) -> Iterator[int]:
    """Open a directory by its relative path. Raises as opened_parent() does."""
    flags = DIRECTORY_FLAGS & ~os.O_NOFOLLOW
    directory = open_path.open_at(root, encoded(path) or b".", flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    try:
        yield directory
    finally:
        os.close(directory)
